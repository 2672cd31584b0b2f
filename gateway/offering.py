"""What a provider offers beside the models that are set up, and some of it added: with its facts, its prices where they
are known, as the last ones of a layer.

Asks by the free call (`gateway.syncing`), once to show and once more to add: what is written is what is offered then.
"""

from __future__ import annotations

import glob
from collections.abc import Collection
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from gateway import syncing
from gateway.checking import UnknownProvider
from gateway.syncing import SyncError
from providers.models import Kind, Model
from routing import candidate_rows, catalog, catalog_rows, configuring, price_sync
from routing.models import Layer
from routing.offers.comparing import Comparison
from routing.offers.offer import Skipped

MOST_AT_ONCE = 200
FAILURES = (SyncError, UnknownProvider)
"""The provider could not be asked; the message says how to mend it."""


@dataclass(frozen=True, slots=True)
class Offering:
    fresh: tuple[catalog.Model, ...]
    """What could be added, by name."""
    known: int
    """How many of its models are set up."""
    gone: tuple[str, ...]
    """Models that are set up and no longer offered."""
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class Added:
    models: tuple[Model, ...]
    unpriced: tuple[Model, ...]
    """Those of which nobody knows a price: they are not called, or cost an estimate, as the policy says."""


def offered(slug: str) -> Offering:
    """Raises: one of `FAILURES`."""
    found, skipped = syncing.compared(slug, add=["*"])
    fresh = sorted(found.added, key=lambda model: model.name)
    return Offering(tuple(fresh), len(found.known), found.gone, skipped)


def add(slug: str, names: Collection[str], *, layer: Layer | None, actor: str) -> Added:
    """All of them or none. Prices come from the provider's list, else from `genai-prices`.

    Raises: one of `FAILURES`; ValidationError; Layer.DoesNotExist.
    """
    if not 0 < len(names) <= MOST_AT_ONCE:
        raise ValidationError(f"Tick the models to add, {MOST_AT_ONCE} at most.")
    found, _ = syncing.compared(slug, add=[glob.escape(name) for name in names])
    _refuse_known(slug, names, found)
    with configuring.changing(actor):
        catalog_rows.load_models(slug, found.added, actor=actor)
        rows = Model.objects.filter(provider__slug=slug, name__in=names).order_by("name")
        price_sync.sync(rows.filter(prices=None), actor=actor)
        if layer is not None:
            _put_last(list(rows.exclude(kind=Kind.EMBEDDINGS)), layer=layer, actor=actor)
        found_rows = tuple(rows.select_related("provider"))
        unpriced = set(rows.filter(prices=None).values_list("pk", flat=True))
    return Added(found_rows, tuple(row for row in found_rows if row.pk in unpriced))


def _refuse_known(slug: str, names: Collection[str], found: Comparison) -> None:
    """Raises: ValidationError where somebody else added one of them meanwhile."""
    added = {model.name for model in found.added}
    if known := [name for name in names if name not in added]:
        raise ValidationError(f"{slug} has {configuring.listed(known)} already.")


def _put_last(rows: Collection[Model], *, layer: Layer, actor: str) -> None:
    last = max((one.priority for one in candidate_rows.of(layer)), default=-1)
    for priority, row in enumerate(rows, start=last + 1):
        candidate_rows.add(layer, row, actor=actor, priority=priority)
