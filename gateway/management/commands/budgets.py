"""`manage.py budgets`: makes budgets, lists and changes them, switches them on and off."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import CommandParser
from django.db.models import Q

from analytics import budget_rows, keys, projects, standing
from analytics.models import ApiKey, Budget, Project, Severity
from analytics.types import BudgetAction, NearEdge, Window
from gateway import budget_listing, confirming
from gateway.command_line import ActionParser
from gateway.console import ACTOR, ConsoleCommand


class BadOption(Exception):
    """Options that do not go together, or a value that cannot be understood; the message says what to write."""


class Command(ConsoleCommand):
    help = "Makes, lists and changes budgets of the installation, a project or an API key."
    EXAMPLES = """\
A window (hour, day, week from Monday, month) begins by the clock of the project's time zone; a total one counts from
its start on. Dates and times are in that zone too, unless they say another: 2026-12-01, 2026-12-01T09:00Z.

examples:
  manage.py budgets create --installation --limit 500 --per month
  manage.py budgets create --project lab --limit 20 --per day --action degrade --layer L0
  manage.py budgets create --key laptop --limit 5.00 --per total --near-edge deny
  manage.py budgets create --project lab --key ci --limit 1 --per hour --starts 2026-12-01 --ends 2027-01-01
  manage.py budgets list --project lab
  manage.py budgets set 3 --limit 7.50 --ends none
  manage.py budgets disable 3                                in force everywhere within two seconds
  manage.py budgets delete 3 --yes
