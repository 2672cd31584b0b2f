"""`manage.py budgets`: makes budgets, lists and changes them, switches them on and off."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import CommandParser
from django.db.models import Q
from django.utils import timezone

from analytics import budget_rows, keys, projects
from analytics.models import ApiKey, Budget, Project, Severity
from analytics.types import BudgetAction, NearEdge, Window
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
        zone = _zone(key.project if key else project)
        given = {name: value for name, value in _changes(options, zone=zone).items() if value not in (None, "none")}
        row = budget_rows.create(actor=ACTOR, project=project, api_key=key, window=options["window"], **given)
        self._tell(
            row, options, says="is made" + (f" and counts from {_time(row.starts_at, row)}" * bool(row.starts_at))
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
        if options["json"]:
            self.print_json([_json(row) for row in rows])
            return
        headings = ["id", "whose", "limit", "per", "action", "near the edge", "from", "until", "state"]
        shown = [
            (row.pk, row.whose, f"${row.limit_usd.normalize():f}", row.window, _action(row), row.near_edge,
             _time(row.starts_at, row) or "-", _time(row.ends_at, row) or "-", _state(row))
            for row in rows
        ]  # fmt: skip
        make = "manage.py budgets create --installation --limit 100 --per month"
        self.print_table(headings, shown, empty=f"No budgets here: nothing is held back. Make one: {make}")

    def _show(self, options: Mapping[str, Any]) -> None:
        row = budget_rows.find(options["id"])
        if options["json"]:
            self.print_json(_json(row))
            return
        lines = {
            "whose": row.whose,
            "limit": f"${row.limit_usd.normalize():f}",
            "per": f"{row.window}, by the clock of {_zone_of(row)}",
            "action": _action(row),
            "near the edge": row.near_edge,
            "severity": row.severity,
            "from": _time(row.starts_at, row) or "at once",
            "until": _time(row.ends_at, row) or "for good",
            "state": _state(row),
        }
        self.stdout.write(f"Budget {row.pk}")
        for name, value in lines.items():
            self.stdout.write(f"  {name:<14} {value}")

    def _set(self, options: Mapping[str, Any]) -> None:
        row = budget_rows.find(options["id"])
        given = {name: value for name, value in _changes(options, zone=_zone_of(row)).items() if value is not None}
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
        if options["json"] or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return False
        try:
            return input(f"Delete budget {row.pk} ({row})? [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            return False

    def _tell(self, row: Budget, options: Mapping[str, Any], *, says: str) -> None:
        if options["json"]:
            self.print_json(_json(row))
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
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))


def _zone(project: Project | None) -> str:
    return project.time_zone if project else settings.TIME_ZONE


def _zone_of(row: Budget) -> str:
    return _zone(row.api_key.project if row.api_key else row.project)


def _time(moment: datetime | None, row: Budget) -> str:
    zone = _zone_of(row)
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}" if moment else ""


def _action(row: Budget) -> str:
    return f"{row.action} to {row.layer}" if row.layer else row.action


def _state(row: Budget) -> str:
    now = timezone.now()
    if not row.enabled:
        return "disabled"
    if row.ends_at and row.ends_at <= now:
        return "over"
    return "to come" if row.starts_at and row.starts_at > now else "active"


def _json(row: Budget) -> dict[str, Any]:
    project = row.api_key.project if row.api_key else row.project
    zone = ZoneInfo(_zone_of(row))
    return {
        "id": row.pk,
        "project": project.slug if project else None,
        "key": row.api_key.name if row.api_key else None,
        "window": row.window,
        "limit_usd": f"{row.limit_usd.normalize():f}",
        "action": row.action,
        "layer": row.layer or None,
        "near_edge": row.near_edge,
        "severity": row.severity,
        "time_zone": str(zone),
        "starts_at": row.starts_at.astimezone(zone).isoformat(timespec="seconds") if row.starts_at else None,
        "ends_at": row.ends_at.astimezone(zone).isoformat(timespec="seconds") if row.ends_at else None,
        "enabled": row.enabled,
        "state": _state(row),
    }
