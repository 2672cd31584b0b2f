"""Single requests of the ledger, newest first: within a span of at most a month, by keyset, so that an index of
`started_at` leads to each page. The one query that reads the ledger's rows for a list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Concat

from analytics import ids
from analytics.models import UsageRecord
from analytics.queries.deadline import TookTooLong, statements_within
from analytics.queries.filters import Filters
from analytics.queries.spans import Span, SpanProblem
from analytics.series import StatusClass

USUAL_SINCE = "24h"
LONGEST = timedelta(days=31, hours=1)
"""A month, the one in which the clock goes back too."""
SECONDS = 10.0
"""Texts and costs are looked for row by row: a month of millions of them would take longer."""
TOO_LONG = "The search was stopped after 10 s: choose a shorter span, or name a key, model or status as well."
NOT_LISTED = ("decision", "trail", "prices")
"""Columns of a request's own page."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests, beside what filters say."""

    outcome: str | None = None
    """Of `Outcome`."""
    cost_over_usd: Decimal | None = None
    error: str = ""
    """Part of the error's message, whatever the case."""
    session: str | None = None


EVERYTHING = Wanted()


class Found(msgspec.Struct, frozen=True):
    rows: tuple[UsageRecord, ...]
    has_more: bool


def requests(
    among: QuerySet[UsageRecord],
    span: Span,
    filters: Filters,
    *,
    wanted: Wanted = EVERYTHING,
    limit: int,
    after: UUID | None = None,
) -> Found:
    """Requests that started in the span, out of `among` (what the asker may see), from the one before `after` on.

    Raises: SpanProblem for a span that is too long, or takes too long, to look through.
    """
    if span.end - span.start > LONGEST:
        raise SpanProblem(f"Requests are searched {LONGEST.days} days at a time: choose a later start.", about="since")
    if filters.lets_nothing_through:
        return Found((), has_more=False)
    rows = matching(among, filters, wanted=wanted).filter(started_at__gte=span.start, started_at__lt=span.end)
    if after is not None:
        rows = rows.filter(_before(after))
    try:
        with statements_within(SECONDS):
            found = list(rows.defer(*NOT_LISTED)[: limit + 1])
    except TookTooLong as error:
        raise SpanProblem(TOO_LONG, about="since") from error
    return Found(tuple(found[:limit]), has_more=len(found) > limit)


def matching(among: QuerySet[UsageRecord], filters: Filters, *, wanted: Wanted = EVERYTHING) -> QuerySet[UsageRecord]:
    """Newest first. Of all time: narrow it to a span before it is read."""
    return _narrowed(among, filters).filter(_said(wanted)).order_by("-started_at", "-id")


def _before(request_id: UUID) -> Q:
    """The first half alone would do for the index, the second tells requests of one millisecond apart."""
    at = ids.started_at(request_id)
    return Q(started_at__lte=at) & (Q(started_at__lt=at) | Q(id__lt=request_id))


def _said(wanted: Wanted) -> Q:
    said = Q()
    if wanted.outcome is not None:
        said &= Q(outcome=wanted.outcome)
    if wanted.cost_over_usd is not None:
        said &= Q(cost_usd__gt=wanted.cost_over_usd)
    if wanted.error:
        said &= Q(error_message__icontains=wanted.error)
    if wanted.session is not None:
        said &= Q(session=wanted.session)
    return said


_SAME_COLUMN: Mapping[str, str] = {
    "projects": "project_id",
    "providers": "provider",
    "layers": "layer",
    "error_kinds": "error_kind",
    "kinds": "kind",
}


def _narrowed(rows: QuerySet[UsageRecord], filters: Filters) -> QuerySet[UsageRecord]:
    for name, column in _SAME_COLUMN.items():
        if (among := getattr(filters, name)) is not None:
            rows = rows.filter(**{f"{column}__in": sorted(among)})
    if filters.keys is not None:
        named = Q(key_id__in=sorted(one for one in filters.keys if one is not None))
        rows = rows.filter(named | Q(key_id=None) if None in filters.keys else named)
    if filters.models is not None:
        whole = Concat(F("provider"), Value("/"), F("model"))
        rows = rows.alias(whole=whole).filter(Q(model__in=filters.models) | Q(whole__in=filters.models))
    if filters.statuses is not None:
        ended = Q(pk__in=())
        for status in filters.statuses:
            ended |= _ENDED[StatusClass(status)]
        rows = rows.filter(ended)
    return rows


_ENDED = {
    StatusClass.OK: Q(outcome="ok"),
    StatusClass.CANCELLED: Q(outcome="cancelled"),
    StatusClass.INTERRUPTED: Q(outcome="interrupted"),
    StatusClass.BROKEN: Q(outcome="error", status__lt=400),
    StatusClass.CLIENT_ERROR: Q(outcome="error", status__gte=400, status__lt=500),
    StatusClass.SERVER_ERROR: Q(outcome="error", status__gte=500),
}
"""`analytics.series.status_class`, as a condition."""
