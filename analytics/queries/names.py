"""Groups of a report by the names people know. Keys and projects are told apart by id and shown under the name they
have now, or the last one they had."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from django.db import connection

from analytics.callers import OWNER_NAME
from analytics.models import ApiKey, Project
from analytics.queries.filters import COLUMNS, Dimension
from analytics.queries.sums import Group
from analytics.rollup_models import UsageRollup, UsageSeries
from analytics.series import Cut, Grain

Names = Mapping[int, tuple[str, str]]
"""By a key's id: its name and its project's slug; by a project's: its slug, twice."""


FIELDS: Mapping[Dimension, tuple[str, ...]] = {dimension: (dimension.value,) for dimension in Dimension} | {
    Dimension.KEY: ("key_id", "key", "project"),
    Dimension.PROJECT: ("project_id", "project"),
    Dimension.MODEL: ("provider", "model"),
}
"""What a group of a dimension is told by. A key's project is the one it is in now, unless rows are told apart by it."""


class Named(msgspec.Struct, frozen=True):
    """One group, as a person or a program is told of it."""

    fields: dict[str, int | str | None]
    """By name, such as `provider` and `model`; None where there is none."""

    @property
    def label(self) -> str:
        """For a row of a table; '' where the group is what has no such thing, such as requests without a layer."""
        left_out = "project" if "key" in self.fields else ""
        return "/".join(value for name, value in self.fields.items() if isinstance(value, str) and name != left_out)


def named(groups: Collection[Group], dimensions: Iterable[Dimension]) -> list[Named]:
    """In the order of `groups`. Looks up the names of those keys and projects alone."""
    wanted = tuple(dimensions)
    split = [_by_dimension(group, wanted) for group in groups]
    known = {
        Dimension.KEY: _keys({values[Dimension.KEY][0] for values in split if Dimension.KEY in values}),
        Dimension.PROJECT: _projects({values[Dimension.PROJECT][0] for values in split if Dimension.PROJECT in values}),
    }
    return [Named(_fields(values, known)) for values in split]


def _by_dimension(group: Group, dimensions: Iterable[Dimension]) -> dict[Dimension, Group]:
    found, at = {}, 0
    for dimension in dimensions:
        width = len(COLUMNS[dimension])
        found[dimension] = group[at : at + width]
        at += width
    return found


def _fields(values: Mapping[Dimension, Group], known: Mapping[Dimension, Names]) -> dict[str, int | str | None]:
    fields: dict[str, int | str | None] = {}
    for dimension, (first, *others) in values.items():
        if dimension is Dimension.KEY:
            name, project = (OWNER_NAME, "") if first is None else known[dimension].get(first, ("", ""))
            fields = {"key_id": first, "key": name, "project": project or None} | fields
        elif dimension is Dimension.PROJECT:
            fields |= {"project_id": first, "project": known[dimension].get(first, ("", ""))[0]}
        elif dimension is Dimension.MODEL:
            fields |= {"provider": first or None, "model": others[0] or None}
        else:
            fields[dimension.value] = first or None
    return fields


def _keys(ids: set[int | None]) -> Names:
    wanted = {one for one in ids if one is not None}
    if not wanted:
        return {}
    rows = ApiKey.objects.filter(pk__in=wanted).order_by().values_list("pk", "name", "project__slug")
    found = {key_id: (name, slug) for key_id, name, slug in rows}
    return found | _last_known("key", wanted - found.keys())


def _projects(ids: set[int]) -> Names:
    rows = Project.objects.filter(pk__in=ids).order_by().values_list("pk", "slug") if ids else ()
    found = {project_id: (slug, slug) for project_id, slug in rows}
    return found | _last_known("project", ids - found.keys())


def _last_known(what: str, ids: set[Any]) -> dict[int, tuple[str, str]]:
    """Of what was deleted: the names in its latest roll-up."""
    if not ids:
        return {}
    column, name, cut, grain = (
        ("s.key_id", "s.key_name", Cut.KEY, Grain.DAY_KEY)
        if what == "key"
        else ("s.project_id", "s.project", Cut.PROJECT, Grain.DAY_PROJECT)
    )
    statement = (
        f"SELECT {column}, {name}, s.project FROM {UsageSeries._meta.db_table} s "
        f"WHERE s.cut = {int(cut)} AND {column} IN ({', '.join(['%s'] * len(ids))}) ORDER BY "
        f"(SELECT MAX(r.start) FROM {UsageRollup._meta.db_table} r WHERE r.series_id = s.id AND r.grain = {int(grain)})"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, sorted(ids))
        return {int(found): (str(told), str(slug)) for found, told, slug in cursor.fetchall()}
