"""What the pages of tokens tell of keys beside their rows: when they were used, for how much, how their budgets stand,
what became of them. Reads within what the user may see; a page asks once for all of its keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec
from django.conf import settings
from django.db.models import Q, QuerySet

from analytics import audit_listing, key_history, keys, visibility
from analytics.audit_listing import Wanted
from analytics.authority import Authority
from analytics.models import ApiKey, AuditEntry, Role
from analytics.queries import moments, reports
from analytics.queries.filters import Dimension, Filters
from analytics.queries.reports import Page, Point
from analytics.queries.spans import Step
from analytics.queries.sums import Totals
from gateway import budget_bars, key_listing
from gateway.budget_bars import Bar

MOST_ENTRIES = 20
MOST_MODELS = 6
USAGE_OF = "30d"
_TEXTS = ("name", "prefix", "previous_prefix", "owner__username", "project__slug", "project__name")
"""Where a search looks."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A key in the list."""

    row: ApiKey
    state: str
    held_to: str
    limits: str
    last_used_at: datetime | None
    spent_usd: Decimal
    """This month."""
    budget: Bar | None
    """Of its own budgets that count now, the one that is nearest to its end."""


class Day(msgspec.Struct, frozen=True):
    start: datetime
    totals: Totals
    height: float
    """Of its bar in a drawing ten high: the busiest day's is as high as that."""

    @property
    def top(self) -> float:
        return 10 - self.height


class Usage(msgspec.Struct, frozen=True):
    """Of one key, of the last thirty days."""

    totals: Totals
    models: Page
    days: tuple[Day, ...]


def matching(rows: QuerySet[ApiKey], text: str) -> QuerySet[ApiKey]:
    """Those with this text in their name, first characters, owner or project, in any case of letters."""
    if "\0" in text:
        return rows.none()
    wanted = Q()
    for name in _TEXTS:
        wanted |= Q(**{f"{name}__icontains": text})
    return rows.filter(wanted)


def lines(rows: Sequence[ApiKey], *, found: Authority, now: datetime) -> list[Line]:
    if not rows:
        return []
    last_used, spent, nearest = key_history.last_used(rows), _spent(rows, found, now=now), _nearest(rows, found)
    return [
        Line(
            row=row,
            state=keys.state(row).value,
            held_to=key_listing.narrowed(row),
            limits=key_listing.limits(row),
            last_used_at=last_used.get(row.pk),
            spent_usd=spent.get(row.pk, Decimal(0)),
            budget=nearest.get(row.pk),
        )
        for row in rows
    ]


def usage(row: ApiKey, *, found: Authority, now: datetime) -> Usage:
    """From the roll-ups, by the clock of its project."""
    span = moments.span(USAGE_OF, None, zone=row.project.time_zone, now=now)
    filters = _filters([row], found)
    return Usage(
        reports.totals(span, filters),
        reports.ranked([Dimension.MODEL], span, filters, limit=MOST_MODELS),
        _days(reports.over_time(span, filters, step=Step.DAY)),
    )


def bars(row: ApiKey, *, found: Authority) -> list[Bar]:
    """Of its own budgets."""
    return budget_bars.of(visibility.budgets_of(found).filter(api_key=row).order_by("pk"))


def entries(row: ApiKey, *, found: Authority) -> list[AuditEntry]:
    """What the audit trail has of it, the newest first, for who may read it. Entries name a key by its name and first
    characters: both are asked for, as either may have changed since."""
    shown = Q(target__endswith=f"({row.prefix}...)")
    if row.previous_prefix:
        shown |= Q(target__endswith=f"({row.previous_prefix}...)")
    named = Q(target__startswith=f"{row.name} (", project_id=row.project_id, at__gte=row.created_at)
    among = audit_listing.entries(found, Wanted(action="api_key."))
    return list(among.filter(shown | named)[:MOST_ENTRIES])


def _days(points: Sequence[Point]) -> tuple[Day, ...]:
    most = max((point.totals.requests for point in points), default=0) or 1
    return tuple(Day(point.start, point.totals, round(10 * point.totals.requests / most, 2)) for point in points)


def _spent(rows: Sequence[ApiKey], found: Authority, *, now: datetime) -> Mapping[int, Decimal]:
    span = moments.span("this month", None, zone=settings.TIME_ZONE, now=now)
    page = reports.ranked([Dimension.KEY], span, _filters(rows, found), limit=len(rows))
    amounts = ((one.group.fields["key_id"], one.totals.cost_usd) for one in page.rows)
    return {key_id: cost_usd for key_id, cost_usd in amounts if isinstance(key_id, int)}


def _nearest(rows: Sequence[ApiKey], found: Authority) -> Mapping[int, Bar]:
    own = visibility.budgets_of(found).filter(api_key__in=rows, enabled=True).order_by("pk")
    counting = [bar for bar in budget_bars.of(own) if bar.state == "active"]
    return {bar.budget.api_key_id or 0: bar for bar in sorted(counting, key=lambda bar: bar.share)}


def _filters(rows: Sequence[ApiKey], found: Authority) -> Filters:
    """What these keys did in projects that the user belongs to: one that was moved here was used elsewhere before."""
    return Filters(keys=frozenset(row.pk for row in rows), projects=found.within(Role.VIEWER))
