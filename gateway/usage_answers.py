"""One report as it was asked for: which question of `analytics.queries` that is, a page of rows, the period before.

Shared by API and command. Who may ask and how rows are written is theirs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from analytics.queries import names, reports, spans, sums
from analytics.queries import savings as saving
from analytics.queries.filters import Dimension, Filters
from analytics.queries.reports import Order, Page, Point
from analytics.queries.savings import Savings
from analytics.queries.spans import Span, SpanProblem, Step
from analytics.queries.sums import Totals
from gateway import usage_asking, usage_marks, usage_references, usage_rows
from gateway.usage_asking import Asker, Parameters
from gateway.usage_marks import Mark
from gateway.usage_rows import Answer, Row
from routing.types import Snapshot

REPORTS = ("usage", "cost", "latency", "errors", "top")
_ORDER = {"errors": Order.ERRORS, "latency": Order.REQUESTS, "usage": Order.REQUESTS}
USUAL_ROWS, MOST_ROWS = 1000, 10_000
USUAL_TOP, USUAL_TOP_BY = 10, "model"
WHY = (Dimension.STATUS, Dimension.ERROR)
"""What errors are told apart by unless something else is named."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    report: str
    span: Span
    filters: Filters
    by: tuple[Dimension, ...] = ()
    step: Step | None = None
    order: Order | None = None
    limit: int
    after: str | None = None
    said: tuple[str | None, str | None] = (None, None)
    """Since when, and until when, as it was said."""
    compares: bool = True

    @property
    def asks_why(self) -> bool:
        """Errors, and nothing said of what to tell them apart by."""
        return self.report == "errors" and not self.by and self.step is None

    @property
    def with_times(self) -> bool:
        return self.report in usage_rows.WITH_TIMES

    @property
    def hashed(self) -> str:
        """What a page and the next one have in common."""
        among = {name: sorted(map(str, found)) for name, found in self.filters.sets()}
        return usage_marks.hashed([self.report, self.by, self.step, self.order, self.span.zone, among])


def question(report: str, asked: Parameters, *, asker: Asker) -> Question:
    """Raises: ValidationError naming the parameter."""
    is_top = report == "top"
    filters = usage_asking.filters(asked.lists, asker=asker)
    zone = usage_asking.zone(asked.one("zone"), asked=filters, asker=asker)
    return Question(
        report=report,
        span=usage_asking.span(asked.one("since"), asked.one("until"), zone=zone),
        filters=filters,
        by=usage_asking.dimensions(asked.lists.get("by") or ([USUAL_TOP_BY] if is_top else [])),
        step=usage_asking.step(asked.one("step")),
        order=_order(asked.one("order")),
        limit=asked.whole("limit", usual=USUAL_TOP if is_top else USUAL_ROWS, most=MOST_ROWS),
        after=asked.one("after"),
        said=(asked.one("since"), asked.one("until")),
        compares=asked.switch("compare", usual=True),
    )


def _order(given: str | None) -> Order | None:
    if given is None:
        return None
    return Order(usage_asking.one_of(given, [known.value for known in Order], about="order"))


def savings(asked: Parameters, *, asker: Asker, snapshot: Snapshot) -> Savings:
    """Raises: ValidationError naming the parameter."""
    filters = usage_asking.filters(asked.lists, asker=asker)
    zone = usage_asking.zone(asked.one("zone"), asked=filters, asker=asker)
    span = usage_asking.span(asked.one("since"), asked.one("until"), zone=zone)
    premium, cheapest = usage_references.premium_and_cheapest(snapshot, caller=asker.caller, at=time.time())
    try:
        return saving.savings(span, filters, premium=premium, cheapest=cheapest)
    except SpanProblem as problem:
        raise usage_asking.refused(problem) from problem


def answer(question: Question) -> Answer:
    """Raises: ValidationError naming the parameter."""
    mark, asked = None, question
    if question.after is not None:
        mark = usage_marks.read(question.after, question.hashed, said=question.said)
        asked = msgspec.structs.replace(question, span=mark.span(question.span), said=(mark.since, mark.until))
    try:
        return _answer(asked, mark)
    except SpanProblem as problem:
        raise usage_asking.refused(problem) from problem


def _answer(asked: Question, mark: Mark | None) -> Answer:
    report, with_times = asked.report, asked.with_times
    by = WHY if asked.asks_why else asked.by
    if asked.step is not None:
        found = reports.over_time(asked.span, asked.filters, step=asked.step, by=by, with_times=with_times)
        shown, end = _page_of(found, asked, mark)
        data, whole = usage_rows.points(report, shown, zone=asked.span.zone), None
        if with_times or not by:
            whole = sums.together(point.totals for point in found)
    elif by:
        page = _ranked(asked, by, mark)
        data, end = usage_rows.reasons(page) if asked.asks_why else usage_rows.ranks(report, page), page.after
        whole = None if asked.asks_why else page.whole
    else:
        whole, end = reports.totals(asked.span, asked.filters, with_times=with_times), None
        data = [usage_rows.figures(report, whole)]
    totals = reports.totals(asked.span, asked.filters, with_times=with_times) if whole is None else whole
    before, change = _compared(asked, totals)
    return Answer(
        report=report,
        columns=_columns(asked, by),
        span=asked.span.covered,
        data=data,
        totals=usage_rows.figures(report, totals),
        before=before,
        change=change,
        after=None if end is None else usage_marks.written(asked.hashed, asked.span, said=asked.said, end=end),
    )


def _ranked(asked: Question, by: Sequence[Dimension], mark: Mark | None) -> Page:
    after = None if mark is None else (mark.number, mark.tie)
    if asked.asks_why:
        return reports.errors(asked.span, asked.filters, limit=asked.limit, after=after)
    order = asked.order or _ORDER.get(asked.report, Order.COST)
    return reports.ranked(
        by, asked.span, asked.filters, order=order, limit=asked.limit, after=after, with_times=asked.with_times
    )


def _page_of(
    found: Sequence[Point], asked: Question, mark: Mark | None
) -> tuple[Sequence[Point], tuple[int, str] | None]:
    if mark is not None:
        found = [point for point in found if _place(point) > (mark.number, mark.tie)]
    return found[: asked.limit], _place(found[asked.limit - 1]) if len(found) > asked.limit else None


def _place(point: Point) -> tuple[int, str]:
    return int(point.start.timestamp()), point.tie


def _compared(asked: Question, totals: Totals) -> tuple[dict[str, Any] | None, Row | None]:
    if not asked.compares:
        return None, None
    last = spans.before(asked.span)
    found = reports.Compared(
        totals, reports.totals(last, asked.filters, with_times=asked.with_times), asked.span.covered, last.covered
    )
    return usage_rows.before(asked.report, found), usage_rows.change(asked.report, found)


def _columns(asked: Question, by: Sequence[Dimension]) -> tuple[str, ...]:
    if asked.asks_why:
        return *WHY, "errors", "share"
    told = list(usage_rows.COLUMNS[asked.report])
    groups = [name for dimension in by for name in names.FIELDS[dimension]]
    if asked.step is not None:
        return tuple(dict.fromkeys(["start", "end", *groups, *told]))
    return tuple(dict.fromkeys([*groups, *told, "share"] if by else told))
