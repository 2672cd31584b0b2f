"""The roll-ups as plain SQL over the ledger's rows has them: what the tests hold the application's against.

Shares nothing with the application but names of tables and columns: lengths, cuts and bounds are written down again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import connection

BOUNDS_MS = [round(5 * 1.36**number, 3) for number in range(39)]
KNOWN_BY_CUT = {
    0: {"layer", "project_id", "project", "key_id", "key_name", "provider", "model"},
    1: {"layer"},
    2: {"layer", "project_id", "project"},
    3: {"project_id", "project", "key_id", "key_name"},
    4: {"layer", "project_id", "project", "provider", "model"},
    5: {"layer", "project_id", "project"},
}
KNOW_STATUS = {0, 5}
GRAINS = {10: "minute", 20: "quarter", 21: "quarter", 22: "quarter", 25: "quarter"} | {
    30 + cut: "day" for cut in KNOWN_BY_CUT
}
_QUARTER = "printf('%02d', CAST(substr(started_at, 15, 2) AS int) / 15 * 15)"
STARTS = {
    "sqlite": {
        "minute": "substr(started_at, 1, 16) || ':00'",
        "quarter": f"substr(started_at, 1, 14) || {_QUARTER} || ':00'",
        "day": "substr(started_at, 1, 10) || ' 00:00:00'",
    },
    "postgresql": {
        "minute": "date_trunc('minute', started_at, 'UTC')",
        "quarter": "date_bin('15 minutes', started_at, timestamptz '2000-01-01 00:00:00Z')",
        "day": "date_trunc('day', started_at, 'UTC')",
    },
}
STATUS = """CASE WHEN outcome = 'ok' THEN '2xx' WHEN outcome = 'cancelled' THEN 'cancelled'
    WHEN outcome = 'interrupted' THEN 'interrupted' WHEN status < 400 THEN 'broken'
    WHEN status < 500 THEN '4xx' ELSE '5xx' END"""
EMPTY = "'', ''"
DIMENSIONS = ("layer", "project_id", "project", "key_id", "key_name", "provider", "model")
TOKENS = ("input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "reasoning")
SUMS = (
    "COUNT(*)",
    *(f"SUM(CASE WHEN {was} THEN 1 ELSE 0 END)" for was in ("outcome = 'ok'", "outcome = 'cancelled'", "fell_back")),
    *(f"SUM({name})" for name in ("attempts", *(f"{one}_tokens" for one in TOKENS), "web_searches", "images")),
)
SUM_COLUMNS = (
    *("requests", "answered", "cancelled", "fell_back", "attempts", *(f"{one}_tokens" for one in TOKENS)),
    *("web_searches", "images", "cost", "budget"),
)
HISTOGRAMS = {"latency": "duration_ms", "first_token": "first_token_ms"}

Figures = dict[tuple[Any, ...], tuple[int, ...]]
"""By grain, start and the values of the series."""


def should_be() -> Figures:
    """What the ledger's rows add up to."""
    return {key: sums for grain, length in GRAINS.items() for key, sums in _grouped(grain, length).items()}


def are() -> Figures:
    """What stands in the roll-ups."""
    counters = [f"{name}_{number}" for name in HISTOGRAMS for number in range(40)]
    figures = ", ".join(f"COALESCE({column}, 0)" for column in (*SUM_COLUMNS, *counters))
    series = ", ".join(f"series.{name}" for name in ("kind", "status_class", "error_kind", *DIMENSIONS))
    found = _ask(
        f"SELECT grain, start, {series}, {figures} FROM analytics_usagerollup AS rollup "
        "JOIN analytics_usageseries AS series ON series.id = rollup.series_id"
    )
    return {(row[0], _moment(row[1]), *row[2:12]): tuple(map(int, row[12:])) for row in found}


def _grouped(grain: int, length: str) -> Figures:
    known, status = KNOWN_BY_CUT[grain % 10], grain % 10 in KNOW_STATUS
    unknown = {"project_id": "CAST(NULL AS bigint)", "key_id": "CAST(NULL AS bigint)"}
    dimensions = ", ".join(name if name in known else unknown.get(name, "''") for name in DIMENSIONS)
    counted = _histograms("1 = 1" if status else "outcome = 'ok'")
    figures = ", ".join((*SUMS, *map(_money, ("cost_usd", "budget_usd")), *counted))
    start = STARTS[connection.vendor][length]
    found = _ask(
        f"SELECT {start}, kind, {f'{STATUS}, error_kind' if status else EMPTY}, {dimensions}, {figures} "
        "FROM analytics_usagerecord "
        "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"
    )
    return {(grain, _moment(row[0]), *row[1:11]): tuple(int(figure or 0) for figure in row[11:]) for row in found}


def _money(column: str) -> str:
    if connection.vendor == "postgresql":
        return f"SUM({column} * 10000000000)"
    return f"SUM(CAST(ROUND({column} * 1e10) AS INTEGER))"


def _histograms(counted: str) -> list[str]:
    return [
        f"SUM(CASE WHEN {counted} AND {within} THEN 1 ELSE 0 END)"
        for column in HISTOGRAMS.values()
        for within in (
            f"{column} <= {BOUNDS_MS[0]}",
            *(f"{column} > {low} AND {column} <= {high}" for low, high in zip(BOUNDS_MS, BOUNDS_MS[1:], strict=False)),
            f"{column} > {BOUNDS_MS[-1]}",
        )
    ]


def _ask(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
