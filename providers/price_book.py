"""What `genai-prices` says a model costs, as plain values: the only module that imports that package.

Reads the data that comes inside the package; nothing is fetched. Says in one word why a model has no prices here. Knows
neither what is in the database (`routing.price_sync`) nor what people decide about it.

Its prices mean what ours do, which is why they can be taken over: its input tokens include cached and written ones, and
a token is paid at the most special price there is for it, so that each pays once, as in our disjoint units; a tier goes
by all input tokens together and holds for all tokens of the request (its `start` is the last number below the tier).
What does not mean the same is left out by name, or makes the whole entry unusable:

- tokens of sound, images and video, and searches of stores: we count no such tokens apart, they are paid as text;
- a price of writing to a cache that is below the input's: it is for storing, which comes on top of the input;
- reasoning at another price than other output, prices by the time of day, no price for input tokens: unusable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from providers.listed_prices import EXACT_DIGITS, PLACES
from providers.types import Unit

if TYPE_CHECKING:
    from genai_prices import types as genai

_FINEST = Decimal(1).scaleb(-PLACES)
"""What is kept of USD for one unit. The package has a few prices that are a third of something."""
_MILLION, _THOUSAND = 6, 3
_FORMS: Mapping[str, tuple[Unit, int]] = {
    "input_mtok": (Unit.INPUT, _MILLION),
    "output_mtok": (Unit.OUTPUT, _MILLION),
    "cache_read_mtok": (Unit.CACHED_INPUT, _MILLION),
    "cache_write_mtok": (Unit.CACHE_WRITE_5M, _MILLION),
    "cache_write_5m_mtok": (Unit.CACHE_WRITE_5M, _MILLION),
    "cache_write_1h_mtok": (Unit.CACHE_WRITE_1H, _MILLION),
    "requests_kcount": (Unit.REQUEST, _THOUSAND),
    "web_searches_kcount": (Unit.WEB_SEARCH, _THOUSAND),
}
"""Its names of prices: of which unit, and by how many places they are to be divided."""
_PARTS_OF_TEXT = ("output_reasoning_mtok", "output_citation_mtok", "input_text_mtok", "output_text_mtok")
"""Prices of tokens that stand in most answers, which we count with all others."""
_WRITES = ("cache_write_mtok", "cache_write_5m_mtok", "cache_write_1h_mtok")

Prices = Mapping[str, "Decimal | genai.TieredPrices"]
"""By its names; those that are there."""


class Missing(StrEnum):
    """Why there are no prices."""

    PROVIDER = "its provider is not known there"
    MODEL = "it is not known there"
    NO_PRICE = "no price is given there"
    TIME_OF_DAY = "its price goes by the time of day"
    FORM = "its price has a form that cannot be taken over"


@dataclass(frozen=True, slots=True)
class BookPrice:
    unit: Unit
    usd_per_unit: Decimal
    from_tokens: int


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    """`provider/model`, as the package calls them."""
    prices: tuple[BookPrice, ...]
    left_out: tuple[str, ...]
    """Its names of prices that were not taken over."""
    changes_on: date | None
    """The first later day (UTC) for which it has other prices."""


def source() -> str:
    """The package with its version, to be named beside what came from it."""
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


def look_up(name: str, *, slug: str, base_url: str, at: datetime) -> Entry | Missing:
    """The list prices of a provider's model at a moment. The provider is known by its address, else by its slug."""
    from genai_prices.data_snapshot import get_snapshot  # 46 MB: for those who ask alone

    book = get_snapshot()
    provider = _provider(book.providers, slug=slug, base_url=base_url)
    if provider is None:
        return Missing.PROVIDER
    model = provider.find_model(name, all_providers=book.providers)
    if model is None:
        return Missing.MODEL
    if _goes_by_the_clock(model, at=at):
        return Missing.TIME_OF_DAY
    return _entry(model, listed_as=f"{provider.id}/{model.id}", at=at)


def _provider(providers: list[genai.Provider], *, slug: str, base_url: str) -> genai.Provider | None:
    by_address = (provider for provider in providers if re.match(provider.api_pattern, base_url))
    return next(by_address, None) or next((provider for provider in providers if provider.id == slug), None)


def _goes_by_the_clock(model: genai.ModelInfo, *, at: datetime) -> bool:
    """Whether an hour decides which of its prices holds on this day; the last one whose condition is met does."""
    from genai_prices import types

    for price in reversed(model.prices if isinstance(model.prices, list) else []):
        if isinstance(price.constraint, types.TimeOfDateConstraint):
            return True
        if price.constraint is None or price.constraint.active(at):
            return False
    return False


def _entry(model: genai.ModelInfo, *, listed_as: str, at: datetime) -> Entry | Missing:
    known = {name: price for name, price in vars(model.get_prices(at)).items() if price is not None}
    if not known:
        return Missing.NO_PRICE
    if "input_mtok" not in known or not _is_text_of_one_price(known):
        return Missing.FORM
    left_out = {name for name in known if name not in _FORMS or _is_for_storing(name, known)}
    taken = {name: price for name, price in known.items() if name not in left_out}
    if {"cache_write_mtok", "cache_write_5m_mtok"} <= taken.keys():  # then the first is the price of the long ones
        taken.setdefault("cache_write_1h_mtok", taken.pop("cache_write_mtok"))
    prices = tuple(price for name, value in taken.items() for price in _read(value, name=name))
    return Entry(listed_as, prices, tuple(sorted(left_out)), _next_change(model, at=at))


def _is_text_of_one_price(known: Prices) -> bool:
    """Whether every token of a text pays what the unit pays that we count it in."""
    return all(known[name] == known.get(f"{name.partition('_')[0]}_mtok") for name in _PARTS_OF_TEXT if name in known)


def _is_for_storing(name: str, known: Prices) -> bool:
    return name in _WRITES and _base(known[name]) < _base(known["input_mtok"])


def _base(price: Decimal | genai.TieredPrices) -> Decimal:
    return price if isinstance(price, Decimal) else price.base


def _read(price: Decimal | genai.TieredPrices, *, name: str) -> Iterator[BookPrice]:
    unit, places = _FORMS[name]
    yield BookPrice(unit, _per_unit(_base(price), places=places), 0)
    for tier in [] if isinstance(price, Decimal) else price.tiers:
        yield BookPrice(unit, _per_unit(tier.price, places=places), tier.start + 1)


def _per_unit(listed: Decimal, *, places: int) -> Decimal:
    """As the database gives it back, so that it does not seem to differ the next time."""
    exact = listed.scaleb(-places).quantize(_FINEST).normalize()
    return round(exact, EXACT_DIGITS - 1 - exact.adjusted()).normalize() if exact else exact


def _next_change(model: genai.ModelInfo, *, at: datetime) -> date | None:
    from genai_prices import types

    days = (
        price.constraint.start_date
        for price in (model.prices if isinstance(model.prices, list) else [])
        if isinstance(price.constraint, types.StartDateConstraint)
    )
    return min((day for day in days if day > at.astimezone(UTC).date()), default=None)
