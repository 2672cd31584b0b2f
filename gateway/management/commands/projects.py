"""`manage.py projects`: makes projects, lists them, sets their time zone and limits, deletes them."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from django.db.models import Count

from analytics import key_rules, projects
from analytics.models import MOST_BODIES_DAYS, Project
from gateway import confirming
from gateway.command_line import ActionParser
from gateway.console import ACTOR, ConsoleCommand
from gateway.wording import counted

LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
WHOLE_NUMBER = "Use a whole number, or `none` for no limit."


class BadOption(Exception):
    """Options that change nothing or contradict each other; the message says what to write."""


class Command(ConsoleCommand):
    help = "Makes, lists and deletes projects; sets their time zone, limits, and whether bodies are kept."
    EXAMPLES = """\
A project holds API keys. Its limits are for all of them together, in any sliding minute; its time zone is the one in
which its budgets' windows begin.

examples:
  manage.py projects create lab --name "The lab" --time-zone Europe/Berlin
  manage.py projects set lab --requests-per-minute 600 --concurrent-requests 20
  manage.py projects set lab --requests-per-minute none
  manage.py projects set lab --disable                       its keys are refused within two seconds
  manage.py projects set lab --store-bodies --bodies-days 3  keeps what is asked and answered: docs/bodies.md
  manage.py projects list
  manage.py projects show lab --json
  manage.py projects delete lab --yes                        its budgets go with it; one with keys stays
"""
    PROBLEMS = (projects.ProjectProblem, BadOption)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        actions = parser.add_subparsers(
            dest="action", required=True, parser_class=ActionParser, metavar="{list,show,create,set,delete}"
        )
        listing = actions.add_parser("list", help="Show every project.")
        show = actions.add_parser("show", help="Show one project.")
        create = actions.add_parser("create", help="Make a project.")
        change = actions.add_parser("set", help="Change a project; its slug stays.")
        delete = actions.add_parser("delete", help="Delete a project without keys; asks first.")
        delete.add_argument("--yes", action="store_true", help="Without asking.")
        for one in (show, create, change, delete):
            one.add_argument("slug", metavar="SLUG", help="Its short name, which stands in the ledger.")
        for one in (create, change):
            _add_fields(one)
        on_or_off = change.add_mutually_exclusive_group()
        on_or_off.add_argument("--enable", action="store_true", help="Let its keys in.")
        on_or_off.add_argument("--disable", action="store_true", help="Refuse its keys.")
        for action in (listing, show, create, change, delete):
            action.add_argument("--json", action="store_true", help="JSON instead of text.")

    def run(self, options: Mapping[str, Any]) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = Project.objects.annotate(key_count=Count("api_keys")).order_by("slug")
        if options["json"]:
            self.print_json([_json(row) for row in rows])
            return
        headings = ["slug", "name", "time zone", "keys", "requests/min", "tokens/min", "at once", "state"]
        shown = [
            (row.slug, row.name, row.time_zone, row.key_count, *(_limit(row, name) for name in LIMITS), _state(row))
            for row in rows
        ]
        self.print_table(headings, shown, empty="No projects yet. Make one: manage.py projects create SLUG")

    def _show(self, options: Mapping[str, Any]) -> None:
        row = projects.find(options["slug"])
        if options["json"]:
            self.print_json(_json(row))
            return
        self.stdout.write(f"Project {row.slug}")
        lines = {"name": row.name, "time zone": row.time_zone, "state": _state(row), "bodies": _bodies(row)}
        for name, value in (lines | {name.replace("_", " "): _limit(row, name) for name in LIMITS}).items():
            self.stdout.write(f"  {name:<20} {value}")

    def _create(self, options: Mapping[str, Any]) -> None:
        row = projects.create(options["slug"], actor=ACTOR, **_changes(options))
        self._tell(row, options, says="is made")

    def _set(self, options: Mapping[str, Any]) -> None:
        row = projects.find(options["slug"])
        changes = _changes(options)
        if options["enable"] or options["disable"]:
            changes["enabled"] = options["enable"]
        if not changes:
            raise BadOption("Say what to change, such as --time-zone Europe/Berlin; --help shows what there is.")
        self._tell(projects.edit(row, actor=ACTOR, changes=changes), options, says="is set")

    def _delete(self, options: Mapping[str, Any]) -> None:
        row = projects.find(options["slug"])
        if not options["yes"] and not self._is_confirmed(row, options):
            raise BadOption("Nothing was deleted: --yes deletes without asking.")
        projects.delete(row, actor=ACTOR)
        if options["json"]:
            self.print_json({"slug": row.slug, "deleted": True})
        else:
            self.stdout.write(f"Project {row.slug} is deleted.")

    def _is_confirmed(self, row: Project, options: Mapping[str, Any]) -> bool:
        if options["json"] or not confirming.is_terminal():
            return False
        return confirming.is_confirmed(f"Delete project {row.slug} and its budgets?")

    def _tell(self, row: Project, options: Mapping[str, Any], *, says: str) -> None:
        if options["json"]:
            self.print_json(_json(row))
        else:
            self.stdout.write(f"Project {row.slug} {says}.")


def _add_fields(parser: ArgumentParser) -> None:
    parser.add_argument("--name", help="For people.")
    parser.add_argument("--time-zone", metavar="ZONE", help="An IANA name, such as Europe/Berlin.")
    parser.add_argument("--requests-per-minute", metavar="N", help="In any sliding minute; `none`: no limit.")
    parser.add_argument("--tokens-per-minute", metavar="N", help="Input and output together; `none`: no limit.")
    parser.add_argument("--concurrent-requests", metavar="N", help="Under way at once; `none`: no limit.")
    parser.add_argument(
        "--store-bodies",
        action=BooleanOptionalAction,
        help="Keep what is asked and answered, masked, or no more of it.",
    )
    parser.add_argument("--bodies-days", metavar="N", help=f"How long it is kept: 1 to {MOST_BODIES_DAYS} days.")


def _changes(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, by the service's names. Raises: ValidationError on what should be a number and is none."""
    changes: dict[str, Any] = {name: options[name] for name in ("name", "time_zone")}
    changes["stores_bodies"] = options["store_bodies"]
    if (days := options["bodies_days"]) is not None:
        changes["bodies_days"] = _number("bodies_days", days, says=key_rules.WHOLE_NUMBER)
    limits = {name: _limit_given(name, options[name]) for name in LIMITS if options[name] is not None}
    return {name: value for name, value in changes.items() if value is not None} | limits


def _limit_given(field: str, text: str) -> int | None:
    return None if text == "none" else _number(field, text, says=WHOLE_NUMBER)


def _number(field: str, text: str, *, says: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValidationError({field: says}) from error


def _limit(row: Project, name: str) -> str:
    limit = getattr(row, name)
    return "-" if limit is None else f"{limit:,}"


def _state(row: Project) -> str:
    return "active" if row.enabled else "disabled"


def _bodies(row: Project) -> str:
    return f"stored for {counted(row.bodies_days or 0, 'day')}" if row.stores_bodies else "not stored"


def _json(row: Project) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("id", "slug", *projects.EDITABLE)}
