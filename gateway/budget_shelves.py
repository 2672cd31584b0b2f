"""What the page of budgets shows: the installation's budgets, and of each project its budgets, its limits, and the keys
that have either. Reads within what the user may see; the counters are asked once for all of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from django.db.models import Exists, OuterRef, Q, QuerySet

from analytics import keys, visibility
from analytics.authority import Authority
from analytics.models import ApiKey, Budget, Project, Role
from gateway import budget_bars, key_listing
from gateway.budget_bars import Bar

MOST_KEYS = 200
"""On one page; each key's own page has all of its budgets."""


class KeyLine(msgspec.Struct, frozen=True):
    key: ApiKey
    limits: str
    bars: tuple[Bar, ...]


class Shelf(msgspec.Struct, frozen=True):
    project: Project
    bars: tuple[Bar, ...]
    keys: tuple[KeyLine, ...]
    may_change: bool


class Shelves(msgspec.Struct, frozen=True):
    installation: tuple[Bar, ...]
    projects: tuple[Shelf, ...]
    has_more_keys: bool


def of(projects: Sequence[Project], *, found: Authority) -> Shelves:
    held = list(_keys(projects, found)[: MOST_KEYS + 1])
    shown = held[:MOST_KEYS]
    bars = budget_bars.of(_budgets(projects, shown, found))
    lines = [KeyLine(key, key_listing.limits(key), _own(bars, api_key_id=key.pk)) for key in shown]
    return Shelves(
        installation=_own(bars, project_id=None, api_key_id=None),
        projects=tuple(
            Shelf(
                project,
                _own(bars, project_id=project.pk),
                tuple(line for line in lines if line.key.project_id == project.pk),
                may_change=found.has(Role.ADMIN, project_id=project.pk),
            )
            for project in projects
        ),
        has_more_keys=len(held) > MOST_KEYS,
    )


def _keys(projects: Sequence[Project], found: Authority) -> QuerySet[ApiKey]:
    """Those with a limit or a budget of their own."""
    limited = Q(Exists(Budget.objects.filter(api_key=OuterRef("pk"))))
    for name in keys.LIMITS:
        limited |= Q(**{f"{name}__isnull": False})
    return visibility.keys_of(found).filter(limited, project__in=projects).order_by("project__slug", "name")


def _budgets(projects: Sequence[Project], shown: Sequence[ApiKey], found: Authority) -> QuerySet[Budget]:
    whose = Q(project__in=projects) | Q(api_key__in=shown) | Q(project=None, api_key=None)
    return visibility.budgets_of(found).filter(whose).order_by("pk")


def _own(bars: Sequence[Bar], **whose: int | None) -> tuple[Bar, ...]:
    return tuple(bar for bar in bars if all(getattr(bar.budget, name) == wanted for name, wanted in whose.items()))
