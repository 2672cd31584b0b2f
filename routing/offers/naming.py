"""Finds the entry of a provider's list that answers to a name we ask for: lists do not spell every name that works."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches

_DATED = r"-\d{8}"
"""claude-haiku-4-5 is listed as claude-haiku-4-5-20251001."""
_ROUTED = re.compile(r":(nitro|floor|online|exacto)$")
"""What OpenRouter takes behind any model's name."""


def entry_for(name: str, *, listed: Collection[str]) -> str | None:
    """The listed name that serves `name`; None when nothing does."""
    for spelling in (name, f"{name}:latest", _ROUTED.sub("", name)):  # :latest is what Ollama adds
        if spelling in listed:
            return spelling
    dated = re.compile(re.escape(name) + _DATED)
    return max((other for other in listed if dated.fullmatch(other)), default=None)


def close_to(name: str, *, listed: Collection[str]) -> list[str]:
    """Up to three listed names that look like it."""
    return get_close_matches(name, list(listed), n=3, cutoff=0.6)
