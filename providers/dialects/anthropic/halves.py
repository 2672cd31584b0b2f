"""Joins what a vendor cut between the two halves of a surrogate pair: the one escaped in this event, the other in the
next. Reads only events that the fast decoder refuses, and the one behind them.
"""

from __future__ import annotations

import json
import re
from typing import Any

from providers.dialects import unusual_json

_TEXTS = ("text", "thinking", "partial_json")
_FIRST_HALF = re.compile("[\ud800-\udbff]$")


class Halves:
    """Holds the first half of a pair that a delta of text ended in until the next event tells the other."""

    def __init__(self) -> None:
        self._event: dict[str, Any] = {}
        """The delta that said it, with the half alone for its text; empty where none is held."""
        self._field = ""

    @property
    def is_held(self) -> bool:
        return bool(self._event)

    def mended(self, payload: bytes) -> list[bytes]:
        """Events that say the same and that the fast decoder takes: U+FFFD stands for a half without its other.

        Raises: ValueError, RecursionError.
        """
        event = json.loads(payload.decode())
        if not isinstance(event, dict) or event.get("type") == "ping":
            return [payload]
        before = [] if self._joins(event) or not self._event else [_encoded(self._event)]
        self._event = {}
        self._hold(event)
        return [*before, _encoded(event)]

    def _joins(self, event: dict[str, Any]) -> bool:
        """Whether the held half was put before the text that it belongs to."""
        delta, held = event.get("delta"), self._event.get("delta")
        if not isinstance(held, dict) or not isinstance(delta, dict) or not isinstance(delta.get(self._field), str):
            return False
        if (event.get("index"), delta.get("type")) != (self._event.get("index"), held.get("type")):
            return False
        delta[self._field] = held[self._field] + delta[self._field]
        return True

    def _hold(self, event: dict[str, Any]) -> None:
        delta = event.get("delta")
        if not isinstance(delta, dict):
            return
        for name in _TEXTS:
            text = delta.get(name)
            if isinstance(text, str) and _FIRST_HALF.search(text):
                delta[name] = text[:-1]
                self._event, self._field = event | {"delta": delta | {name: text[-1]}}, name


def _encoded(event: dict[str, Any]) -> bytes:
    data = json.dumps(event).encode()
    return unusual_json.mended(data)
