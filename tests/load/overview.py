"""How long the overview's questions take on a ledger with millions of rows, each on a fresh connection.

DATABASE_URL=postgres://... uv run manage.py migrate
DATABASE_URL=postgres://... uv run manage.py seed_usage
DATABASE_URL=postgres://... uv run python -m tests.load.overview
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup()

from django.db import connection  # noqa: E402 - Django is set up between the imports
from django.test.utils import CaptureQueriesContext  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from analytics import ledger  # noqa: E402
from analytics.models import UsageRecord  # noqa: E402
from analytics.queries import moments, reports  # noqa: E402
from analytics.queries.filters import Dimension, Filters  # noqa: E402
from analytics.queries.reports import Order  # noqa: E402
from analytics.queries.spans import Span, Step  # noqa: E402

ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata")
STEPS = {"1h": Step.MINUTE, "24h": Step.QUARTER, "7d": Step.HOUR, "30d": Step.DAY, "90d": Step.DAY}
LONGEST = "90d"
"""Longer than any window of the overview: told, not judged."""
Question = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description="Times the overview's questions on the ledger there is.")
    parser.add_argument("--times", type=int, default=5, help="Each so often; the median counts (%(default)s).")
    parser.add_argument("--most-ms", type=float, default=100.0, help="Fails above (%(default)s).")
    parser.add_argument("--most-row-ms", type=float, default=20.0, help="Fails above for one request (%(default)s).")
    asked = parser.parse_args()
    now = UsageRecord.objects.order_by("-started_at").values_list("started_at", flat=True)[0]
    table = Table("question", "median ms", "worst ms", "statements", box=None)
    slow = []
    for name, question in [*_overview(now), *_rows()]:
        took_ms, statements = _timed(question, times=asked.times)
        table.add_row(name, f"{statistics.median(took_ms):.1f}", f"{max(took_ms):.1f}", str(len(statements)))
        most_ms = asked.most_row_ms if name.startswith("one request") else asked.most_ms
        if statistics.median(took_ms) > most_ms and LONGEST not in name:
            slow.append(name)
        if scans := [plan for plan in map(_plan, statements) if _scans_the_ledger(plan)]:
            sys.exit(f"{name} reads the ledger from end to end:\n{scans[0]}")
    Console(width=120).print(table)
    if slow:
        sys.exit(f"Too slow: {', '.join(slow)}")


def _overview(now: datetime) -> Iterable[tuple[str, Question]]:
    """What the overview asks for each window, for everything and for one project."""
    project = UsageRecord.objects.order_by("-started_at").values_list("project_id", flat=True)[0]
    for whose, among in (("all", Filters()), ("one project", Filters(projects=frozenset({project})))):
        for window, step in STEPS.items():
            for zone in ZONES if window != "1h" else ZONES[:1]:
                span = moments.span(window, None, zone=zone, now=now)
                for name, question in _of_span(span, step, among):
                    yield f"{name}, {window}, {zone}, {whose}", question


def _of_span(span: Span, step: Step, among: Filters) -> Iterable[tuple[str, Question]]:
    yield "totals and percentiles beside before", lambda: reports.compared(span, among, with_times=True)
    yield "over time by layer", lambda: reports.over_time(span, among, step=step, by=[Dimension.LAYER])
    yield "over time with percentiles", lambda: reports.over_time(span, among, step=step, with_times=True)
    yield "cost by model", lambda: reports.ranked([Dimension.MODEL], span, among, limit=10)
    yield "cost by key", lambda: reports.ranked([Dimension.KEY], span, among, limit=10)
    yield "cost by project", lambda: reports.ranked([Dimension.PROJECT], span, among, order=Order.REQUESTS, limit=10)
    yield "layer mix", lambda: reports.layer_mix(span, among)
    yield "errors", lambda: reports.errors(span, among)


def _rows() -> Iterable[tuple[str, Question]]:
    """What reads rows: one request, from first to last, and the newest failures."""
    for back in (0, 50_000, 5_000_000):
        found = UsageRecord.objects.order_by("-started_at").values_list("pk", flat=True)[back : back + 1]
        for request_id in found:
            yield (
                f"one request, {back:,} back",
                lambda one=request_id: ledger.find(one, among=UsageRecord.objects.all()),
            )


def _timed(question: Question, *, times: int) -> tuple[list[float], list[str]]:
    took_ms = []
    for _ in range(times):
        connection.close()
        connection.ensure_connection()
        began = time.perf_counter()
        question()
        took_ms.append((time.perf_counter() - began) * 1000)
    with CaptureQueriesContext(connection) as captured:
        question()
    return took_ms, [one["sql"] for one in captured if one["sql"].startswith("SELECT")]


def _plan(statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}".replace("%", "%%"))
        return "\n".join(line for (line,) in cursor.fetchall())


def _scans_the_ledger(plan: str) -> bool:
    return "Seq Scan on analytics_usagerecord" in plan


if __name__ == "__main__":
    main()
