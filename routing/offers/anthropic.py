"""Anthropic's list, `GET /models`: ids and names, and in its newer form windows and capabilities.

Source: platform.claude.com/docs, "List models". It comes in pages; `cursor` says where the next one starts.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw

from providers.types import Capability
from routing.catalog import Model
from routing.offers.offer import Offer, Skipped, Tokens, decode, each, title, tokens

TELLS = frozenset({Capability.VISION, Capability.JSON_SCHEMA, Capability.REASONING})


class _Support(msgspec.Struct, frozen=True):
    supported: bool = False


class _ThinkingTypes(msgspec.Struct, frozen=True):
    adaptive: _Support = _Support()
    enabled: _Support = _Support()
    """With a budget of tokens."""


class _Thinking(_Support, frozen=True):
    types: _ThinkingTypes | None = None


class _Capabilities(msgspec.Struct, frozen=True):
    image_input: _Support = _Support()
    structured_outputs: _Support = _Support()
    thinking: _Thinking = _Thinking()


class _Entry(msgspec.Struct, frozen=True):
    id: str
    display_name: str | None = None
    max_input_tokens: Tokens | None = None
    max_tokens: Tokens | None = None
    capabilities: _Capabilities | None = None


class _List(msgspec.Struct, frozen=True):
    data: list[Raw]


class _Page(msgspec.Struct, frozen=True):
    has_more: bool | None = None
    last_id: str | None = None


def read(body: bytes) -> tuple[Offer | Skipped, ...]:
    """Raises: OfferError."""
    return tuple(each(decode(body, form=_List).data, form=_Entry, read=_offer))


def cursor(body: bytes) -> str | None:
    """The id after which the next page starts; None on the last one. Raises: OfferError."""
    page = decode(body, form=_Page)
    return page.last_id if page.has_more else None


def _offer(entry: _Entry) -> Offer:
    told = entry.capabilities
    flags = {} if told is None else {
        Capability.VISION: told.image_input,
        Capability.JSON_SCHEMA: told.structured_outputs,
        Capability.REASONING: told.thinking,
    }  # fmt: skip
    found = frozenset(capability for capability, flag in flags.items() if flag.supported)
    model = Model(
        name=entry.id,
        title=title(entry.display_name),
        kind="chat",
        context_tokens=tokens(entry.max_input_tokens),
        max_output_tokens=tokens(entry.max_tokens),
        reasoning_control=_control(told.thinking.types) if told is not None and told.thinking.supported else None,
        # Every model of the list calls tools, which the list has no word for.
        capabilities=found | {Capability.TOOLS},
    )
    return Offer(model, TELLS if told is not None else frozenset())


def _control(types: _ThinkingTypes | None) -> Literal["effort", "budget"] | None:
    """How the model is asked to think: adaptive ones by an effort, older ones by a budget alone."""
    if types is None:
        return None
    return "budget" if types.enabled.supported and not types.adaptive.supported else "effort"
