"""What the commands share: help with examples, tables for people, JSON for programs, one sentence for a failure."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter
from django.db import DatabaseError
from rich.console import Console
from rich.table import Table

from analytics import audit_context

ACTOR = audit_context.COMMAND_LINE
"""Who the audit trail names for what a command did."""
PIPED_WIDTH = 200
"""Columns of a table that goes into a file or another program."""


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Text of a model or a vendor as a terminal may be given it: without what would move the cursor or set colours."""
    return _CONTROL.sub("", text)


def by_field(error: ValidationError, *, spelt: Mapping[str, str] | None = None) -> str:
    """What is wrong with which field, in one sentence for each; `spelt` has the options that fields were given by."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    names = spelt or {}
    return " ".join(f"{names.get(field, field)}: {' '.join(said)}" for field, said in error.message_dict.items())


def _spelt(parser: ArgumentParser, given: Mapping[str, Any]) -> dict[str, str]:
    """As they are typed: the options that were given to a command, and to the action that was asked for."""
    found = {
        one.dest: one.option_strings[-1]
        for one in parser._actions
        if one.option_strings and given.get(one.dest) is not None
    }
    for one in parser._actions:
        chosen = one.choices.get(given.get(one.dest)) if isinstance(one.choices, Mapping) else None
        found |= _spelt(chosen, given) if isinstance(chosen, ArgumentParser) else {}
    return found


class ExamplesFormatter(RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Django's order of options, with the examples left as they are."""


class ConsoleCommand(BaseCommand):
    """A command with examples in `--help`. Subclasses define `run`; what it raises as `PROBLEMS` becomes one sentence
    on stderr and exit status 1."""

    EXAMPLES = ""
    PROBLEMS: tuple[type[Exception], ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = ExamplesFormatter
        parser.epilog = self.EXAMPLES
        self._parser = parser

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            with audit_context.acting(ACTOR):
                self.run(options)
        except self.PROBLEMS as error:
            self.fail(self.told_of(error))
        except ValidationError as error:
            self.fail(by_field(error, spelt=_spelt(self._parser, options)))
        except DatabaseError as error:
            from gateway import serving  # brings uvicorn, which a command that works has no use for

            missing = "no such table" in str(error) or "does not exist" in str(error)
            mend = " Set it up: `manage.py quickstart`, or `migrate` and `catalog load`." if missing else ""
            self.fail(serving.explain(error, var_dir=settings.VAR_DIR) or f"The database refused: {error}.{mend}")

    def run(self, options: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def told_of(self, error: Exception) -> str:
        """The sentence for one of `PROBLEMS`."""
        return str(error)

    def fail(self, message: str) -> NoReturn:
        """Says one sentence on stderr and ends with exit status 1."""
        name = type(self).__module__.rpartition(".")[2]
        self.stderr.write(f"{name}: {plain(' '.join(message.split()))}")
        sys.exit(1)

    def print_json(self, value: object) -> None:
        self.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())

    def print_table(
        self, headings: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str, whole: Collection[str] = ()
    ) -> None:
        """Rows under headings; `empty` is said instead when there are none. Columns named in `whole` are broken in no
        terminal, however narrow."""
        if not rows:
            self.stdout.write(empty)
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, heading in enumerate(headings):
            longest = max(len(str(row[number])) for row in rows) if heading in whole else None
            table.add_column(heading, no_wrap=heading in whole, min_width=longest)
        for row in rows:
            table.add_row(*("" if value is None else plain(str(value)) for value in row))
        self.print_rich(table)

    def print_rich(self, shown: object) -> None:
        """As wide as the terminal, or wide enough for a program to read; colours only in a terminal."""
        console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, markup=False, highlight=False)
        with console.capture() as captured:
            console.print(shown)
        self.stdout.write(captured.get(), ending="")
