"""What `manage.py usage rebuild`, `verify` and `tidy` take and do: the roll-ups counted anew, compared, and old rows
dropped. Figures are `analytics`'s; here are options, progress and words."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

import msgspec
from django.conf import settings
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from analytics import horizon, recounting, retention
from analytics.horizon import RowsAreGone
from analytics.periods import Period
from analytics.queries import moments
from analytics.queries.spans import SpanProblem
from analytics.recounting import BadSpan, Difference, Span
from analytics.retention import Dropped
from gateway import confirming
from gateway.console import ACTOR, ConsoleCommand
from gateway.wording import counted

SHOWN = 50
"""Differences, unless told otherwise."""
EXAMPLES = """\
  manage.py usage verify                          compares every roll-up with its rows; status 1 if one differs
  manage.py usage verify --since 7d
  manage.py usage verify --since "last month" --json
  manage.py usage rebuild --since 2026-11-01 --until 2026-11-03   writes the 1st and the 2nd anew, in UTC
  manage.py usage rebuild --all --yes
  manage.py usage tidy --dry-run                  what is older than is kept
"""


class BadOption(Exception):
    """Options that say too little or were not confirmed; the message says what to write."""


PROBLEMS = (BadSpan, BadOption, RowsAreGone)


class _Actions(Protocol):
    def add_parser(self, name: str, *, help: str) -> ArgumentParser: ...


def add_arguments(actions: _Actions) -> None:
    """Adds `rebuild`, `verify` and `tidy` to a command's subparsers."""
    rebuild = actions.add_parser("rebuild", help="Write roll-ups anew from the ledger's rows, day by day; asks first.")
    verify = actions.add_parser("verify", help="Compare roll-ups with the ledger's rows; status 1 if one differs.")
    tidy = actions.add_parser(
        "tidy", help="Drop rows and roll-ups that are older than is kept, as the hourly task does."
    )
    for one in (rebuild, verify):
        one.add_argument("--since", type=_days, metavar="DAY", help="The first UTC day: 2026-11-01, 7d, last month.")
        one.add_argument("--until", type=_days, metavar="DAY", help="The UTC day to end before.")
    rebuild.add_argument("--all", action="store_true", help="All days whose rows are there.")
    rebuild.add_argument("--yes", action="store_true", help="Without asking.")
    verify.add_argument("--show", type=int, default=SHOWN, metavar="N", help=f"At most so many differences ({SHOWN}).")
    tidy.add_argument("--dry-run", action="store_true", help="Say what would go, and drop nothing.")
    for one in (rebuild, verify, tidy):
        one.add_argument("--json", action="store_true", help="JSON instead of text.")


def run(command: ConsoleCommand, options: Mapping[str, Any]) -> None:
    """Does what was asked for. Raises: PROBLEMS; ends with status 1 when roll-ups differ."""
    {"rebuild": _rebuild, "verify": _verify, "tidy": _tidy}[options["action"]](command, options)


def _days(text: str) -> Period:
    """What names whole UTC days. `7d` begins with the day that was so long ago."""
    at_noon = datetime.now(UTC).replace(hour=12, minute=30)  # so that no number of hours ago is a midnight
    try:
        found = moments.period(text, zone="UTC", now=at_noon, about="since")
    except SpanProblem as problem:
        raise ArgumentTypeError(f"{text!r} is no day; {WRITE}") from problem
    if not _DAYS_AGO.fullmatch(text.strip()) and horizon.day_of(found.start) != found.start:
        raise ArgumentTypeError(f"{text!r} is no whole day; {WRITE}")
    return Period(horizon.day_of(found.start), found.end)


_DAYS_AGO = re.compile(r"[0-9]+\s*[dw]")
WRITE = (
    "write it like 2026-11-01, 7d, 2w, today, yesterday, last week, this month or 2026-10: roll-ups are kept by UTC day"
)


def _span(options: Mapping[str, Any]) -> Span:
    """A word for several days says their end too, unless `--until` does. Raises: BadSpan."""
    since: Period | None = options["since"]
    until: Period | None = options["until"]
    end = until.start if until is not None else since.end if since is not None else None
    return recounting.span(None if since is None else since.start, end)


