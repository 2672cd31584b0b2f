"""`/v1/analytics/*` and `/v1/requests`: what the ledger tells."""

from __future__ import annotations

from analytics.models import Outcome, UsageKind, UsageRecord
from analytics.queries.filters import Dimension
from analytics.queries.names import FIELDS
from analytics.queries.reports import Order
from analytics.queries.spans import Step
from analytics.series import StatusClass
from gateway import request_search, usage_answers, usage_asking, usage_rows
from gateway.api import analytics_asking
from gateway.api.schema import columns, shapes
from gateway.api.schema.operations import CSV, JSON, Answer, Operation, Operations, Parameter, found
from gateway.api.schema.shapes import Fields, Shape

TAG = "Usage"
_A_MOMENT = (
    "A word (`now`, `today`, `yesterday`, `this_week`, `last_month`), how long ago (`30m`, `24h`, `7d`), a day, a "
    "month, or a moment in ISO 8601."
)
_MOMENT = shapes.text(examples=["last_month", "7d", "2026-11-01", "2026-11", "2026-11-01T12:00:00Z"])
_NAMES = shapes.many(shapes.text(minLength=1, maxLength=usage_asking.LONGEST_NAME), maxItems=usage_asking.MOST_NAMES)
_CHOICES: dict[str, Shape] = {
    "status": shapes.many(shapes.one_of(StatusClass)),
    "kind": shapes.many(shapes.one_of(UsageKind.values)),
    "by": shapes.many(shapes.one_of(Dimension), maxItems=3),
}
_SAID: dict[str, tuple[Shape, str]] = {
    "since": (_MOMENT, f"{_A_MOMENT} Else 24 hours ago."),
    "until": (_MOMENT, f"{_A_MOMENT} Else now. Not included."),
    "zone": (shapes.text(examples=["UTC", "Europe/Berlin"]), "An IANA time zone."),
    "step": (shapes.one_of(Step), "Over time, in steps so long."),
    "order": (shapes.one_of(Order), "What groups are sorted by, most first."),
    "compare": (shapes.one_of(["true", "false"]), "Whether with the period before. Else true."),
    "after": (shapes.text(minLength=1), "`after` of the page before."),
    "format": (shapes.one_of(analytics_asking.FORMATS), "Else by `Accept`: CSV where JSON is not asked for."),
    "outcome": (shapes.one_of(Outcome.values), "How they ended."),
    "cost_over": (shapes.number(least=0, most=999_999_999), "In US dollars."),
    "error": (shapes.text(), "A part of the error's message."),
    "session": (shapes.text(), "Of this session alone."),
}


def parameters(names: tuple[str, ...], *, most: int = usage_answers.MOST_ROWS) -> tuple[Parameter, ...]:
    return tuple(_parameter(name, most=most) for name in names)


def _parameter(name: str, *, most: int) -> Parameter:
    if name == "limit":
        return Parameter(name, shapes.whole(least=1, most=most), "Rows.")
    if name in analytics_asking.LISTS:
        return Parameter(name, _CHOICES.get(name, _NAMES), "Several times, or with commas between.")
    return Parameter(name, *_SAID[name])


def _figure(name: str) -> Shape:
    if name.endswith("_usd") or name == "usd_per_request":
        return shapes.maybe(shapes.money())
    return shapes.maybe(shapes.number()) if name.endswith(("_share", "_ms")) else shapes.whole()


def figures(report: str) -> Fields:
    return {name: _figure(name) for name in usage_rows.COLUMNS[report]}


_GROUPS: Fields = {
    name: shapes.maybe(shapes.whole() if name.endswith("_id") else shapes.text())
    for names in FIELDS.values()
    for name in names
}
_SPAN = shapes.closed({"start": shapes.moment(), "end": shapes.moment(), "zone": shapes.text()})
_AFTER = {"has_more": shapes.flag(), "after": shapes.maybe(shapes.text("Where the next page begins."))}


def _report(report: str) -> Shape:
    own = figures(report)
    around = {"start": shapes.moment(), "end": shapes.moment(), "share": shapes.maybe(shapes.number())}
    change = {name: shapes.maybe(shapes.number()) for name in (*usage_rows.CHANGES, *usage_rows._P95)}
    return shapes.closed(
        {
            "object": shapes.always("list"),
            "report": shapes.always(report),
            "span": shapes.ref("Span"),
            "data": shapes.many(shapes.closed({**_GROUPS, **around, **own}, required=())),
            "totals": shapes.closed(own),
            "before": shapes.maybe(shapes.closed({"span": shapes.ref("Span"), **own})),
            "change": shapes.maybe(shapes.closed(change, required=("requests",))),
            **_AFTER,
        }
    )


