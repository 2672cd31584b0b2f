"""Brings prices up to date: with the list of `genai-prices` (`manage.py prices sync`), or one by hand (`prices set`).

A price that differs becomes a new one from the moment of writing on; what was charged before stays explained by the
rows that were there. Every model that changes leaves an audit entry with all that changed, from what to what. Models of
local providers, and free ones that the list knows as such, are left alone. What the list says is
`providers.price_book`'s to know.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import QuerySet
from django.utils import timezone

from analytics import audit
from analytics.models import Severity
from providers import models as vendors
from providers import price_book
from providers.price_book import Entry, Missing
from providers.types import Unit
from routing import price_rows
from routing.catalog_rows import one_at_a_time
from routing.price_rows import Compared, PriceList, Step


class PriceProblem(Exception):
    """A price that cannot be set; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class Change:
    """One price of a model that differs."""

    model: str
    """`provider/id`."""
    step: Step


@dataclass(frozen=True, slots=True)
class Kept:
    """A unit that has a price here and none in the list: it stays."""

    model: str
    unit: Unit


@dataclass(frozen=True, slots=True)
class Unlisted:
    model: str
    why: Missing


@dataclass(frozen=True, slots=True)
class Announced:
    """The list has other prices from this day on: to be compared again then."""

    model: str
    day: date


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a comparison found, in the order of the models."""

    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()
    unlisted: tuple[Unlisted, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    """Models with the list's own name of a price that could not be taken over."""
    announced: tuple[Announced, ...] = ()
    free: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    """Models whose prices are as the list has them."""

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def compare(rows: QuerySet[vendors.Model], *, now: datetime | None = None) -> Outcome:
    """What `sync` would change of these models. Writes nothing."""
    at = now or timezone.now()
    found = Outcome()
    for row in _with_prices(rows):
        found += _compared(row, now=at)[0]
    return found


def sync(
    rows: QuerySet[vendors.Model], *, actor: str, shown: Outcome | None = None, now: datetime | None = None
) -> Outcome:
    """Writes what differs, all or nothing, and says what that was. Nothing but what was `shown`, where that is said.

    Raises: PriceProblem.
    """
    found = Outcome()
    with one_at_a_time():
        at = now or timezone.now()
        for row in _with_prices(rows):
            outcome, compared = _compared(row, now=at)
            _write(row, compared, actor=actor, source=price_book.source())
            found += outcome
        if shown is not None and found.changes != shown.changes:
            raise PriceProblem("Prices changed since they were shown, so nothing is written: run it again.")
    return found


def set_price(
    row: vendors.Model, *, unit: Unit, usd: Decimal, from_tokens: int = 0, at: datetime | None = None, actor: str
) -> tuple[Step, ...]:
    """Sets one price from a moment on (None: now); the unit's other tiers hold on. Returns what changed, nothing where
    it held already. A moment of the past is for a unit's first price alone: beside others it writes nothing.

    Raises: PriceProblem.
    """
    with one_at_a_time():
        now = timezone.now()
        moment = at or now
        held = list(row.prices.all())
        wanted = _held_tiers(unit, held, now=moment)
        if 0 not in wanted and from_tokens:
            raise PriceProblem(
                f"{row} has no price of {unit} below {from_tokens} tokens: set that first, without --from-tokens."
            )
        wanted[from_tokens] = usd
        listed: PriceList = {(moment, tokens): each for tokens, each in wanted.items()}
        compared = price_rows.compare(unit, wanted=listed, held=held, model=row, now=now)
        _write(row, [compared], actor=actor, source="by hand")
    return compared.steps


def _held_tiers(unit: Unit, held: Iterable[vendors.Price], *, now: datetime) -> dict[int, Decimal]:
    """As requests are charged: where the newest list names a higher tier alone, the price below it is an older one."""
    prices = price_rows.of_unit(unit, held)
    return {key[1]: prices[key] for key in price_rows.keys_in_force(prices, now=now)}


def _compared(row: vendors.Model, *, now: datetime) -> tuple[Outcome, list[Compared]]:
    name, held = str(row), list(row.prices.all())
    if row.provider.is_local:
        return Outcome(local=(name,)), []
    entry = price_book.look_up(row.name, slug=row.provider.slug, base_url=row.provider.base_url, at=now)
    if isinstance(entry, Missing):
        if entry is Missing.NO_PRICE and held and not any(_now(held, now=now).values()):
            return Outcome(free=(name,)), []
        return Outcome(unlisted=(Unlisted(name, entry),)), []
    compared = [
        price_rows.compare(unit, wanted=wanted, held=held, model=row, now=now)
        for unit, wanted in _lists(entry, now=now).items()
    ]
    return _outcome(name, entry, compared, held=held, now=now), compared


def _outcome(
    name: str, entry: Entry, compared: Iterable[Compared], *, held: list[vendors.Price], now: datetime
) -> Outcome:
    changes = tuple(Change(name, step) for one in compared for step in one.steps)
    listed = {price.unit for price in entry.prices}
    mine = {unit for unit, _ in _now(held, now=now)}
    return Outcome(
        changes=changes,
        kept=tuple(Kept(name, unit) for unit in Unit if unit in mine - listed),
        left_out=tuple((name, price) for price in entry.left_out),
        announced=(Announced(name, entry.changes_on),) if entry.changes_on else (),
        same=() if changes else (name,),
    )


def _lists(entry: Entry, *, now: datetime) -> dict[Unit, PriceList]:
    lists: dict[Unit, PriceList] = {}
    for price in entry.prices:
        lists.setdefault(price.unit, {})[now, price.from_tokens] = price.usd_per_unit
    return lists


def _now(held: Iterable[vendors.Price], *, now: datetime) -> dict[tuple[Unit, int], Decimal]:
    prices = list(held)
    return {
        (unit, tokens): usd
        for unit in Unit
        for tokens, usd in price_rows.in_force(price_rows.of_unit(unit, prices), now=now).items()
    }


def _write(row: vendors.Model, compared: Iterable[Compared], *, actor: str, source: str) -> None:
    done = list(compared)
    with audit.told_here():
        for price, names in (write for one in done for write in one.writes):
            price.save(update_fields=names)
    steps = [step for one in done for step in one.steps]
    if not steps:
        return
    before = {step.what: price_rows.in_words(step.unit, step.before) for step in steps if step.before is not None}
    after = {step.what: price_rows.in_words(step.unit, step.after) for step in steps if step.after is not None}
    audit.record(
        "prices.changed",
        actor=actor,
        target=str(row),
        before=before,
        after=after | {"source": source},
        severity=Severity.WARNING,
    )


def _with_prices(rows: QuerySet[vendors.Model]) -> QuerySet[vendors.Model]:
    return rows.select_related("provider").prefetch_related("prices").order_by("provider__slug", "name")
