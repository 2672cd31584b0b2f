"""`manage.py catalog`: the catalog of providers, models, prices and layers, into the database and out of it."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError
from rich.console import Console
from rich.table import Table

from gateway.management.commands.serve import ExamplesFormatter
from routing import catalog, catalog_dump, catalog_rows

ACTOR = "command line"
DIFFERS = 3
PIPED_WIDTH = 200
"""Columns of a table that goes into a file or another program."""

EXAMPLES = """\
FILE is the catalog that ships with the gateway when it is left out, and standard input when it is "-".
The head of routing/catalog.toml describes the format, and what a load changes and what it keeps.

examples:
  manage.py catalog diff                       what a load of the shipped catalog would change
  manage.py catalog load                       bring it into the database
  manage.py catalog load my-models.toml        a file of your own; rows that it does not name stay
  manage.py catalog dump > backup.toml         the database's state, without secrets
  manage.py catalog dump | ssh other manage.py catalog load -

exit status: 0 done (diff: a load would change nothing), 3 diff: a load would change something, 1 error
"""


class Command(BaseCommand):
    help = "Loads the catalog of providers, models, prices and layers; shows what would change; writes it out again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = ExamplesFormatter
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(dest="action", required=True, metavar="{load,dump,diff}")
        load = actions.add_parser("load", help="Make and update rows, all or none; never delete.")
        diff = actions.add_parser("diff", help="Show what a load would change. Exit status 3 when there is something.")
        actions.add_parser("dump", help="Write the database's state as a catalog to standard output.")
        for reading in (load, diff):
            reading.add_argument("file", nargs="?", metavar="FILE", help='The shipped catalog by default; "-": stdin.')
            reading.add_argument("--json", action="store_true", help="One JSON list of changes instead of a table.")

    def handle(self, *_: Any, action: str, **options: Any) -> None:
        try:
            status = getattr(self, f"_{action}")(**options)
        except (catalog.CatalogError, UnicodeDecodeError) as error:
            status = self._failed(str(error))
        except OSError as error:
            status = self._failed(f"cannot read {error.filename}: {error.strerror}")
        except DatabaseError as error:
            status = self._failed(f"the database refused: {error} (is it migrated? manage.py migrate)")
        if status:
            sys.exit(status)

    def _load(self, *, file: str | None, **options: Any) -> int:
        self._show(catalog_rows.load(_read(file), actor=ACTOR), as_json=options["json"], done=True)
        return 0

    def _diff(self, *, file: str | None, **options: Any) -> int:
        found = catalog_rows.diff(_read(file))
        self._show(found, as_json=options["json"], done=False)
        return DIFFERS if found.to_write else 0

    def _dump(self, **_: Any) -> int:
        self.stdout.write(catalog.render(catalog_dump.dump()))
        return 0

    def _failed(self, message: str) -> int:
        self.stderr.write(f"catalog: {' '.join(message.split())}")
        return 1

    def _show(self, found: catalog_rows.Diff, *, as_json: bool, done: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps([dataclasses.asdict(change) for change in found.changes], indent=2))
            return
        console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, markup=False, highlight=False)
        with console.capture() as captured:
            if found.changes:
                console.print(_table(found))
            console.print(_summary(found, done=done))
        self.stdout.write(captured.get())


def _read(file: str | None) -> catalog.Catalog:
    if file == "-":
        return catalog.parse(sys.stdin.read(), source="stdin")
    return catalog.read(Path(file) if file else catalog.SHIPPED)


def _table(found: catalog_rows.Diff) -> Table:
    shown = Table("action", "kind", "what", "field", "before", "after", box=None, pad_edge=False, header_style="bold")
    for change in found.changes:
        shown.add_row(*dataclasses.astuple(change))
    return shown


def _summary(found: catalog_rows.Diff, *, done: bool) -> str:
    written, kept = len(found.to_write), len(found.changes) - len(found.to_write)
    said = f"{_count(written, 'change')} {'made' if done else 'to make'}." if written else "Nothing to change."
    return said + (f" {_count(kept, 'difference')} kept: yours to decide." if kept else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
