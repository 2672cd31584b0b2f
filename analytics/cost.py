"""Turns usage and prices into money. Pure: values in, a bill out; `Decimal` throughout, rounded once, at the end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from providers.types import Price, Unit, Usage

ZERO = Decimal(0)
CENT_OF_A_MICRO = Decimal("1e-10")
"""What a cost is rounded to: the ledger's column keeps ten places."""

STANDS_IN = {
    Unit.CACHED_INPUT: Unit.INPUT,
    Unit.CACHE_WRITE_5M: Unit.INPUT,
    Unit.CACHE_WRITE_1H: Unit.CACHE_WRITE_5M,
}
"""The price used for a unit that has none of its own."""

_INPUTS = {
    Unit.INPUT: "input_tokens",
    Unit.CACHE_WRITE_5M: "cache_write_5m_tokens",
    Unit.CACHE_WRITE_1H: "cache_write_1h_tokens",
}

FREE_UNLESS_PRICED = frozenset({Unit.REQUEST, Unit.WEB_SEARCH, Unit.IMAGE})
"""All that is no token."""
ONCE = Decimal(1)


class Computed(msgspec.Struct, frozen=True):
    """Usage at our price; `usd` is None when a unit that was used has no known price."""

    usd: Decimal | None
    used: dict[str, str]
    """USD per unit, by unit, for the units that were used, with the factor in it: what a ledger row shows as its
    prices."""


def compute(usage: Usage, prices: Sequence[Price], *, at: datetime, factor: Decimal = ONCE) -> Computed:
    """What `usage` costs by `prices` as they stood at `at`, unrounded; tiers go by all input tokens together. Tokens
    cost `factor` times their list price."""
    return _priced(usage, _in_force(prices, input_tokens=usage.all_input_tokens, at=at), factor)


def most(usage: Usage, prices: Sequence[Price], *, at: datetime, factor: Decimal = ONCE) -> Decimal | None:
    """What a request costs at most that uses no more than `usage`, unrounded; None when a unit has no known price. It
    may fall in any tier up to its input, and a lower one may be dearer."""
    return _priced(usage, _dearest(prices, input_tokens=usage.all_input_tokens, at=at), factor).usd


def _priced(usage: Usage, in_force: dict[Unit, Decimal], factor: Decimal) -> Computed:
    total = ZERO
    used: dict[str, str] = {}
    for unit, quantity in _quantities(usage):
        price = _price_of(unit, in_force)
        if price is None:
            return Computed(None, {})
        if factor != ONCE and unit not in FREE_UNLESS_PRICED:
            price *= factor
        total += price * quantity
        if price or unit in in_force:
            used[unit.value] = f"{price.normalize():f}"
    return Computed(total, used)


def at_dearest_input(usage: Usage, prices: Sequence[Price], *, at: datetime) -> Usage:
    """With all its input in the bucket that costs most: whether it will be read or written to a cache is not known
    before."""
    tokens = usage.all_input_tokens
    in_force = _dearest(prices, input_tokens=tokens, at=at)
    dearest = max(_INPUTS, key=lambda unit: _price_of(unit, in_force) or ZERO)
    nothing = dict.fromkeys(_INPUTS.values(), 0)
    return msgspec.structs.replace(usage, cached_input_tokens=0, **(nothing | {_INPUTS[dearest]: tokens}))


def rounded(usd: Decimal) -> Decimal:
    return usd.quantize(CENT_OF_A_MICRO, rounding=ROUND_HALF_EVEN)


def per_million(prices: Sequence[Price], *, at: datetime) -> dict[Unit, Decimal]:
    """Prices in force at `at` for the smallest requests, in USD per million units, as people read them."""
    return {unit: usd * 1_000_000 for unit, usd in _in_force(prices, input_tokens=0, at=at).items()}


def _quantities(usage: Usage) -> list[tuple[Unit, int]]:
    """What was used, by unit; a request is always one."""
    quantities = (
        (Unit.INPUT, usage.input_tokens),
        (Unit.CACHED_INPUT, usage.cached_input_tokens),
        (Unit.CACHE_WRITE_5M, usage.cache_write_5m_tokens),
        (Unit.CACHE_WRITE_1H, usage.cache_write_1h_tokens),
        (Unit.OUTPUT, usage.output_tokens),
        (Unit.REQUEST, 1),
        (Unit.WEB_SEARCH, usage.web_searches),
        (Unit.IMAGE, usage.images),
    )
    return [(unit, quantity) for unit, quantity in quantities if quantity]


class _Flat(msgspec.Struct, frozen=True):
    """What holds of a list without tiers, and for how long."""

    prices: Sequence[Price]
    start: datetime
    end: datetime
    in_force: dict[Unit, Decimal]


_flat: dict[int, _Flat] = {}
"""The last one looked up for each list, by the list's identity: a request asks for the same one several times."""
MOST_FLAT = 5_000
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _in_force(prices: Sequence[Price], *, input_tokens: int, at: datetime) -> dict[Unit, Decimal]:
    """Not to be changed: the next to ask gets the same one."""
    known = _flat.get(id(prices))
    if known is not None and known.prices is prices and known.start <= at < known.end:
        return known.in_force
    found = _looked_up(prices, input_tokens=input_tokens, at=at)
    if isinstance(prices, tuple) and not any(price.from_tokens for price in prices):
        if len(_flat) >= MOST_FLAT:
            _flat.clear()
        starts = [price.valid_from for price in prices]
        start = max((start for start in starts if start <= at), default=_FIRST)
        end = min((start for start in starts if start > at), default=_LAST)
        _flat[id(prices)] = _Flat(prices, start, end, found)
    return found


def _dearest(prices: Sequence[Price], *, input_tokens: int, at: datetime) -> dict[Unit, Decimal]:
    """The dearest price of each unit in any of the tiers that so many input tokens, or fewer, fall in."""
    tiers = {price.from_tokens for price in prices if 0 < price.from_tokens <= input_tokens}
    if not tiers:
        return _in_force(prices, input_tokens=input_tokens, at=at)
    lists = [_looked_up(prices, input_tokens=tokens, at=at) for tokens in (0, *tiers)]
    found = {unit: [usd for known in lists if (usd := _price_of(unit, known)) is not None] for unit in Unit}
    return {unit: max(usds) for unit, usds in found.items() if usds}


def _looked_up(prices: Sequence[Price], *, input_tokens: int, at: datetime) -> dict[Unit, Decimal]:
    best: dict[Unit, Price] = {}
    for price in prices:
        if price.valid_from > at or price.from_tokens > input_tokens:
            continue
        known = best.get(price.unit)
        # The newest list of prices holds; within it the highest tier reached.
        if known is None or (known.valid_from, known.from_tokens) < (price.valid_from, price.from_tokens):
            best[price.unit] = price
    return {unit: price.usd_per_unit for unit, price in best.items()}


def _price_of(unit: Unit, in_force: dict[Unit, Decimal]) -> Decimal | None:
    wanted: Unit | None = unit
    while wanted is not None:
        if wanted in in_force:
            return in_force[wanted]
        wanted = STANDS_IN.get(wanted)
    return ZERO if unit in FREE_UNLESS_PRICED else None
