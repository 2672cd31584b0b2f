"""OpenRouter's list, `GET /models`: windows, modalities, parameters and prices of every model.

Source: openrouter.ai/docs, "List models" and its schema. Prices are strings of USD for one token, request, search or
image; -1 means that it varies, and is no price. A price that depends on the time of day has no place in our price list:
the one outside those hours is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import msgspec
from msgspec import Raw

from providers.listed_prices import listed_usd
from providers.types import Capability, Unit
from routing.catalog import FINEST_USD, Model, PriceTier
from routing.offers.offer import (
    BY_MODALITY,
    Offer,
    OfferError,
    Skipped,
    Tokens,
    capabilities,
    decode,
    each,
    title,
    tokens,
)

BY_PARAMETER = {
    "tools": Capability.TOOLS,
    "structured_outputs": Capability.JSON_SCHEMA,
    "reasoning": Capability.REASONING,
}
UNITS = {
    "prompt": Unit.INPUT,
    "completion": Unit.OUTPUT,
    "input_cache_read": Unit.CACHED_INPUT,
    "input_cache_write": Unit.CACHE_WRITE_5M,
    "input_cache_write_1h": Unit.CACHE_WRITE_1H,
    "request": Unit.REQUEST,
    "image": Unit.IMAGE,
    "web_search": Unit.WEB_SEARCH,
}
_FINEST = Decimal(1).scaleb(-FINEST_USD)
_DEAREST = Decimal(100_000)


class _Architecture(msgspec.Struct, frozen=True):
    input_modalities: list[str] = []
    output_modalities: list[str] = []


class _TopProvider(msgspec.Struct, frozen=True):
    context_length: Tokens | None = None
    max_completion_tokens: Tokens | None = None


class _Prices(msgspec.Struct, frozen=True):
    prompt: str | None = None
    completion: str | None = None
    input_cache_read: str | None = None
    input_cache_write: str | None = None
    input_cache_write_1h: str | None = None
    request: str | None = None
    image: str | None = None
    web_search: str | None = None


class _Override(_Prices, frozen=True):
    min_prompt_tokens: float | None = None
    """Holds for prompts that are longer than this."""
    utc_start: float | None = None
    utc_end: float | None = None
    utc_days: list[object] | None = None

    @property
    def is_for_all_day(self) -> bool:
        return (self.utc_start, self.utc_end, self.utc_days) == (None, None, None)


class _Pricing(_Prices, frozen=True):
    overrides: list[_Override] = []


class _Entry(msgspec.Struct, frozen=True):
    id: str
    name: str | None = None
    context_length: Tokens | None = None
    architecture: _Architecture | None = None
    pricing: _Pricing | None = None
    top_provider: _TopProvider | None = None
    supported_parameters: list[str] | None = None


class _Links(msgspec.Struct, frozen=True):
    next: str | None = None


class _List(msgspec.Struct, frozen=True):
    data: list[Raw]


class _Page(msgspec.Struct, frozen=True):
    links: _Links | None = None


def read(body: bytes) -> tuple[Offer | Skipped, ...]:
    """Raises: OfferError."""
    return tuple(each(decode(body, form=_List).data, form=_Entry, read=_offer))


def next_page(body: bytes) -> str | None:
    """The address of the next page; None on the last one. Raises: OfferError."""
    links = decode(body, form=_Page).links
    return links.next if links else None


def _offer(entry: _Entry) -> Offer:
    top, shape, pricing = entry.top_provider or _TopProvider(), entry.architecture, entry.pricing or _Pricing()
    found: frozenset[Capability] = frozenset()
    tells: frozenset[Capability] = frozenset()
    if entry.supported_parameters is not None:
        found |= capabilities(entry.supported_parameters, words=BY_PARAMETER)
        tells |= frozenset(BY_PARAMETER.values())
    if shape is not None:
        found |= capabilities(shape.input_modalities, words=BY_MODALITY)
        tells |= frozenset(BY_MODALITY.values())
    into = shape.output_modalities if shape else ["text"]
    model = Model(
        name=entry.id,
        title=title(entry.name),
        kind="embeddings" if "embeddings" in into else "chat",
        context_tokens=tokens(entry.context_length) or tokens(top.context_length),
        max_output_tokens=tokens(top.max_completion_tokens),
        capabilities=found,
        prices=_prices(pricing),
        price_tiers=_tiers(pricing),
    )
    return Offer(model, tells, is_usable=not {"text", "embeddings"}.isdisjoint(into))


def _tiers(pricing: _Pricing) -> tuple[PriceTier, ...]:
    tiers: dict[int, Mapping[Unit, Decimal]] = {}
    for override in pricing.overrides:
        if override.is_for_all_day and override.min_prompt_tokens is not None:
            start = int(min(max(override.min_prompt_tokens, 0), 2_147_483_646)) + 1
            tiers[start] = {**tiers.get(start, {}), **_prices(override)}
    return tuple(PriceTier(from_tokens=start, prices=prices) for start, prices in sorted(tiers.items()) if prices)


def _prices(told: _Prices) -> dict[Unit, Decimal]:
    """What is told, as it is listed: USD for one, or per million tokens."""
    prices: dict[Unit, Decimal] = {}
    for field, unit in UNITS.items():
        text = getattr(told, field)
        usd = None if text is None else _usd(text, field=field)
        if usd is not None:
            prices[unit] = listed_usd(unit, usd)
    return prices


def _usd(text: str, *, field: str) -> Decimal | None:
    """USD for one unit; rounded where the list has the noise of binary fractions (0.00000039999999999999996)."""
    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or usd > _DEAREST:
        raise OfferError(f"an impossible price: {field} {text[:40]!r}")
    return None if usd < 0 else usd.quantize(_FINEST, ROUND_HALF_EVEN)
