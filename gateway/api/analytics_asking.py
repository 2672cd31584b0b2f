"""The query strings of reports and searches, parameter by parameter. Raises ValidationError naming the parameter."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from django.core.exceptions import ValidationError
from rest_framework.request import Request

from analytics import key_rules
from gateway import usage_asking

_SPAN = ("since", "until", "zone")
LISTS = (*usage_asking.FILTERS, "by")
OF_REPORTS = (*_SPAN, "step", "by", "order", *usage_asking.FILTERS, "compare", "limit", "after", "format")
OF_SAVINGS = (*_SPAN, *usage_asking.FILTERS, "format")
OF_SEARCH = (
    *_SPAN, *usage_asking.FILTERS, "outcome", "cost_over", "error", "session", "limit", "after", "format",
)  # fmt: skip
FORMATS = ("json", "csv")
LONGEST = 2_000


class Parameters(msgspec.Struct, frozen=True):
    lists: Mapping[str, list[str]]
    """Of those that may be given more than once."""
    single: Mapping[str, str]

    def one(self, name: str) -> str | None:
        return self.single.get(name)

    def switch(self, name: str, *, usual: bool) -> bool:
        given = self.single.get(name)
        return usual if given is None else usage_asking.one_of(given, ["true", "false"], about=name) == "true"

    def whole(self, name: str, *, usual: int, most: int) -> int:
        given = self.single.get(name)
        if given is None:
            return usual
        if not (given.isascii() and given.isdecimal() and len(given) < 9 and 1 <= int(given) <= most):
            raise ValidationError({name: [f"Use a whole number from 1 to {most:,}."]})
        return int(given)


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
