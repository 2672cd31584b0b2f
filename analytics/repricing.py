"""What sums of usage would cost at other prices: a report, never a rewrite. Pure.

A sum no longer knows in which tier each of its requests fell, nor which of them came before a price that began in its
midst, so that what it costs is told as the least and the most it can be, with the reason; elsewhere they are the same.
What was billed stands in the ledger and stays there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

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


class Reason(StrEnum):
    """Why a sum's cost is a range."""

    TIERS = "tiers"
    """Its requests may have been in several tiers."""
    CHANGED = "price_changed"
    """A price began while it was filled."""


class Bounds(msgspec.Struct, frozen=True):
    """USD, unrounded."""

    least: Decimal
    most: Decimal
    reasons: frozenset[Reason] = frozenset()
    """Why they differ."""

    def __add__(self, other: Bounds) -> Bounds:
        return Bounds(self.least + other.least, self.most + other.most, self.reasons | other.reasons)


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
        together(bounds(bucket, prices) for bucket in held),
        together(bounds(bucket, prices, at=at) for bucket in held),
    )


def bounds(bucket: Bucket, prices: Sequence[Price], *, at: datetime | None = None) -> Bounds | None:
    """What a bucket costs at the prices of `at`, else at those in force while it was filled: where a price began in the
    midst of it, either may have held."""
    lists = _in_reach(bucket, prices, at=at)
    found = NOTHING
    for unit, quantity in cost.quantities(bucket.usage, requests=bucket.requests):
        each = [_extremes(unit, tiers) for tiers in lists]
        known = [usd for usd in each if usd is not None]
        if len(known) < len(each):
            return None
        least, most = min(usd for usd, _ in known), max(usd for _, usd in known)
        found += Bounds(least * quantity, most * quantity, _reasons(known))
    return found


def together(found: Iterable[Bounds | None]) -> Bounds | None:
    """None where one of them is not known."""
    total = NOTHING
    for one in found:
        if one is None:
            return None
        total += one
    return total


def _in_reach(bucket: Bucket, prices: Sequence[Price], *, at: datetime | None) -> list[Sequence[Rates]]:
    """For each list of prices that may have held, the tiers that one of the requests may have been in: a request alone
    is in one, one among others in any up to their whole input."""
    began = {price.valid_from for price in prices if bucket.start < price.valid_from < bucket.end}
    moments = [at] if at is not None else [bucket.start, *sorted(began)]
    tokens = bucket.usage.all_input_tokens
    if bucket.requests == 1:
        return [[rates.in_force(prices, input_tokens=tokens, at=moment)] for moment in moments]
    return [rates.in_reach(prices, input_tokens=tokens, at=moment) for moment in moments]


def _extremes(unit: Unit, tiers: Sequence[Rates]) -> tuple[Decimal, Decimal] | None:
    each = [_usd(unit, held) for held in tiers]
    known = [usd for usd in each if usd is not None]
    return (min(known), max(known)) if len(known) == len(each) else None


def _reasons(known: Sequence[tuple[Decimal, Decimal]]) -> frozenset[Reason]:
    by_tier = {Reason.TIERS} if any(least != most for least, most in known) else set()
    return frozenset(by_tier | ({Reason.CHANGED} if len(set(known)) > 1 else set()))


def _usd(unit: Unit, held: Rates) -> Decimal | None:
    if unit in held:
        return held[unit].usd
    return cost.ZERO if unit in cost.FREE_UNLESS_PRICED else None