"""
    PROBLEMS = (budget_rows.BudgetProblem, projects.ProjectProblem, keys.KeyProblem, BadOption)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        actions = parser.add_subparsers(
            dest="action",
            required=True,
            parser_class=ActionParser,
            metavar="{create,list,show,set,enable,disable,delete}",
        )
        create = actions.add_parser("create", help="Make a budget.")
        listing = actions.add_parser("list", help="Show all budgets, or somebody's.")
        for whose in (create, listing):
            whose.add_argument("--installation", action="store_true", help="Of everything together.")
            whose.add_argument("--project", metavar="SLUG", help="Of a project; with --key, the key's project.")
            whose.add_argument("--key", metavar="NAME", help="Of an API key, by its name, id or prefix.")
        create.add_argument("--per", dest="window", metavar="WINDOW", required=True, help=_choices(Window))
        _add_changes(create, is_new=True)
        named = {"list": listing, "create": create}
        for name, says in (
            ("show", "Show one budget."),
            ("set", "Change a budget; whose it is and its window stay."),
            ("enable", "Switch a budget on."),
            ("disable", "Switch a budget off."),
            ("delete", "Delete a budget; asks first."),
        ):
            named[name] = actions.add_parser(name, help=says)
            named[name].add_argument("id", metavar="ID", help="Its number, as `budgets list` shows it.")
        _add_changes(named["set"], is_new=False)
        named["delete"].add_argument("--yes", action="store_true", help="Without asking.")
        for action in named.values():
            action.add_argument("--json", action="store_true", help="JSON instead of text.")

    def run(self, options: Mapping[str, Any]) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _create(self, options: Mapping[str, Any]) -> None:
        project, key = _target(options)
        if not (project or key or options["installation"]):
            raise BadOption("Say whose budget it is: --installation, --project SLUG or --key NAME.")
        zone = budget_listing.zone_of_project(key.project if key else project)
        given = {name: value for name, value in _changes(options, zone=zone).items() if value not in (None, "none")}
        row = budget_rows.create(actor=ACTOR, project=project, api_key=key, window=options["window"], **given)
        self._tell(
            row,
            options,
            says="is made" + (f" and counts from {budget_listing.moment(row.starts_at, row)}" * bool(row.starts_at)),
        )

    def _list(self, options: Mapping[str, Any]) -> None:
        project, key = _target(options)
        rows = Budget.objects.select_related("project", "api_key__project")
        if key and project:
            raise BadOption(f"The key {key.name} belongs to the project {key.project.slug}, not to {project.slug}.")
        if key:
            rows = rows.filter(api_key=key)
        elif project:
            rows = rows.filter(Q(project=project) | Q(api_key__project=project))
        elif options["installation"]:
            rows = rows.filter(project=None, api_key=None)
        standings = standing.of(rows)
        if options["json"]:
            self.print_json([budget_listing.as_json(row, standings[row.pk]) for row in rows])
            return
        shown = [budget_listing.as_row(row, standings[row.pk]) for row in rows]
        make = "manage.py budgets create --installation --limit 100 --per month"
        self.print_table(
            budget_listing.HEADINGS, shown, empty=f"No budgets here: nothing is held back. Make one: {make}"
        )

    def _show(self, options: Mapping[str, Any]) -> None:
        row = budget_rows.find(options["id"])
        found = standing.of([row])[row.pk]
        if options["json"]:
            self.print_json(budget_listing.as_json(row, found))
            return
        self.stdout.write(f"Budget {row.pk}")
        for name, value in budget_listing.as_lines(row, found).items():
            self.stdout.write(f"  {name:<14} {value}")

    def _set(self, options: Mapping[str, Any]) -> None:
        row = budget_rows.find(options["id"])
        given = {
            name: value
            for name, value in _changes(options, zone=budget_listing.zone_of(row)).items()
            if value is not None
        }
        changes = {name: None if value == "none" else value for name, value in given.items()}
        if not changes:
            raise BadOption("Say what to change, such as --limit 7.50; --help shows what there is.")
        if changes.get("action") not in (None, "degrade"):
            changes.setdefault("layer", "")  # no other action has one
        self._tell(budget_rows.edit(row, actor=ACTOR, changes=changes), options, says="is set")

    def _enable(self, options: Mapping[str, Any]) -> None:
        row = budget_rows.edit(budget_rows.find(options["id"]), actor=ACTOR, changes={"enabled": True})
        self._tell(row, options, says="is enabled")

    def _disable(self, options: Mapping[str, Any]) -> None:
        row = budget_rows.edit(budget_rows.find(options["id"]), actor=ACTOR, changes={"enabled": False})
        self._tell(row, options, says="is disabled")

    def _delete(self, options: Mapping[str, Any]) -> None:
        row = budget_rows.find(options["id"])
        if not options["yes"] and not self._is_confirmed(row, options):
            raise BadOption("Nothing was deleted: --yes deletes without asking.")
        number = row.pk
        budget_rows.delete(row, actor=ACTOR)
        if options["json"]:
            self.print_json({"id": number, "deleted": True})
        else:
            self.stdout.write(f"Budget {number} ({row}) is deleted.")

    def _is_confirmed(self, row: Budget, options: Mapping[str, Any]) -> bool:
        if options["json"] or not confirming.is_terminal():
            return False
        return confirming.is_confirmed(f"Delete budget {row.pk} ({row})?")

    def _tell(self, row: Budget, options: Mapping[str, Any], *, says: str) -> None:
        if options["json"]:
            self.print_json(budget_listing.as_json(row, standing.of([row])[row.pk]))
        else:
            self.stdout.write(f"Budget {row.pk} ({row}) {says}.")


def _add_changes(parser: ArgumentParser, *, is_new: bool) -> None:
    cleared = "" if is_new else " `none` clears it."
    parser.add_argument("--limit", dest="limit_usd", metavar="USD", required=is_new, help="Such as 5.00.")
    parser.add_argument("--action", dest="does", metavar="ACTION", help=f"When it is reached: {_choices(BudgetAction)}")
    parser.add_argument("--layer", metavar="L", help="The layer to degrade to.")
    parser.add_argument(
        "--near-edge", metavar="WHAT", help=f"When the longest answer no longer fits: {_choices(NearEdge)}"
    )
    parser.add_argument("--severity", metavar="S", help=f"Of the audit entry: {_choices(Severity.values)}")
    parser.add_argument("--starts", dest="starts_at", metavar="TIME", help=f"From this date or time on.{cleared}")
    parser.add_argument("--ends", dest="ends_at", metavar="TIME", help=f"Up to this date or time, without it.{cleared}")


def _choices(values: Iterable[str]) -> str:
    return f"{', '.join(values)}."


def _changes(options: Mapping[str, Any], *, zone: str) -> dict[str, Any]:
    """By the service's names; None where an option was not given."""
    return {name: options[name] for name in ("limit_usd", "layer", "near_edge", "severity")} | {
        "action": options["does"],
        "starts_at": _moment(options["starts_at"], zone=zone, option="--starts"),
        "ends_at": _moment(options["ends_at"], zone=zone, option="--ends"),
    }


def _target(options: Mapping[str, Any]) -> tuple[Project | None, ApiKey | None]:
    """The project or the key that was named; both only where the key is another project's, which `create` refuses."""
    if options["installation"] and (options["project"] or options["key"]):
        raise BadOption("--installation goes with neither --project nor --key.")
    project = projects.find(options["project"]) if options["project"] else None
    if not options["key"]:
        return project, None
    own = ApiKey.objects.filter(project=project, name=options["key"]).select_related("project").first()
    key = own or keys.find(options["key"])
    return (None if project in (None, key.project) else project), key


def _moment(text: str | None, *, zone: str, option: str) -> datetime | str | None:
    if text is None or text == "none":
        return text
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadOption(
            f"{option} {text!r}: write a date or a time, such as 2026-12-01 or 2026-12-01T09:00."
        ) from error
    if found.tzinfo:
        return found
    local = found.replace(tzinfo=ZoneInfo(zone))
    # A day whose midnight the clock skips begins where it goes on; any other time that is skipped was meant otherwise.
    if found.time() != time() and local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) != found:
        raise BadOption(f"{option} {text!r}: the clock of {zone} skips this time; write one that it shows.")
    return local
