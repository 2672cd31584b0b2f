"""`manage.py audit`: reads the audit trail, the newest entries first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from django.core.management.base import CommandParser

from analytics import audit_listing, visibility
from analytics.audit_listing import Wanted
from analytics.authority import Authority
from analytics.models import AuditEntry, Severity
from gateway import audit_asking, key_options
from gateway.console import ACTOR, ConsoleCommand

MOST_ROWS = 1_000
EVERYTHING = Authority(ACTOR, None, permissions=None)


class BadOption(Exception):
    """Options that do not go together, or a value that cannot be understood; the message says what to write."""


class Command(ConsoleCommand):
    help = "Reads the audit trail: who changed what, from what to what, when, from where."
    EXAMPLES = """\
examples:
  manage.py audit                                            the newest entries
  manage.py audit --since 7d --action budget.
  manage.py audit --severity warning --since 2026-11-01 --until 2026-12-01
  manage.py audit --actor ann --target openai --limit 10
  manage.py audit show 1234
  manage.py audit --project lab --json
"""
    PROBLEMS = (BadOption, key_options.BadOption)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("what", nargs="?", choices=("list", "show"), default="list", help="`list` unless you say.")
        parser.add_argument("id", nargs="?", metavar="ID", help="The entry to show.")
        parser.add_argument(
            "--since", metavar="WHEN", help="Such as 12h, 7d, today, last month, 2026-11-01; UTC unless it says."
        )
        parser.add_argument("--until", metavar="WHEN", help="Up to then, without it.")
        parser.add_argument("--actor", default="", metavar="TEXT", help="A part of who did it.")
        parser.add_argument("--action", default="", metavar="TEXT", help="How it begins, such as `budget.`.")
        parser.add_argument("--target", default="", metavar="TEXT", help="A part of what it was done to.")
        parser.add_argument("--project", metavar="SLUG", help="About this project.")
        parser.add_argument("--severity", choices=Severity.values, help="So severe, or more.")
        parser.add_argument(
            "--limit", type=int, default=50, metavar="N", help=f"50 unless you say, {MOST_ROWS} at most."
        )
        parser.add_argument("--before", type=int, metavar="ID", help="Older than this entry: the next page.")
        parser.add_argument("--json", action="store_true", help="JSON instead of text.")

    def run(self, options: Mapping[str, Any]) -> None:
        if options["what"] == "show":
            self._show(options)
        else:
            self._list(options)

    def _list(self, options: Mapping[str, Any]) -> None:
        if options["id"] is not None:
            raise BadOption(f"`audit list` takes no {options['id']!r}: did you mean `audit show {options['id']}`?")
        if not 1 <= options["limit"] <= MOST_ROWS:
            raise BadOption(f"--limit {options['limit']}: use a whole number from 1 to {MOST_ROWS}.")
        rows = audit_listing.entries(EVERYTHING, _wanted(options))
        if options["before"] is not None:
            rows = rows.filter(pk__lt=options["before"])
        found = list(rows[: options["limit"]])
        if options["json"]:
            self.print_json(audit_listing.as_json(found))
            return
        headings = ["id", "at", "severity", "actor", "address", "action", "target", "from what to what"]
        self.print_table(headings, [_cells(row) for row in found], empty="No entries.", whole=("id", "at"))

    def _show(self, options: Mapping[str, Any]) -> None:
        row = _one(options["id"])
        (told,) = audit_listing.as_json([row])
        if options["json"]:
            self.print_json(told)
            return
        self.stdout.write(f"Entry {row.pk}: {told['action']}")
        for name in ("at", "severity", "actor", "address", "target", "project"):
            self.stdout.write(f"  {name:<10} {'-' if told[name] is None else told[name]}")
        differences = [(one.field, one.before, one.after) for one in audit_listing.differences(row)]
        self.print_table(["field", "before", "after"], differences, empty="")


def _wanted(options: Mapping[str, Any]) -> Wanted:
    slug = options["project"]
    asked = {name: options[name] for name in audit_asking.FILTERS if options[name] not in (None, "")}
    return audit_asking.wanted(asked, project_id=None if slug is None else key_options.project(slug).pk)


def _one(given: str | None) -> AuditEntry:
    if given is None:
        raise BadOption("Say which entry: `audit show ID`; `audit` lists them.")
    is_id = given.isascii() and given.isdecimal() and len(given) < 19
    row = visibility.entries_of(EVERYTHING).filter(pk=int(given)).first() if is_id else None
    if row is None:
        raise BadOption(f"There is no entry {given}; `audit` lists them.")
    return row


def _cells(row: AuditEntry) -> list[object]:
    at = row.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    told = (row.severity, row.actor, row.address or "-", row.action, audit_listing.about(row))
    return [row.pk, at, *told, audit_listing.in_short(row)]
