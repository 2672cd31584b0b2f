"""Ollama's own lists, beside its OpenAI-compatible address: `/api/tags` names the models, `/api/show` tells of one.

Source: docs.ollama.com, "List models" and "Show model details". The window is the `num_ctx` of the model's own
parameters where it sets one, else what the architecture takes: the server's default is told nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from providers.types import Capability
from routing.catalog import Model
from routing.offers.offer import Offer, OfferError, Skipped, capabilities, checked, decode, tokens

WORDS = {
    "tools": Capability.TOOLS,
    "vision": Capability.VISION,
    "thinking": Capability.REASONING,
    "audio": Capability.AUDIO,
}
TELLS = frozenset({Capability.TOOLS, Capability.VISION, Capability.REASONING})
"""Not audio: older servers say nothing of it."""
_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)
_MOST_TOKENS = 2_147_483_647


class _Tag(msgspec.Struct, frozen=True):
    name: str
    remote_host: str | None = None
    """Where a cloud model runs."""


class _Tags(msgspec.Struct, frozen=True):
    models: list[_Tag] | None = None


class _Details(msgspec.Struct, frozen=True):
    capabilities: list[str] | None = None
    model_info: dict[str, Any] | None = None
    parameters: str | None = None
    remote_host: str | None = None


def read_names(tags: bytes) -> tuple[str, ...]:
    """Raises: OfferError."""
    found = checked(Offer(Model(name=tag.name)) for tag in decode(tags, form=_Tags).models or ())
    return tuple(offer.model.name for offer in found.models)


def read(shown: Mapping[str, bytes]) -> tuple[Offer | Skipped, ...]:
    """What `/api/show` said of each name."""
    return tuple(_read(name, body, number=number) for number, (name, body) in enumerate(shown.items(), start=1))


def _read(name: str, body: bytes, *, number: int) -> Offer | Skipped:
    try:
        return _offer(name, decode(body, form=_Details))
    except OfferError as error:
        return Skipped(name, number, str(error))


def _offer(name: str, details: _Details) -> Offer:
    words = details.capabilities
    window = _window(details)
    if words is None:  # before version 0.6.4
        return Offer(Model(name=name, context_tokens=window))
    found = capabilities(words, words=WORDS)
    tells, can_chat = TELLS, "completion" in words
    if can_chat:
        # Answers are held to a schema whatever the model, except in the cloud: docs.ollama.com, "Structured outputs".
        tells |= {Capability.JSON_SCHEMA}
        found |= frozenset() if details.remote_host else {Capability.JSON_SCHEMA}
    model = Model(name=name, kind="chat" if can_chat else "embeddings", context_tokens=window, capabilities=found)
    return Offer(model, tells, is_usable=can_chat or "embedding" in words)


def _window(details: _Details) -> int | None:
    info = details.model_info or {}
    told = next((value for key, value in info.items() if key.endswith(".context_length")), None)
    if told is not None and (not isinstance(told, int) or isinstance(told, bool) or told > _MOST_TOKENS):
        raise OfferError("an impossible context_length")
    chosen = _NUM_CTX.search(details.parameters or "")
    return tokens(min(int(chosen[1]), told or _MOST_TOKENS)) if chosen else tokens(told)