def _rebuild(command: ConsoleCommand, options: Mapping[str, Any]) -> None:
    if not options["all"] and options["since"] is None:
        raise BadOption("Say which days: --since 2026-11-01, or --all.")
    span = _span(options)
    if span.days and not options["yes"] and not _is_confirmed(span, options):
        raise BadOption("Nothing was written: --yes rebuilds without asking.")
    with _progress(span, quiet=options["json"]) as progress:
        rows = recounting.rebuild_all(span, progress=progress)
    if options["json"]:
        command.print_json({"days": len(span.days), "rows": rows})
    elif not span.days:
        command.stdout.write(_nothing_of(span))
    else:
        said = f"Roll-ups of {counted(len(span.days), 'day')} are written anew, from {counted(rows, 'row')}."
        command.stdout.write(said)


def _nothing_of(span: Span) -> str:
    return f"There is no row and no roll-up from {span.start:%Y-%m-%d} up to {span.end:%Y-%m-%d} (UTC)."


def _is_confirmed(span: Span, options: Mapping[str, Any]) -> bool:
    if options["json"] or not confirming.is_terminal():
        return False
    return confirming.is_confirmed(f"Write the roll-ups of {counted(len(span.days), 'day')} anew?")


def _verify(command: ConsoleCommand, options: Mapping[str, Any]) -> None:
    span = _span(options)
    total = 0

    def count(tell: Callable[[datetime, int], None]) -> Callable[[datetime, int], None]:
        def told(day: datetime, rows: int) -> None:
            nonlocal total
            total += rows
            tell(day, rows)

        return told

    with (
        _progress(span, quiet=options["json"]) as progress,
        closing(recounting.verify(span, progress=count(progress))) as found,
    ):
        differences = list(islice(found, max(options["show"], 1)))
    if options["json"]:
        command.print_json({"days": len(span.days), "rows": total, "differences": msgspec.to_builtins(differences)})
    elif differences:
        _show(command, differences)
    elif not span.days:
        command.stdout.write(_nothing_of(span))
    else:
        days = counted(len(span.days), "day")
        command.stdout.write(f"Every roll-up of {days} is the sum of its rows: {total:,} of them.")
    if differences:
        sys.exit(1)


def _show(command: ConsoleCommand, differences: list[Difference]) -> None:
    headings = ["roll-up", "start (UTC)", "series", "column", "is", "should be"]
    rows = [
        (one.grain, f"{one.start:%Y-%m-%d %H:%M}" if one.start else "", one.series, one.column, one.found, one.should)
        for one in differences
    ]
    command.print_table(headings, rows, empty="")
    command.stderr.write("usage: roll-ups differ from their rows. `manage.py usage rebuild` writes them anew.")


def _tidy(command: ConsoleCommand, options: Mapping[str, Any]) -> None:
    if options["dry_run"]:
        due = retention.due(keep_days=settings.USAGE_KEEP_DAYS)
        said = f"Older than is kept: {_dropped(due)}; nothing was dropped."
        shown: object = due
    else:
        done = retention.tidy(keep_days=settings.USAGE_KEEP_DAYS, actor=ACTOR)
        left = "" if done.is_done else " The rest is left for the next time."
        said = f"Dropped {_dropped(done)}.{left}"
        shown = done
    if options["json"]:
        command.print_json(msgspec.to_builtins(shown))
    else:
        command.stdout.write(said)


def _dropped(one: Dropped) -> str:
    bodies = f", {one.bodies:,} {'body' if one.bodies == 1 else 'bodies'}" if one.bodies else ""
    return f"{counted(one.rows, 'row')}{bodies} and {counted(one.rollups, 'roll-up')}"


@contextmanager
def _progress(span: Span, *, quiet: bool) -> Iterator[recounting.Progress]:
    """A bar on stderr where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("days", total=len(span.days))
        yield lambda day, rows: bar.update(task, advance=1, description=f"{day:%Y-%m-%d}: {counted(rows, 'row')}")
