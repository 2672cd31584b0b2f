"""LM Studio's own list, `/api/v0/models`: kind, window and abilities of each model.

Source: lmstudio.ai/docs, "REST API v0". A loaded model tells the window it runs with.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from providers.types import Capability
from routing.catalog import Model
from routing.offers.offer import Offer, Skipped, Tokens, capabilities, decode, each, tokens

WORDS = {"tool_use": Capability.TOOLS}


class _Entry(msgspec.Struct, frozen=True):
    id: str
    type: str | None = None
    max_context_length: Tokens | None = None
    loaded_context_length: Tokens | None = None
    capabilities: list[str] | None = None


class _List(msgspec.Struct, frozen=True):
    data: list[Raw]


def read(body: bytes) -> tuple[Offer | Skipped, ...]:
    """Raises: OfferError."""
    return tuple(each(decode(body, form=_List).data, form=_Entry, read=_offer))


def _offer(entry: _Entry) -> Offer:
    window = tokens(entry.loaded_context_length) or tokens(entry.max_context_length)
    if entry.type not in ("llm", "vlm"):
        is_embedding = entry.type == "embeddings"
        model = Model(name=entry.id, kind="embeddings" if is_embedding else None, context_tokens=window)
        return Offer(model, is_usable=is_embedding)
    found, tells = {Capability.VISION} if entry.type == "vlm" else set(), {Capability.VISION}
    if entry.capabilities is not None:
        found |= capabilities(entry.capabilities, words=WORDS)
        tells |= set(WORDS.values())
    model = Model(name=entry.id, kind="chat", context_tokens=window, capabilities=frozenset(found))
    return Offer(model, frozenset(tells))
