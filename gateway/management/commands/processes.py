"""`manage.py processes`: the servers and workers that live, and what their gauges read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser

from analytics import gauges
from gateway.console import ConsoleCommand


class Command(ConsoleCommand):
    help = "Shows the servers and workers that live, with their gauges."
    EXAMPLES = """\
Every server and worker writes its gauges every five seconds; one that was not heard of for a minute is gone.

examples:
  manage.py processes
  manage.py processes --json
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="JSON instead of text.")

    def run(self, options: Mapping[str, Any]) -> None:
        found = gauges.latest()
        if options["json"]:
            self.print_json(found)
            return
        now = datetime.now(UTC)
        rows = [
            (one.role, one.host, one.pid, _ago(now - one.started_at), _ago(now - one.at), gauges.in_words(one.readings))
            for one in found
        ]
        headings = ["role", "host", "pid", "runs for", "read", "gauges"]
        self.print_table(headings, rows, empty="No server or worker is running.")


def _ago(span: timedelta) -> str:
    seconds = max(int(span.total_seconds()), 0)
    days, rest = divmod(seconds, 24 * 3600)
    hours, minutes = rest // 3600, rest // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"
