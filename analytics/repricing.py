"""What sums of usage would cost at other prices: a report, never a rewrite. Pure.

A sum no longer knows in which tier each of its requests fell, so that what it costs is told as the least and the most
it can be; they are the same where the model has no tiers. What was billed stands in the ledger and stays there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from analytics import cost, rates
from analytics.rates import Rates
from providers.types import Price, Unit, Usage


class Bucket(msgspec.Struct, frozen=True):
    """The usage of one model's requests that started from `start` on and before `end`, summed."""

    usage: Usage
    requests: int
    start: datetime
    end: datetime


class Bounds(msgspec.Struct, frozen=True):
    """USD, unrounded."""

    least: Decimal
    most: Decimal

    def __add__(self, other: Bounds) -> Bounds:
        return Bounds(self.least + other.least, self.most + other.most)


class Repriced(msgspec.Struct, frozen=True):
    """One period at two lists of prices; None where a unit that was used has no price."""

    then: Bounds | None
    """At the prices in force when the requests were made."""
    at_date: Bounds | None
    """At those of another date."""


NOTHING = Bounds(cost.ZERO, cost.ZERO)


def reprice(buckets: Iterable[Bucket], prices: Sequence[Price], *, at: datetime) -> Repriced:
    """One model's buckets at the prices it had then, and at those it has, had or will have at `at`."""
    held = list(buckets)
    return Repriced(
        _sum(bounds(bucket, prices) for bucket in held),
        _sum(bounds(bucket, prices, at=at) for bucket in held),
    )


def bounds(bucket: Bucket, prices: Sequence[Price], *, at: datetime | None = None) -> Bounds | None:
    """What a bucket costs at the prices of `at`, else at those in force while it was filled: where a price began in the
    midst of it, either may have held."""
    lists = _in_reach(bucket, prices, at=at)
    found = NOTHING
    for unit, quantity in cost.quantities(bucket.usage, requests=bucket.requests):
        each = [_usd(unit, held) for held in lists]
        known = [usd for usd in each if usd is not None]
        if len(known) < len(each):
            return None
        found += Bounds(min(known) * quantity, max(known) * quantity)
    return found


def _in_reach(bucket: Bucket, prices: Sequence[Price], *, at: datetime | None) -> list[Rates]:
    """Every list of prices that one of the requests may have been paid at: a request alone is in one tier, one among
    others in any up to their whole input."""
    began = {price.valid_from for price in prices if bucket.start < price.valid_from < bucket.end}
    moments = [at] if at is not None else [bucket.start, *sorted(began)]
    tokens = bucket.usage.all_input_tokens
    if bucket.requests == 1:
        return [rates.in_force(prices, input_tokens=tokens, at=moment) for moment in moments]
    return [held for moment in moments for held in rates.in_reach(prices, input_tokens=tokens, at=moment)]


def _usd(unit: Unit, held: Rates) -> Decimal | None:
    if unit in held:
        return held[unit].usd
    return cost.ZERO if unit in cost.FREE_UNLESS_PRICED else None


def _sum(found: Iterable[Bounds | None]) -> Bounds | None:
    total = NOTHING
    for one in found:
        if one is None:
            return None
        total += one
    return total
