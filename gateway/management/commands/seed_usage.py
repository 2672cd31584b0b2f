"""`manage.py seed_usage`: fills the ledger with made-up usage, to see an installation with millions of rows."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from analytics import seeded
from analytics.seeding import Plan
from gateway.console import ConsoleCommand

MOST_DAYS = 3_650


class NotEmpty(Exception):
    """The ledger has rows already."""


class Command(ConsoleCommand):
    help = "Fills the ledger with made-up usage, to try reports and pages with millions of rows."
    EXAMPLES = """\
For a database of its own: the rows cannot be told from real ones in sums over everything, budgets of the installation
count them, and nothing removes them again. Their projects, keys and models have numbers below zero.

examples:
  VAR_DIR=/tmp/try manage.py migrate && VAR_DIR=/tmp/try manage.py seed_usage --rows 50000 --days 30
  DATABASE_URL=postgres://... manage.py seed_usage                  ten million rows over 90 days
"""
    PROBLEMS = (NotEmpty,)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--rows", type=_whole(1_000_000_000), default=10_000_000, metavar="N", help="Default: %(default)s."
        )
        parser.add_argument(
            "--days", type=_whole(MOST_DAYS), default=90, metavar="N", help="Up to now. Default: %(default)s."
        )
        parser.add_argument("--keys", type=_whole(100_000), default=500, metavar="N", help="Default: %(default)s.")
        parser.add_argument("--models", type=_whole(1_000), default=40, metavar="N", help="Default: %(default)s.")
        parser.add_argument(
            "--seed", type=int, default=1, metavar="N", help="Another one, other rows. Default: %(default)s."
        )
        parser.add_argument(
            "--workers",
            type=_whole(16),
            default=2,
            metavar="N",
            help="In PostgreSQL: days at once. Default: %(default)s.",
        )
        parser.add_argument("--add", action="store_true", help="Even where the ledger has rows already.")

    def run(self, options: Mapping[str, Any]) -> None:
        if not options["add"] and not seeded.is_empty():
            raise NotEmpty(
                "The ledger of this database has rows: use another database, or --add to put more beside them."
            )
        names = ("rows", "days", "keys", "models", "seed")
        plan = Plan(**{name: options[name] for name in names}, until=timezone.now())
        began = time.monotonic()
        with _progress() as progress:
            task = progress.add_task("usage", total=plan.rows, rate=0)

            def told(count: int) -> None:
                progress.advance(task, count)
                progress.update(task, rate=int(progress.tasks[0].completed / (time.monotonic() - began)))

            seeded.fill(plan, told=told, workers=options["workers"])
        took_s = time.monotonic() - began
        self.stdout.write(f"{plan.rows:,} rows in {took_s:.1f} s: {plan.rows / took_s:,.0f} rows/s, roll-ups included.")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,} rows/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
    )


def _whole(most: int) -> Any:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
            raise ArgumentTypeError(f"use a whole number from 1 to {most:,}")
        return int(text)

    return number
