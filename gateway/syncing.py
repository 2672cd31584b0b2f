"""Brings the models of one provider up to date with its own list: the use case behind `manage.py models sync`.

Asks (`gateway.asking`), compares (`routing.offers.comparing`), and leaves the database to `routing.catalog_rows`, in
one transaction. Never deletes and never switches anything off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace

from gateway import asking, checking, mending
from providers import door
from providers.types import Provider, ProviderError
from routing import catalog_dump, catalog_rows
from routing.catalog_rows import Action, Change, Diff
from routing.models import Layer
from routing.offers import comparing
from routing.offers.comparing import Comparison
from routing.offers.offer import OfferError, Offers, Skipped

TIMEOUT_S = 30.0
NAMED = 3
"""Entries that an error names."""


class SyncError(Exception):
    """Nothing was changed; the message says why, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the provider's list would change."""

    slug: str
    comparison: Comparison
    diff: Diff
    """Prices that are not wanted stand in it as kept."""
    with_prices: bool
    skipped: tuple[Skipped, ...]
    """Entries of the list that could not be read; what they would change is not known."""

    @property
    def kept_prices(self) -> int:
        return sum(change.kind == "price" and change.action is Action.KEEP for change in self.diff.changes)


def plan(
    slug: str, *, add: Collection[str] = (), layer: str | None = None, prices: bool = False, within_s: float = TIMEOUT_S
) -> Plan:
    """Asks the provider and compares; writes nothing. Raises: SyncError, UnknownProvider."""
    if layer is not None and not Layer.objects.filter(name=layer).exists():
        known = ", ".join(Layer.objects.values_list("name", flat=True))
        raise SyncError(f"There is no layer {layer!r}; there is {known or 'none: manage.py catalog load'}.")
    found, skipped = compared(slug, add=add, layer=layer, within_s=within_s)
    return Plan(slug, found, _diff(slug, found, prices=prices), prices, skipped)


def compared(
    slug: str, *, add: Collection[str], layer: str | None = None, within_s: float = TIMEOUT_S
) -> tuple[Comparison, tuple[Skipped, ...]]:
    """The provider's list beside the models that are set up; entries that could not be read. `add` are patterns.

    Raises: SyncError, UnknownProvider.
    """
    (subject,) = checking.subjects([slug])
    offered = _ask(subject, within_s=within_s)
    provider = subject.provider
    found = comparing.compare(
        offered.models,
        held=catalog_dump.models_of(slug),
        add=add,
        layer=layer,
        is_free=provider.is_local and not provider.needs_credential,
        skipped=frozenset(one.name for one in offered.skipped),
    )
    if found.unmatched:
        unread = f" Not read: {'; '.join(map(str, offered.skipped[:NAMED]))}." if offered.skipped else ""
        raise SyncError(f"No model of {slug} fits {', '.join(map(repr, found.unmatched))}.{unread}")
    return found, offered.skipped


def apply(wanted: Plan, *, actor: str) -> Diff:
    """Writes what the plan says, all or nothing, with an audit entry."""
    models = wanted.comparison.wanted(prices=wanted.with_prices)
    return catalog_rows.load_models(wanted.slug, models, actor=actor)


def _diff(slug: str, found: Comparison, *, prices: bool) -> Diff:
    everything = catalog_rows.diff_models(slug, found.wanted(prices=True))
    if prices:
        return everything
    chosen = set(catalog_rows.diff_models(slug, found.wanted(prices=False)).changes)
    return Diff(tuple(change if change in chosen else _kept(change) for change in everything.changes))


def _kept(change: Change) -> Change:
    return replace(change, action=Action.KEEP)


def _ask(subject: checking.Subject, *, within_s: float) -> Offers:
    """Raises: SyncError."""
    problem = subject.key_problem
    if problem is None:
        try:
            return asyncio.run(_offers(subject.provider, within_s=within_s))
        except TimeoutError:
            problem = mending.timed_out(subject.place, within_s=within_s)
        except ProviderError as error:
            problem = mending.list_failed(subject.place, error=error)
        except OfferError as error:
            problem = mending.no_list(subject.place, why=str(error))
    raise SyncError(f"{subject.place.slug}: {problem.says}. {problem.mend}.")


async def _offers(provider: Provider, *, within_s: float) -> Offers:
    async with door.opened():
        return await asking.offers_of(provider, within_s=within_s)
