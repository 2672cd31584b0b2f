"""Of what a report is: which projects, keys, models and so on; and which roll-ups tell that apart. Pure.

Who may see which rows is `analytics.visibility`'s, which gives it as filters too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Any

import msgspec

from analytics.series import KNOWN, Grain


class Dimension(StrEnum):
    """What rows of a report may be told apart by."""

    PROJECT = "project"
    KEY = "key"
    PROVIDER = "provider"
    MODEL = "model"
    LAYER = "layer"
    STATUS = "status"
    ERROR = "error_kind"
    KIND = "kind"


COLUMNS = {
    Dimension.PROJECT: ("project_id",),
    Dimension.KEY: ("key_id",),
    Dimension.PROVIDER: ("provider",),
    Dimension.MODEL: ("provider", "model"),
    Dimension.LAYER: ("layer",),
    Dimension.STATUS: ("status_class",),
    Dimension.ERROR: ("error_kind",),
    Dimension.KIND: ("kind",),
}
"""Columns of `UsageSeries`."""
_NEEDS = {
    Dimension.PROJECT: {"project"},
    Dimension.KEY: {"key"},
    Dimension.PROVIDER: {"provider"},
    Dimension.MODEL: {"provider", "model"},
    Dimension.LAYER: {"layer"},
    Dimension.STATUS: {"status"},
    Dimension.ERROR: {"status"},
}
_POOREST_FIRST = tuple(KNOWN)


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """None: all. A row counts that is in each of the sets that are there; an empty one lets nothing through."""

    projects: frozenset[int] | None = None
    keys: frozenset[int | None] | None = None
    """By id; None in it is the local owner."""
    providers: frozenset[str] | None = None
    models: frozenset[str] | None = None
    """A model's own id, or `provider/id`."""
    layers: frozenset[str] | None = None
    """'' is a model outside every layer, or none at all."""
    statuses: frozenset[str] | None = None
    """Values of `StatusClass`."""
    error_kinds: frozenset[str] | None = None
    kinds: frozenset[str] | None = None

    @property
    def lets_nothing_through(self) -> bool:
        return any(getattr(self, name) == frozenset() for name in self.__struct_fields__)

    def sets(self) -> list[tuple[str, frozenset[Any]]]:
        """Those that are there, by name."""
        found = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(name, among) for name, among in found if among is not None]

    def within(self, reach: Filters) -> Filters:
        """What both let through. Models go by how they are spelt: no two sets of them belong together."""
        return Filters(**{name: _both(getattr(self, name), getattr(reach, name)) for name in self.__struct_fields__})


def _both(one: frozenset[Any] | None, other: frozenset[Any] | None) -> frozenset[Any] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def needs(filters: Filters, dimensions: Iterable[Dimension]) -> frozenset[str]:
    """What a cut has to know, in the words of `analytics.series.KNOWN`."""
    asked = set(dimensions) | {dimension for dimension, among in filtered(filters).items() if among is not None}
    return frozenset().union(*(_NEEDS.get(dimension, set()) for dimension in asked))


def filtered(filters: Filters) -> dict[Dimension, frozenset[Any] | None]:
    return {
        Dimension.PROJECT: filters.projects,
        Dimension.KEY: filters.keys,
        Dimension.PROVIDER: filters.providers,
        Dimension.MODEL: filters.models,
        Dimension.LAYER: filters.layers,
        Dimension.STATUS: filters.statuses,
        Dimension.ERROR: filters.error_kinds,
        Dimension.KIND: filters.kinds,
    }


def grain(length: timedelta, *, knowing: frozenset[str]) -> Grain:
    """The roll-ups of a length with the fewest rows that tell enough apart."""
    by_cut = {grain.cut: grain for grain in Grain if grain.length == length}
    return next(by_cut[cut] for cut in _POOREST_FIRST if cut in by_cut and knowing <= KNOWN[cut])
