"""`manage.py usage`: what the ledger's roll-ups tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from gateway import usage_report
from gateway.console import ConsoleCommand


class Command(ConsoleCommand):
    help = "Tells usage, cost, latency, errors and savings, by model, key, project, day and so on."
    EXAMPLES = usage_report.EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "action", nargs="?", choices=("report",), default="report", help="What to do (%(default)s)."
        )
        usage_report.add_arguments(parser)

    def run(self, options: Mapping[str, Any]) -> None:
        usage_report.run(self, options)
