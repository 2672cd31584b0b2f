"""`manage.py usage`: what the roll-ups tell; counts them anew, compares them with the ledger, drops what is old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from gateway import usage_report, usage_upkeep
from gateway.command_line import ActionParser
from gateway.console import ConsoleCommand


class Command(ConsoleCommand):
    help = "Tells usage, cost, latency, errors and savings, by model, key, project, day and so on. Keeps the roll-ups."
    EXAMPLES = usage_report.EXAMPLES + usage_upkeep.EXAMPLES
    PROBLEMS = usage_upkeep.PROBLEMS

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        usage_report.add_arguments(parser)
        actions = parser.add_subparsers(
            dest="action",
            title="upkeep, in place of a report",
            parser_class=ActionParser,
            metavar="{rebuild,verify,tidy}",
        )
        usage_upkeep.add_arguments(actions)

    def run(self, options: Mapping[str, Any]) -> None:
        if options["action"] is None:
            usage_report.run(self, options)
        else:
            usage_upkeep.run(self, options)
