"""`manage.py requests`: lists requests of the ledger, tells the story of one, follows new ones."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from django.db import close_old_connections

from analytics import ids, ledger
from analytics.models import Outcome, RequestBody, UsageRecord
from analytics.queries import search
from gateway import request_body, request_search, request_story, request_tail, usage_asking, usage_csv, usage_options
from gateway.api.requests import record_json
from gateway.command_line import ActionParser
from gateway.console import ConsoleCommand, plain
from gateway.request_search import Found
from gateway.request_tail import Columns, Follower
from gateway.usage_options import EVERYTHING

HEADINGS = ["started", "id", "project", "key", "layer", "model", "ended", "tokens in, out", "cost", "took"]
_BACK = re.compile(r"([1-9][0-9]{0,3})(m|h)")
LONGEST_BACK = timedelta(hours=24)


class NoSuchRequest(Exception):
    """The message says where to look."""


class Command(ConsoleCommand):
    help = "Lists requests of the ledger, tells the story of one, follows new ones."
    EXAMPLES = """\
A list is of the last 24 hours, newest first, unless --since says another start; it looks through 31 days at most.

examples:
  manage.py requests list --status 5xx --since 2h
  manage.py requests list --key laptop --cost-over 0.10 --csv
  manage.py requests list --error "timed out" --limit 5
  manage.py requests show 019b0c5e-3f7a-7c11-9d52-0a4d7f1e2b3c
  manage.py requests show 019b0c5e-3f7a-7c11-9d52-0a4d7f1e2b3c --body
  manage.py requests tail                                    Ctrl-C ends it
  manage.py requests tail --project lab --outcome error --json
"""
    PROBLEMS = (NoSuchRequest,)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        actions = parser.add_subparsers(
            dest="action", required=True, parser_class=ActionParser, metavar="{list,show,tail}"
        )
        listing = actions.add_parser("list", help="Show requests, newest first.")
        usage_options.add_span(listing, usual=search.USUAL_SINCE)
        show = actions.add_parser("show", help="Tell all of one request.")
        show.add_argument("id", metavar="ID", help="Its id, as answers carry it in X-Gateway-Request-Id.")
        show.add_argument("--body", action="store_true", help="With what was asked and answered, where that is kept.")
        show.add_argument("--zone", metavar="ZONE", help="In whose time (TIME_ZONE).")
        show.add_argument("--json", action="store_true", help="JSON instead of text.")
        tail = actions.add_parser("tail", help="Show the last ones, then each as it comes.")
        tail.add_argument("--zone", metavar="ZONE", help="In whose time (the project's, else TIME_ZONE).")
        tail.add_argument("--back", metavar="TIME", default="15m", help="How late a row may come (%(default)s).")
        tail.add_argument(
            "--lines", dest="limit", metavar="N", default="10", help="How many to begin with (%(default)s)."
        )
        tail.add_argument("--json", action="store_true", help="A line of JSON for each.")
        for one in (listing, tail):
            usage_options.add_filters(one)
            one.add_argument("--outcome", metavar="O", help="ok, error, cancelled or interrupted.")
            one.add_argument("--cost-over", metavar="USD", help="That cost more.")
            one.add_argument("--error", metavar="TEXT", help="Whose error message holds this.")
            one.add_argument("--session", metavar="NAME", help="Of this session.")
        usage_options.add_form(listing, usual_rows=request_search.USUAL_ROWS)

    def run(self, options: Mapping[str, Any]) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: Mapping[str, Any]) -> None:
        found = self._found(options)
        if options["json"]:
            self.print_json(request_search.answer(found))
        elif options["csv"]:
            self.stdout.write(usage_csv.written(request_search.COLUMNS, found.data), ending="")
        else:
            rows = [_cells(row) for row in found.data]
            self.print_table(HEADINGS, rows, empty="No such requests in this span.", whole=["id"])
            if found.after is not None:
                self.stdout.write(f"There are more: --after {found.after}")

    def _show(self, options: Mapping[str, Any]) -> None:
        try:
            wanted = UUID(options["id"])
        except ValueError:
            wanted = UUID(int=0)
        row = ledger.find(wanted, among=UsageRecord.objects.all()) if wanted.version == 7 else None
        if row is None:
            raise NoSuchRequest(f"There is no request {options['id'][:100]!r}; `requests list` shows them.")
        body = RequestBody.objects.filter(pk=wanted).first() if options["body"] else None
        if options["json"]:
            more = {"body": body and request_body.as_json(body)} if options["body"] else {}
            self.print_json(record_json(row, is_told_all=True) | more)
            return
        told = request_body.lines(body, row=row) if options["body"] else ()
        for line in (*request_story.lines(row, zone=self._zone(options)), *told):
            self.stdout.write(plain(line))

    def _tail(self, options: Mapping[str, Any]) -> None:
        back, zone = _back(options["back"]), self._zone(options)
        asked = usage_options.parameters(options)
        filters = usage_asking.filters(asked.lists, asker=EVERYTHING)
        among = search.matching(UsageRecord.objects.all(), filters, wanted=request_search.wanted(asked))
        follower = Follower(among, back=back, now=datetime.now(UTC))
        shown = self._found(options).data
        follower.skip({UUID(row["id"]): ids.started_at(UUID(row["id"])) for row in shown})
        columns = Columns(HEADINGS, [_cells(row) for row in shown])
        if not options["json"]:
            self._write(columns.line(HEADINGS))

        def tell(row: dict[str, Any]) -> None:
            self._write(msgspec.json.encode(row).decode() if options["json"] else plain(columns.line(_cells(row))))

        for told in reversed(shown):
            tell(told)

        request_tail.follow(follower, tell=lambda row: tell(request_search.as_json(row, zone=zone)), pause=_pause)

    def _found(self, options: Mapping[str, Any]) -> Found:
        asked = usage_options.parameters(options)
        return request_search.search(asked, among=UsageRecord.objects.all(), asker=EVERYTHING)

    def _zone(self, options: Mapping[str, Any]) -> str:
        asked = usage_options.parameters(options)
        filters = usage_asking.filters(asked.lists, asker=EVERYTHING)
        return usage_asking.zone(asked.one("zone"), asked=filters, asker=EVERYTHING)

    def _write(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # whoever reads it through a pipe reads it now


def _cells(row: Mapping[str, Any]) -> list[str]:
    read = sum(row[name] for name in ("input_tokens", "cached_input_tokens"))
    is_interrupted = row["outcome"] == Outcome.INTERRUPTED
    written = row["cache_write_5m_tokens"] + row["cache_write_1h_tokens"]
    return [
        row["started_at"][:19].replace("T", " "),
        row["id"],
        row["project"],
        row["key_name"],
        row["layer"] or "-",
        row["model"] or row["requested_model"],
        row["outcome"] if is_interrupted else f"{row['outcome']} {row['status']} {row['error_kind']}".strip(),
        f"{read + written:,}, {row['output_tokens']:,}",
        f"${row['cost_usd']}",
        "-" if is_interrupted else f"{row['duration_ms']:,.0f} ms",
    ]


def _back(text: str) -> timedelta:
    found = _BACK.fullmatch(text)
    back = timedelta(minutes=int(found[1]) * (60 if found[2] == "h" else 1)) if found else LONGEST_BACK * 2
    if back > LONGEST_BACK:
        raise ValidationError({"back": ["Use minutes or hours up to a day, such as 15m or 2h."]})
    return back


def _pause() -> None:
    close_old_connections()  # a command has no request that would do it
    time.sleep(request_tail.EVERY_S)
