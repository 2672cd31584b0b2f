"""How a budget is shown by `manage.py budgets` and by the API: as JSON, as a row of a table, as lines in words."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from analytics.budget_rows import state
from analytics.models import Budget, Project
from analytics.standing import Standing
from analytics.types import BudgetScope

HEADINGS = ["id", "whose", "limit", "per", "spent", "held", "action", "near the edge", "from", "until", "state"]
UNKNOWN = "?"
"""In place of an amount while the counters cannot tell it."""


def as_json(row: Budget, standing: Standing) -> dict[str, Any]:
    """Amounts are strings of plain digits, times in the budget's own zone."""
    project = row.api_key.project if row.api_key else row.project
    scope = BudgetScope.KEY if row.api_key else BudgetScope.PROJECT if project else BudgetScope.INSTALLATION
    zone = zone_of(row)
    return {
        "id": row.pk,
        "scope": scope.value,
        "project": project.slug if project else None,
        "api_key": row.api_key_id,
        "key": row.api_key.name if row.api_key else None,
        "window": row.window,
        "limit_usd": f"{row.limit_usd.normalize():f}",
        "spent_usd": _plain(standing.spent_usd),
        "held_usd": _plain(standing.held_usd),
        "window_starts_at": _iso(standing.window_starts_at, zone=zone),
        "window_ends_at": _iso(standing.window_ends_at, zone=zone),
        "action": row.action,
        "layer": row.layer or None,
        "near_edge": row.near_edge,
        "severity": row.severity,
        "time_zone": zone,
        "starts_at": _iso(row.starts_at, zone=zone),
        "ends_at": _iso(row.ends_at, zone=zone),
        "enabled": row.enabled,
        "state": state(row),
    }


def as_row(row: Budget, standing: Standing) -> list[object]:
    return [
        row.pk,
        row.whose,
        dollars(row.limit_usd),
        row.window,
        amount(row, standing.spent_usd),
        amount(row, standing.held_usd),
        _action(row),
        row.near_edge,
        moment(row.starts_at, row) or "-",
        moment(row.ends_at, row) or "-",
        state(row),
    ]


def as_lines(row: Budget, standing: Standing) -> dict[str, object]:
    began, ends = (moment(edge, row) for edge in (standing.window_starts_at, standing.window_ends_at))
    return {
        "whose": row.whose,
        "limit": dollars(row.limit_usd),
        "per": f"{row.window}, by the clock of {zone_of(row)}",
        "spent": amount(row, standing.spent_usd),
        "held": amount(row, standing.held_usd),
        "window": f"{began} to {ends}" if began and ends else f"from {began}" if began else "-",
        "action": _action(row),
        "near the edge": row.near_edge,
        "severity": row.severity,
        "from": moment(row.starts_at, row) or "at once",
        "until": moment(row.ends_at, row) or "for good",
        "state": state(row),
    }


def amount(row: Budget, found: Decimal | None) -> str:
    """`-` for a budget that counts nothing now, `?` where the counters cannot tell."""
    if found is not None:
        return dollars(found)
    return UNKNOWN if state(row) == "active" else "-"


def dollars(amount_usd: Decimal) -> str:
    return f"${_plain(amount_usd)}"


def zone_of(row: Budget) -> str:
    return zone_of_project(row.api_key.project if row.api_key else row.project)


def zone_of_project(project: Project | None) -> str:
    return project.time_zone if project else settings.TIME_ZONE


def moment(at: datetime | None, row: Budget) -> str:
    """In the budget's zone, which is named; '' for none."""
    zone = zone_of(row)
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}" if at else ""


def _action(row: Budget) -> str:
    return f"{row.action} to {row.layer}" if row.layer else row.action


def _plain(amount_usd: Decimal | None) -> str | None:
    return None if amount_usd is None else f"{amount_usd.normalize():f}"


def _iso(at: datetime | None, *, zone: str) -> str | None:
    return at.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds") if at else None
