"""How long one pass over a thousand rules takes: twenty kinds of metric, half of them by model over 500 models, a tenth
of them about what nobody uses.

uv run python -m tests.load.alerts

In a database of its own: SQLite in a folder for the time, or the empty one that DATABASE_URL names.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
os.environ["VAR_DIR"] = tempfile.mkdtemp(prefix="alerts-")
django.setup()

from django.core.management import call_command  # noqa: E402 - Django is set up between the imports
from django.db import connection  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from rich.console import Console  # noqa: E402

from alerts import evaluating  # noqa: E402
from alerts.metrics import KINDS, Metric  # noqa: E402
from alerts.models import Look, Rule  # noqa: E402
from analytics import ledger  # noqa: E402
from analytics.queries.filters import Dimension  # noqa: E402
from tests.unit.analytics.test_ledger import usage_row  # noqa: E402

NOW = datetime(2026, 11, 23, 12, 0, 20, tzinfo=UTC)
MODELS, MINUTES = 500, 60
WINDOWS_S = (300, 900, 3600)
AT_ONCE = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Times one pass over many rules.")
    parser.add_argument("--rules", type=int, default=1_000, help="How many (%(default)s).")
    parser.add_argument("--most-s", type=float, default=5.0, help="Fails above (%(default)s).")
    asked = parser.parse_args()
    call_command("migrate", verbosity=0)
    _use()
    Rule.objects.bulk_create(_rule(number) for number in range(asked.rules))
    times = [_pass() for _ in range(3)]
    with CaptureQueriesContext(connection) as queries:
        _pass()
    took_s = sorted(times)[1]
    told = f"{asked.rules:,} rules in {took_s:.2f} s (median of 3), {len(queries) / asked.rules:.2f} queries a rule"
    Console(highlight=False).print(f"{connection.vendor}: {told}")
    sys.exit(1 if took_s > asked.most_s else 0)


def _use() -> None:
    """One request of each model in each of the last minutes."""
    rows = [
        usage_row(
            NOW - timedelta(minutes=minute + 1),
            provider=f"p{number % 10}",
            model=f"m{number}",
            layer=f"L{number % 4}",
            duration_ms=100.0 + number,
            first_token_ms=50.0,
            cost_usd=Decimal("0.001"),
            output_tokens=5,
        )
        for minute in range(MINUTES)
        for number in range(MODELS)
    ]
    for start in range(0, len(rows), AT_ONCE):
        ledger.insert(rows[start : start + AT_ONCE])


def _rule(number: int) -> Rule:
    metric = list(Metric)[number % len(Metric)]
    kind = KINDS[metric]
    by = Dimension.MODEL if Dimension.MODEL in kind.dimensions else next(iter(kind.dimensions), None)
    is_empty = number % 10 == 0 and Dimension.PROVIDER in kind.dimensions
    return Rule(
        name=f"rule {number}",
        metric=metric.value,
        group_by=[by.value] if by and number % 2 else [],
        filters={"providers": ["nobody"]} if is_empty else {},
        window_s=WINDOWS_S[number // 20 % len(WINDOWS_S)],
        warning=1.0 if kind.mistake(2.0) else 1e6,
    )


def _pass() -> float:
    Look.objects.update(due_at=NOW)
    begun = time.perf_counter()
    evaluating.run(now=NOW)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
