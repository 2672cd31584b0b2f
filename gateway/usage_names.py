"""Names of projects, keys, providers, models and layers as people write them in filters of reports.

Known is what there is now, and what the ledger has of what there was: of either only what the asker may know of.
Raises ValidationError naming the parameter everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model as Table
from django.db.models import Q, QuerySet

from analytics.callers import OWNER_NAME
from analytics.models import ApiKey, Project, UsageSeries
from analytics.queries.filters import Dimension
from analytics.series import Cut
from analytics.types import Caller
from providers.models import Model, Provider
from routing import listing, snapshot
from routing.models import Layer

if TYPE_CHECKING:
    from gateway.usage_asking import Asker

Row = TypeVar("Row", bound=Table)


def projects(names: Iterable[str], *, asker: Asker) -> frozenset[int]:
    """By their slugs; the last ones of deleted projects too."""
    found: set[int] = set()
    for name in names:
        rows = _within(Project.objects.filter(slug=name), "pk", asker.project_ids).values_list("pk", flat=True)
        gone = _series(Cut.PROJECT, asker).filter(project=name).values_list("project_id", flat=True)
        ids = set(rows) or {one for one in gone if one is not None}
        if not ids:
            raise _unknown("project", name)
        found |= ids
    return frozenset(found)


def keys(names: Iterable[str], *, projects: frozenset[int] | None, asker: Asker) -> frozenset[int | None]:
    """By their names or ids, in `projects` where some are named; every key of a name that several have."""
    found: set[int | None] = set()
    for name in names:
        ids = {None} if name == OWNER_NAME else _keys(name, projects=projects, asker=asker)
        if not ids:
            raise _unknown("key", name)
        found |= ids
    return frozenset(found)


def _keys(name: str, *, projects: frozenset[int] | None, asker: Asker) -> set[int | None]:
    rows = _within(ApiKey.objects.all(), "project_id", asker.project_ids)
    gone = _series(Cut.KEY, asker).exclude(key_id=None)
    if projects is not None:
        rows, gone = rows.filter(project_id__in=projects), gone.filter(project_id__in=projects)
    if asker.reach.keys is not None:
        rows = rows.filter(pk__in=[one for one in asker.reach.keys if one is not None])
    number = int(name) if name.isascii() and name.isdecimal() and len(name) < 19 else 0
    tries = (
        rows.filter(name=name).values_list("pk", flat=True),
        rows.filter(pk=number).values_list("pk", flat=True),
        gone.filter(key_id=number).values_list("key_id", flat=True),
        gone.filter(key_name=name).values_list("key_id", flat=True),
    )
    return next((ids for query in tries if (ids := set(query))), set())


def configured(dimension: Dimension, names: Sequence[str] | None, *, asker: Asker) -> frozenset[str] | None:
    """Providers by slug, models by their own id or as `provider/id`, layers by name."""
    if names is None:
        return None
    for name in names:
        if not _is_offered(dimension, name, asker.caller) and not _was_used(dimension, name, asker):
            raise _unknown(dimension.value, name)
    return frozenset(names)


def _is_offered(dimension: Dimension, name: str, caller: Caller | None) -> bool:
    """Whether it is configured, and a key may use it."""
    if caller is not None:
        config = snapshot.current()
        layers = listing.layers(config, caller=caller)
        models = [one.model for layer in layers for one in layer.candidates]
        return {
            Dimension.LAYER: any(layer.name == name for layer in layers),
            Dimension.PROVIDER: any(model.provider.slug == name for model in models),
            Dimension.MODEL: any(name in (model.name, model.qualified_name) for model in models),
        }[dimension]
    if dimension is Dimension.LAYER:
        return Layer.objects.filter(name=name).exists()
    if dimension is Dimension.PROVIDER:
        return Provider.objects.filter(slug=name).exists()
    slug, _, rest = name.partition("/")
    return Model.objects.filter(Q(name=name) | Q(provider__slug=slug, name=rest)).exists()


def _was_used(dimension: Dimension, name: str, asker: Asker) -> bool:
    rows = _series(Cut.FULL, asker)
    if dimension is Dimension.LAYER:
        return rows.filter(layer=name).exists()
    if dimension is Dimension.PROVIDER:
        return rows.filter(provider=name).exists()
    slug, _, rest = name.partition("/")
    return rows.filter(Q(model=name) | Q(provider=slug, model=rest)).exists()


def _series(cut: Cut, asker: Asker) -> QuerySet[UsageSeries]:
    """What the ledger has of what the asker may see, in a cut that knows projects; keys too, where they matter."""
    reach = asker.reach
    rows = UsageSeries.objects.filter(cut=Cut.KEY if reach.keys is not None and cut is Cut.PROJECT else cut)
    rows = _within(rows, "project_id", reach.projects)
    return rows if reach.keys is None else rows.filter(key_id__in=[one for one in reach.keys if one is not None])


def _within(rows: QuerySet[Row], column: str, ids: frozenset[int] | None) -> QuerySet[Row]:
    return rows if ids is None else rows.filter(**{f"{column}__in": ids})


def _unknown(about: str, name: str) -> ValidationError:
    return ValidationError({about: [f"There is no {about} {name!r} that you may see."]})
