"""The query strings of reports and searches, parameter by parameter. Raises ValidationError naming the parameter."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from rest_framework.request import Request

from analytics import key_rules
from gateway import usage_asking
from gateway.usage_asking import Parameters

_SPAN = ("since", "until", "zone")
LISTS = (*usage_asking.FILTERS, "by")
OF_REPORTS = (*_SPAN, "step", "by", "order", *usage_asking.FILTERS, "compare", "limit", "after", "format")
OF_SAVINGS = (*_SPAN, *usage_asking.FILTERS, "format")
OF_SEARCH = (
    *_SPAN, *usage_asking.FILTERS, "outcome", "cost_over", "error", "session", "limit", "after", "format",
)  # fmt: skip
FORMATS = ("json", "csv")
LONGEST = 2_000


def parameters(request: Request, *known: str) -> Parameters:
    given = {name: [str(value) for value in values] for name, values in request.query_params.lists()}
    wrong: dict[str, list[str]] = {}
    for name, values in given.items():
        if name not in known:
            wrong[name] = [f"There is no parameter {name[:200]!r}: use {', '.join(known)}."]
        elif name not in LISTS and len(values) > 1:
            wrong[name] = ["Give it once."]
        elif any(len(value) > LONGEST or "\0" in value for value in values):
            wrong[name] = [key_rules.UNSEEN if any("\0" in value for value in values) else "This is too long."]
    if wrong:
        raise ValidationError(wrong)
    return Parameters(
        {name: values for name, values in given.items() if name in LISTS},
        {name: values[0] for name, values in given.items() if name not in LISTS},
    )


def is_csv(request: Request, asked: Parameters) -> bool:
    """`format` first; else CSV where it is asked for and JSON is not."""
    if (given := asked.one("format")) is not None:
        return usage_asking.one_of(given, FORMATS, about="format") == "csv"
    accept = str(request._request.META.get("HTTP_ACCEPT", ""))
    return "text/csv" in accept and "application/json" not in accept
