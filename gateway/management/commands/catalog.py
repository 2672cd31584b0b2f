"""`manage.py catalog`: the catalog of providers, models, prices and layers, into the database and out of it."""

from __future__ import annotations

import dataclasses
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from gateway.command_line import ActionParser
from gateway.console import ACTOR, ConsoleCommand
from routing import catalog, catalog_dump, catalog_rows

DIFFERS = 3


class UnreadableFile(Exception):
    """The file named cannot be read as text."""


class UnwritableFile(Exception):
    """The file named cannot be written."""


EXAMPLES = """\
load and diff read FILE: the catalog that ships with the gateway when it is left out, standard input when it is "-".
dump writes FILE, whole or not at all, over one that is there; standard output when it is left out or "-".
The head of routing/catalog.toml describes the format, and what a load changes and what it keeps.

examples:
  manage.py catalog diff                       what a load of the shipped catalog would change
  manage.py catalog load                       bring it into the database
  manage.py catalog load my-models.toml        a file of your own; rows that it does not name stay
                                               (it needs no [policy] and no [[layers]])
  manage.py catalog dump backup.toml           the database's state, without secrets
  manage.py catalog dump | ssh other manage.py catalog load -

exit status: 0 done (diff: a load would change nothing), 3 diff: a load would change something, 1 error
"""


class Command(ConsoleCommand):
    help = "Loads the catalog of providers, models, prices and layers; shows what would change; writes it out again."
    EXAMPLES = EXAMPLES
    PROBLEMS = (catalog.CatalogError, UnreadableFile, UnwritableFile)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        actions = parser.add_subparsers(
            dest="action", required=True, parser_class=ActionParser, metavar="{load,dump,diff}"
        )
        load = actions.add_parser("load", help="Make and update rows, all or none; never delete.")
        diff = actions.add_parser("diff", help="Show what a load would change. Exit status 3 when there is something.")
        dump = actions.add_parser("dump", help="Write the database's state as a catalog.")
        dump.add_argument("file", nargs="?", metavar="FILE", help='Standard output by default, and with "-".')
        for reading in (load, diff):
            reading.add_argument("file", nargs="?", metavar="FILE", help='The shipped catalog by default; "-": stdin.')
            reading.add_argument("--json", action="store_true", help="One JSON list of changes instead of a table.")

    def run(self, options: Mapping[str, Any]) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _load(self, options: Mapping[str, Any]) -> None:
        found = catalog_rows.load(_read(options["file"]), actor=ACTOR)
        self._show(found, as_json=options["json"], done=True)

    def _diff(self, options: Mapping[str, Any]) -> None:
        found = catalog_rows.diff(_read(options["file"]))
        self._show(found, as_json=options["json"], done=False)
        if found.to_write:
            sys.exit(DIFFERS)

    def _dump(self, options: Mapping[str, Any]) -> None:
        text, file = catalog.render(catalog_dump.dump()), options["file"]
        if file in (None, "-"):
            self.stdout.write(text)
            return
        _write(Path(file), text)
        self.stdout.write(f"Wrote {file}.")

    def _show(self, found: catalog_rows.Diff, *, as_json: bool, done: bool) -> None:
        if as_json:
            self.print_json([dataclasses.asdict(change) for change in found.changes])
            return
        if found.changes:
            rows = [dataclasses.astuple(change) for change in found.changes]
            self.print_table(["action", "kind", "what", "field", "before", "after"], rows, empty="")
        self.stdout.write(_summary(found, done=done))


def _read(file: str | None) -> catalog.Catalog:
    try:
        if file == "-":
            return catalog.parse(sys.stdin.read(), source="stdin")
        return catalog.read(Path(file) if file else catalog.SHIPPED)
    except OSError as error:
        raise UnreadableFile(f"Cannot read {error.filename}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{file or 'The catalog'} is not UTF-8 text (byte {error.start}).") from error


def _write(file: Path, text: str) -> None:
    """By way of a file beside it, so that a backup that was there outlives a full disk. Raises: UnwritableFile."""
    target = file.resolve()  # a link stays a link
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        if target.exists() and not target.is_file():  # /dev/stdout, a pipe; a folder is refused here
            target.write_text(text, encoding="utf-8")
            return
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(target)
    except OSError as error:
        raise UnwritableFile(f"Cannot write {file}: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _summary(found: catalog_rows.Diff, *, done: bool) -> str:
    written, kept = len(found.to_write), len(found.changes) - len(found.to_write)
    said = f"{_count(written, 'change')} {'made' if done else 'to make'}." if written else "Nothing to change."
    return said + (f" {_count(kept, 'difference')} kept: yours to decide." if kept else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
