"""What a key or a project may still use, as JSON: its limits and its budgets, each with what is left."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from analytics import keys, limit_standing, standing
from analytics.models import ApiKey, Budget, Project
from analytics.standing import Standing
from gateway import budget_listing
from gateway.usage_rows import money

NOTHING = Decimal(0)


def of_key(row: ApiKey) -> dict[str, Any]:
    return {"id": row.pk, "name": row.name, "limits": _limits(row), "budgets": _budgets(row)}


def of_project(row: Project) -> dict[str, Any]:
    """Its own limits and budgets; those of its keys are told with them."""
    return {"slug": row.slug, "limits": _limits(row), "budgets": _budgets(row)}


def _limits(row: ApiKey | Project) -> dict[str, Any]:
    """By name; None for no limit. What is left is None where nobody can tell."""
    used = limit_standing.of(row)
    return {name: _limit(getattr(row, name), used.get(name)) for name in keys.LIMITS}


def _limit(limit: int | None, used: int | None) -> dict[str, int | None] | None:
    if limit is None:
        return None
    return {"limit": limit, "used": used, "left": None if used is None else max(limit - used, 0)}


def _budgets(row: ApiKey | Project) -> list[dict[str, Any]]:
    """Those that are enabled."""
    among = Budget.objects.select_related("project", "api_key__project").filter(enabled=True)
    rows = list(among.filter(api_key=row) if isinstance(row, ApiKey) else among.filter(project=row))
    stands = standing.of(rows)
    return [
        {"object": "budget", **budget_listing.as_json(one, stands[one.pk]), "left_usd": _left(one, stands[one.pk])}
        for one in rows
    ]


def _left(row: Budget, stand: Standing) -> str | None:
    if stand.spent_usd is None:
        return None
    return money(max(row.limit_usd - stand.spent_usd - (stand.held_usd or NOTHING), NOTHING))