_BASELINE = shapes.closed(
    {
        "baseline": shapes.one_of(["always_premium", "static_mix"]),
        "label": shapes.text(),
        "cost_usd": shapes.maybe(shapes.money()),
        "saved_usd": shapes.maybe(shapes.money()),
        **{name: shapes.maybe(shapes.number()) for name in ("saved_share", "premium_share", "gateway_premium_share")},
        "reason": shapes.maybe(shapes.text("Why there is no figure.")),
    }
)
_SAVINGS = shapes.closed(
    {
        "object": shapes.always("list"),
        "report": shapes.always("savings"),
        "span": shapes.ref("Span"),
        "data": shapes.many(_BASELINE),
        "totals": shapes.closed({"answered": shapes.whole(), "cost_usd": shapes.money()}),
        **_AFTER,
    }
)
_ROW = columns.answers(UsageRecord, [field.name for field in UsageRecord._meta.concrete_fields]) | {
    "trail": shapes.many({"type": "object"}, "What the attempts did, in order.")
}
_LISTED = shapes.closed({"object": shapes.always("request"), **{name: _ROW[name] for name in request_search.COLUMNS}})
_REQUESTS = shapes.closed(
    {"object": shapes.always("list"), "span": shapes.ref("Span"), "data": shapes.many(shapes.ref("ListedRequest"))}
    | _AFTER
)
_BODY = shapes.closed(
    {
        "object": shapes.always("request.body"),
        "id": shapes.text(format="uuid"),
        "at": shapes.moment(),
        "request": {"type": "object", "description": "Masked, and cut where it says [cut]."},
        "request_is_cut": shapes.flag(),
        "answer": shapes.text("Its text, masked; empty for a failure."),
        "answer_is_cut": shapes.flag(),
    }
)

SCHEMAS = {
    "Span": _SPAN,
    **{f"{report.title()}Report": _report(report) for report in usage_answers.REPORTS},
    "SavingsReport": _SAVINGS,
    "ListedRequest": _LISTED,
    "Requests": _REQUESTS,
    "RequestBody": _BODY,
    "Request": shapes.closed({"object": shapes.always("request"), **_ROW}),
}
_ABOUT = {
    "usage": "Requests, tokens and cost",
    "cost": "What was spent",
    "latency": "How long answers took",
    "errors": "What failed, and why",
    "top": "Who and what used most",
    "savings": "What was saved, beside other ways to spend",
}


def _read(summary: str, shape: str, parameters: tuple[Parameter, ...]) -> Operation:
    told = {JSON: shapes.ref(shape), CSV: shapes.text("The same rows.")}
    after = {"X-Gateway-After": shapes.text("Of CSV: where the next page begins.")}
    answers = {200: Answer("As JSON or CSV.", told, after)}
    return Operation(summary=summary, answers=answers, parameters=parameters, negotiates=False)


_OF_REPORTS = parameters(analytics_asking.OF_REPORTS, most=usage_answers.MOST_ROWS)
_OF_SAVINGS = parameters(analytics_asking.OF_SAVINGS, most=usage_answers.MOST_ROWS)
OPERATIONS: Operations = {
    **{
        f"/v1/analytics/{report}": {"GET": _read(_ABOUT[report], f"{report.title()}Report", _OF_REPORTS)}
        for report in usage_answers.REPORTS
    },
    "/v1/analytics/savings": {"GET": _read(_ABOUT["savings"], "SavingsReport", _OF_SAVINGS)},
    "/v1/requests": {
        "GET": _read(
            "Search requests, newest first",
            "Requests",
            parameters(analytics_asking.OF_SEARCH, most=request_search.MOST_ROWS),
        )
    },
    "/v1/requests/{request_id}": {
        "GET": Operation(
            summary="All about one request",
            about="Waits up to a second for a row that has only just been made.",
            answers=found(shapes.ref("Request")),
        )
    },
    "/v1/requests/{request_id}/body": {
        "GET": Operation(
            summary="What was asked and answered, where the project has it kept",
            about="For operators and admins of the project, and its keys with the scope `admin`.",
            answers=found(shapes.ref("RequestBody")),
        )
    },
}
