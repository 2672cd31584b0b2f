"""Turns usage and prices into money. Pure: values in, a bill out; `Decimal` throughout, rounded once, at the end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from analytics import rates
from analytics.rates import Used
from providers.types import Price, Unit, Usage

ZERO = Decimal(0)
CENT_OF_A_MICRO = Decimal("1e-10")
"""What a cost is rounded to: the ledger's column keeps ten places."""

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
    used: dict[str, Used]
    """By unit, for the units that were used: what a ledger row shows as its prices."""


def compute(usage: Usage, prices: Sequence[Price], *, at: datetime, factor: Decimal = ONCE) -> Computed:
    """What `usage` costs by `prices` as they stood at `at`, unrounded; tiers go by all input tokens together. Tokens
    cost `factor` times their list price."""
    held = rates.in_force(prices, input_tokens=usage.all_input_tokens, at=at)
    is_list_price = factor == ONCE
    total = ZERO
    used: dict[str, Used] = {}
    for unit, quantity in quantities(usage):
        rate = held.get(unit)
        if rate is not None:
            if not is_list_price and unit not in FREE_UNLESS_PRICED:
                rate = rates.charged(rate, factor=factor)
            total += rate.usd * quantity
            used[unit] = rate.used
        elif unit not in FREE_UNLESS_PRICED:
            return Computed(None, {})
    return Computed(total, used)


def most(usage: Usage, prices: Sequence[Price], *, at: datetime, factor: Decimal = ONCE) -> Decimal | None:
    """What a request costs at most that uses no more than `usage`, unrounded; None when a unit has no known price. It
    may fall in any tier up to its input, and a lower one may be dearer."""
    held = rates.dearest(prices, input_tokens=usage.all_input_tokens, at=at)
    total = ZERO
    for unit, quantity in quantities(usage):
        rate = held.get(unit)
        if rate is not None:
            total += rate.usd * quantity if unit in FREE_UNLESS_PRICED else rate.usd * factor * quantity
        elif unit not in FREE_UNLESS_PRICED:
            return None
    return total


def at_dearest_input(usage: Usage, prices: Sequence[Price], *, at: datetime) -> Usage:
    """With all its input in the bucket that costs most: whether it will be read or written to a cache is not known
    before."""
    tokens = usage.all_input_tokens
    held = rates.dearest(prices, input_tokens=tokens, at=at)
    dearest = max(_INPUTS, key=lambda unit: held[unit].usd if unit in held else ZERO)
    nothing = dict.fromkeys(_INPUTS.values(), 0)
    return msgspec.structs.replace(usage, cached_input_tokens=0, **(nothing | {_INPUTS[dearest]: tokens}))


def rounded(usd: Decimal) -> Decimal:
    return usd.quantize(CENT_OF_A_MICRO, rounding=ROUND_HALF_EVEN)


def per_million(prices: Sequence[Price], *, at: datetime) -> dict[Unit, Decimal]:
    """Prices in force at `at` for the smallest requests, in USD per million units, as people read them."""
    held = rates.in_force(prices, input_tokens=0, at=at)
    return {unit: rate.usd * 1_000_000 for unit, rate in held.items() if not rate.used.unit}


def quantities(usage: Usage, *, requests: int = 1) -> list[tuple[Unit, int]]:
    """What was used, by unit; a request is always one."""
    found = (
        (Unit.INPUT, usage.input_tokens),
        (Unit.CACHED_INPUT, usage.cached_input_tokens),
        (Unit.CACHE_WRITE_5M, usage.cache_write_5m_tokens),
        (Unit.CACHE_WRITE_1H, usage.cache_write_1h_tokens),
        (Unit.OUTPUT, usage.output_tokens),
        (Unit.REQUEST, requests),
        (Unit.WEB_SEARCH, usage.web_searches),
        (Unit.IMAGE, usage.images),
    )
    return [(unit, quantity) for unit, quantity in found if quantity]
