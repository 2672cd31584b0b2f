"""What pages tell of projects: how many members, keys and budgets each has, and what the last thirty days cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.conf import settings
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from analytics import visibility
from analytics.authority import Authority
from analytics.models import ApiKey, Budget, Membership, Project, Role
from analytics.queries import moments, reports
from analytics.queries.filters import Dimension, Filters

WINDOW = "30d"
_NOTHING = Decimal(0)


class Line(msgspec.Struct, frozen=True):
    project: Project
    role: str
    """Of who looks."""
    members: int
    keys: int
    budgets: int
    """Its own, and those of its keys."""
    cost_usd: Decimal
    """Of the last thirty days."""


def among(found: Authority, *, part: str = "") -> QuerySet[Project]:
    """Projects that it sees, by slug; those with `part` in their slug or name, in any case of letters."""
    rows = visibility.projects_of(found).order_by("slug")
    return rows.filter(Q(slug__icontains=part) | Q(name__icontains=part)) if part else rows


def lines(rows: QuerySet[Project], *, found: Authority, most: int) -> list[Line]:
    """Of the first `most`: one query for what they have, and one for what they cost."""
    counted = rows.annotate(
        member_count=_count(Membership, by="project"),
        key_count=_count(ApiKey, by="project"),
        own_budgets=_count(Budget, by="project"),
        key_budgets=_count(Budget, by="api_key__project"),
    )
    shown: Sequence[Any] = list(counted[:most])
    costs = _costs(frozenset(row.pk for row in shown))
    return [
        Line(
            project=row,
            role=role_in(row, found=found),
            members=row.member_count,
            keys=row.key_count,
            budgets=row.own_budgets + row.key_budgets,
            cost_usd=costs.get(row.pk, _NOTHING),
        )
        for row in shown
    ]


def role_in(project: Project, *, found: Authority) -> str:
    if found.roles is None:
        return "superuser"
    return Role(found.roles[project.pk]).label.lower()


def _count(table: type[Membership] | type[ApiKey] | type[Budget], *, by: str) -> Coalesce:
    of_one = table._default_manager.filter(**{by: OuterRef("pk")}).order_by().values(by)
    return Coalesce(Subquery(of_one.annotate(number=Count("pk")).values("number"), output_field=IntegerField()), 0)


def _costs(project_ids: frozenset[int]) -> dict[Any, Decimal]:
    if not project_ids:
        return {}
    span = moments.span(WINDOW, None, zone=settings.TIME_ZONE, now=datetime.now(UTC))
    page = reports.ranked([Dimension.PROJECT], span, Filters(projects=project_ids), limit=len(project_ids))
    return {row.group.fields["project_id"]: row.totals.cost_usd for row in page.rows}
