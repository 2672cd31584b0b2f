"""Compares a list of prices with the rows there are, and says which rows to write so that it holds. History stays.

What holds now is replaced from now on, what was announced for later is corrected; no price of the past is ever touched.
Catalog, lists of providers and `prices sync` all go by it. Saves nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from providers import models as vendors
from providers.listed_prices import PRICED_BY_ONE, listed_usd
from providers.types import Unit

PriceList = dict[tuple[datetime, int], Decimal]
"""USD of one unit, by the moment and the number of input tokens from which it holds."""


@dataclass(frozen=True, slots=True)
class Step:
    """One price that changes: None before where it is new, None after where its tier is no more."""

    unit: Unit
    from_tokens: int
    day: date | None
    """From when on; None: from now, or from the start."""
    before: Decimal | None
    after: Decimal | None

    @property
    def what(self) -> str:
        return what(self.unit, from_tokens=self.from_tokens)


@dataclass(frozen=True, slots=True)
class Compared:
    steps: tuple[Step, ...]
    writes: tuple[tuple[vendors.Price, list[str] | None], ...]
    """Rows to save, and which of their fields (None: a new row)."""


def compare(
    unit: Unit, *, wanted: PriceList, held: Iterable[vendors.Price], model: vendors.Model, now: datetime
) -> Compared:
    """`held` are the model's prices of all units."""
    rows = {(price.valid_from, price.from_tokens): price for price in held if price.unit == unit}
    known = {key: row.usd_per_unit for key, row in rows.items()}
    writes: list[tuple[vendors.Price, list[str] | None]] = []
    for (valid_from, tokens), usd in _to_add(known, wanted, now=now).items():
        price = vendors.Price(model=model, unit=unit, usd_per_unit=usd, from_tokens=tokens, valid_from=valid_from)
        writes.append((price, None))
    for key, usd in wanted.items():
        if key[0] > now and known.get(key, usd) != usd:
            rows[key].usd_per_unit = usd
            writes.append((rows[key], ["usd_per_unit"]))
    return Compared(tuple(_steps(unit, known, wanted, now=now)), tuple(writes))


def in_force(prices: PriceList, *, now: datetime) -> dict[int, Decimal]:
    """By number of input tokens, the newest prices that are not in the future."""
    newest = max((valid_from for valid_from, _ in prices if valid_from <= now), default=None)
    return {tokens: usd for (valid_from, tokens), usd in prices.items() if valid_from == newest}


def keys_in_force(prices: PriceList, *, now: datetime) -> set[tuple[datetime, int]]:
    """The prices of a unit that requests are charged at, as `analytics.rates` finds them: those of the newest list, and
    below its first tier those of the newest one before it that begins lower."""
    found: set[tuple[datetime, int]] = set()
    first: int | None = None
    for moment in sorted({moment for moment, _ in prices if moment <= now}, reverse=True):
        lower = {(start, tokens) for start, tokens in prices if start == moment and (first is None or tokens < first)}
        found |= lower
        first = min((tokens for _, tokens in lower), default=first)
    return found


def of_unit(unit: Unit, held: Iterable[vendors.Price]) -> PriceList:
    return {(price.valid_from, price.from_tokens): price.usd_per_unit for price in held if price.unit == unit}


def what(unit: Unit, *, from_tokens: int) -> str:
    return f"{unit}" + (f" from {from_tokens} tokens" if from_tokens else "")


def in_words(unit: Unit, usd: Decimal | None) -> str:
    """As people read it; '' for none."""
    if usd is None:
        return ""
    return f"{listed_usd(unit, usd)} USD" + ("" if unit in PRICED_BY_ONE else " per million")


def _to_add(known: PriceList, wanted: PriceList, *, now: datetime) -> PriceList:
    before, after = in_force(known, now=now), in_force(wanted, now=now)
    new = {key: usd for key, usd in wanted.items() if key not in known and (not known or key[0] > now)}
    if known and after and after != before:
        # All tiers together: `analytics.rates` takes the newest prices of a unit and ignores older tiers.
        new |= {(now, tokens): usd for tokens, usd in after.items()}
    return new


def _steps(unit: Unit, known: PriceList, wanted: PriceList, *, now: datetime) -> Iterator[Step]:
    if not known:
        for (moment, tokens), usd in wanted.items():
            yield Step(unit, tokens, moment.date() if moment > vendors.FIRST_DAY else None, None, usd)
        return
    before, after = in_force(known, now=now), in_force(wanted, now=now)
    for tokens in sorted(before.keys() | after.keys() if after else ()):
        if before.get(tokens) != after.get(tokens):
            yield Step(unit, tokens, None, before.get(tokens), after.get(tokens))
    for (moment, tokens), usd in wanted.items():
        if moment > now and known.get((moment, tokens)) != usd:
            yield Step(unit, tokens, moment.date(), known.get((moment, tokens)), usd)
