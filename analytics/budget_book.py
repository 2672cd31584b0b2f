"""Loads the budgets in force into one frozen book, for the snapshot: who is held to which."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from zoneinfo import ZoneInfo

from django.conf import settings

from analytics.models import Budget as Row
from analytics.models import Project
from analytics.types import Book, Budget, BudgetAction, BudgetScope, NearEdge, Window

logger = logging.getLogger(__name__)


def load() -> Book:
    rows = Row.objects.filter(enabled=True).select_related("project", "api_key__project").order_by("id")
    return _book(list(_readable(rows)))


def _book(budgets: list[Budget]) -> Book:
    by_project: dict[int, tuple[Budget, ...]] = {}
    by_key: dict[int, tuple[Budget, ...]] = {}
    for budget in budgets:
        if budget.key_id is not None:
            by_key[budget.key_id] = (*by_key.get(budget.key_id, ()), budget)
        elif budget.project_id is not None:
            by_project[budget.project_id] = (*by_project.get(budget.project_id, ()), budget)
    return Book(
        tuple(budget for budget in budgets if budget.scope is BudgetScope.INSTALLATION),
        by_project,
        by_key,
    )


def _readable(rows: Iterable[Row]) -> Iterable[Budget]:
    for row in rows:
        try:
            yield frozen(row)
        except ValueError as error:
            # Written past our checks: it must not keep the others from being enforced.
            logger.error("Budget %s cannot be used: %s", row.pk, error)


def frozen(row: Row) -> Budget:
    """Raises: ValueError when a column holds what is unknown."""
    project = row.api_key.project if row.api_key else row.project
    scope = BudgetScope.KEY if row.api_key else BudgetScope.PROJECT if project else BudgetScope.INSTALLATION
    name = row.api_key.name if row.api_key else project.slug if project else ""
    return Budget(
        id=row.pk,
        scope=scope,
        name=name,
        project_id=row.project_id,
        key_id=row.api_key_id,
        window=Window(row.window),
        zone=_zone(project),
        limit_usd=row.limit_usd,
        action=BudgetAction(row.action),
        layer=row.layer,
        near_edge=NearEdge(row.near_edge),
        severity=row.severity,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        defined_at=row.defined_at,
    )


def _zone(project: Project | None) -> str:
    name = project.time_zone if project else settings.TIME_ZONE
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # Written past our checks. A budget whose windows begin at other hours is better than none.
        logger.error("%r is not a time zone: budgets count in UTC instead", name)
        return "UTC"
    return name
