"""What `manage.py` alone and `manage.py help` show: this project's commands with a line each, then Django's by name.
And what a subcommand says of an option it does not know.

Apart from `gateway.console`, which brings what only our own commands need.
"""

from __future__ import annotations

import re
import sys
import textwrap
from argparse import Namespace
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from django.core.management import ManagementUtility, get_commands
from django.core.management.base import CommandParser
from django.core.management.color import color_style

from analytics import audit_context

OURS = "gateway"
"""The app that owns this project's commands."""
WIDTH = 100


class CommandLine(ManagementUtility):
    """Django's, with a help that begins with what this project is for."""

    def main_help_text(self, commands_only: bool = False) -> str:
        ours = sorted(name for name, app in get_commands().items() if app == OURS)
        if commands_only or not ours:  # a list for programs; or the settings are broken, which Django's text explains
            return super().main_help_text(commands_only=commands_only)
        others = sorted(get_commands().keys() - set(ours))
        heading = color_style().NOTICE
        return "\n".join(
            [
                f"Type '{self.prog_name} COMMAND --help' for a command's options and examples.",
                "",
                heading("AI MCP Gateway"),
                *(f"  {name:<11} {self._line(name)}" for name in ours),
                "",
                heading("Django's own"),
                textwrap.fill(", ".join(others), WIDTH, initial_indent="  ", subsequent_indent="  "),
            ]
        )

    def _line(self, name: str) -> str:
        """The first sentence of a command's help."""
        return f"{self.fetch_command(name).help.split('. ')[0].rstrip('.')}."


class ActionParser(CommandParser):
    """A subcommand's: it refuses what it does not know itself, below its own usage. argparse would leave that to the
    command's parser, whose usage shows none of the options.

    It takes what begins with a minus and a digit for a value, such as `-5d`: the option it belongs to says what is
    wrong with it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._negative_number_matcher = re.compile(r"-\d")

    # argparse's overloads say the same at length.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Namespace | None = None
    ) -> tuple[Any, list[str]]:
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            near = get_close_matches(unknown[0].partition("=")[0], self._option_string_actions, n=1)
            hint = f". Did you mean {near[0]}?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return known, unknown


def run() -> None:
    """Executes what the process was called with. Django's own commands write to the audit trail, too."""
    with audit_context.acting(audit_context.COMMAND_LINE):
        CommandLine(sys.argv).execute()
