"""Reports and lists of requests as HTTP answers: OpenAI's form of a list, or a file of CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpResponse, JsonResponse

from analytics.queries.savings import Savings
from gateway import usage_csv, usage_rows
from gateway.usage_rows import Answer

AFTER_HEADER = "X-Gateway-After"
"""Of CSV, which has no room for it: where the next page begins."""


def report(found: Answer, *, is_csv: bool) -> HttpResponse:
    if is_csv:
        return csv(f"{found.report}-{found.span.start:%Y-%m-%d}", found.columns, found.data, after=found.after)
    return JsonResponse(usage_rows.answer(found))


def savings(found: Savings, *, is_csv: bool) -> HttpResponse:
    rows = usage_rows.savings(found)
    if is_csv:
        return csv(f"savings-{found.span.start:%Y-%m-%d}", tuple(rows[0]), rows, after=None)
    return JsonResponse(usage_rows.savings_answer(found))


def csv(name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, after: str | None) -> HttpResponse:
    answer = HttpResponse(usage_csv.written(columns, rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    if after is not None:
        answer[AFTER_HEADER] = after
    return answer
