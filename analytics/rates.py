"""Which price of each unit holds for a request: by its time, its tier, and what stands in for a unit without a price.

Pure, and asked several times a request: what holds of a list of prices is worked out once, for as long as it holds.
Does no sums (`analytics.cost`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from providers.types import Price, Unit

STANDS_IN = {
    Unit.CACHED_INPUT: Unit.INPUT,
    Unit.CACHE_WRITE_5M: Unit.INPUT,
    Unit.CACHE_WRITE_1H: Unit.CACHE_WRITE_5M,
}
"""The price used for a unit that has none of its own."""


class Used(msgspec.Struct, frozen=True, omit_defaults=True):
    """A price as a row of the ledger shows it: what it is, and which one of the model's."""

    usd: str
    """For one unit, in plain digits, with the factor in it."""
    valid_from: str
    """Since when it holds, in UTC."""
    from_tokens: int = 0
    """The tier: from how many input tokens on it holds."""
    unit: str = ""
    """Of which unit it is the price, where it stood in for one that has none of its own."""
    factor: str = ""
    """How often the list price was charged, where that was not once (`routing.price_factors`)."""


class Rate(msgspec.Struct, frozen=True):
    usd: Decimal
    used: Used


Rates = dict[Unit, Rate]
"""With what stands in for a unit in its place. Not to be changed: the next to ask gets the same one."""


class _Schedule(msgspec.Struct, frozen=True):
    """What holds of a list, and for how long."""

    prices: Sequence[Price]
    start: datetime
    end: datetime
    tiers: tuple[int, ...]
    """Where they begin, in input tokens; the first at 0."""
    rates: tuple[Rates, ...]
    """By tier."""
    dearest: tuple[Rates, ...]
    """By tier, the dearest of each unit in it or any below."""


_schedules: dict[int, _Schedule] = {}
"""The last one looked up for each list, by the list's identity: a request asks for the same one several times."""
_charged: dict[tuple[int, Decimal], tuple[Rate, Rate]] = {}
"""Rates with a factor in them, by the identity of the one without."""
MOST_SCHEDULES = 5_000
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def in_force(prices: Sequence[Price], *, input_tokens: int, at: datetime) -> Rates:
    """In the tier that so many input tokens, of all kinds together, fall in."""
    found = _schedule(prices, at=at)
    return found.rates[bisect_right(found.tiers, input_tokens) - 1]


def dearest(prices: Sequence[Price], *, input_tokens: int, at: datetime) -> Rates:
    """The dearest of each unit in any of the tiers that so many input tokens, or fewer, fall in."""
    found = _schedule(prices, at=at)
    return found.dearest[bisect_right(found.tiers, input_tokens) - 1]


def in_reach(prices: Sequence[Price], *, input_tokens: int, at: datetime) -> tuple[Rates, ...]:
    """Of every tier that so many input tokens, or fewer, fall in, the lowest first."""
    found = _schedule(prices, at=at)
    return found.rates[: bisect_right(found.tiers, input_tokens)]


def charged(rate: Rate, *, factor: Decimal) -> Rate:
    """At so many times the list price."""
    key = (id(rate), factor)
    known = _charged.get(key)
    if known is not None and known[0] is rate:
        return known[1]
    usd, listed = rate.usd * factor, rate.used
    found = Rate(usd, Used(plain(usd), listed.valid_from, listed.from_tokens, listed.unit, plain(factor)))
    if len(_charged) >= MOST_SCHEDULES:
        _charged.clear()
    _charged[key] = (rate, found)
    return found


def _schedule(prices: Sequence[Price], *, at: datetime) -> _Schedule:
    known = _schedules.get(id(prices))
    if known is not None and known.prices is prices and known.start <= at < known.end:
        return known
    found = _worked_out(prices, at=at)
    if isinstance(prices, tuple):
        if len(_schedules) >= MOST_SCHEDULES:
            _schedules.clear()
        _schedules[id(prices)] = found
    return found


def _worked_out(prices: Sequence[Price], *, at: datetime) -> _Schedule:
    starts = [price.valid_from for price in prices]
    held = [price for price in prices if price.valid_from <= at]
    tiers = tuple(sorted({0, *(price.from_tokens for price in held)}))
    rates = tuple(_rates(held, input_tokens=tokens) for tokens in tiers)
    return _Schedule(
        prices,
        start=max((start for start in starts if start <= at), default=_FIRST),
        end=min((start for start in starts if start > at), default=_LAST),
        tiers=tiers,
        rates=rates,
        dearest=tuple(_dearest(rates[:count]) for count in range(1, len(rates) + 1)),
    )


def _rates(held: Sequence[Price], *, input_tokens: int) -> Rates:
    best: dict[Unit, Price] = {}
    for price in held:
        if price.from_tokens > input_tokens:
            continue
        known = best.get(price.unit)
        # The newest list of prices holds; within it the highest tier reached.
        if known is None or (known.valid_from, known.from_tokens) < (price.valid_from, price.from_tokens):
            best[price.unit] = price
    return {unit: _rate(found, unit=unit) for unit in Unit if (found := _price_of(unit, best)) is not None}


def _price_of(unit: Unit, best: dict[Unit, Price]) -> Price | None:
    wanted: Unit | None = unit
    while wanted is not None:
        if wanted in best:
            return best[wanted]
        wanted = STANDS_IN.get(wanted)
    return None


def _rate(price: Price, *, unit: Unit) -> Rate:
    since = price.valid_from.astimezone(UTC).isoformat().removesuffix("+00:00")
    own = "" if price.unit is unit else price.unit.value
    return Rate(price.usd_per_unit, Used(plain(price.usd_per_unit), f"{since}Z", price.from_tokens, own))


def _dearest(tiers: Sequence[Rates]) -> Rates:
    units = dict.fromkeys(unit for rates in tiers for unit in rates)
    return {unit: max((rates[unit] for rates in tiers if unit in rates), key=lambda rate: rate.usd) for unit in units}


def plain(usd: Decimal) -> str:
    """In plain digits, without needless zeros."""
    return f"{usd.normalize():f}"
