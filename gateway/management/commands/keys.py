"""`manage.py keys`: makes API keys, lists them, switches them off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from analytics import keys
from analytics.models import ApiKey, Project
from analytics.types import Scope
from gateway.command_line import ActionParser
from gateway.console import ACTOR, ConsoleCommand
from routing import patterns

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class BadOption(Exception):
    """An option's value cannot be understood; the message says what to write."""


class Command(ConsoleCommand):
    help = "Makes, lists and disables API keys."
    EXAMPLES = """\
examples:
  manage.py keys create laptop                               the key is shown once
  manage.py keys create ci --expires-in 30d --layer L0 --layer L1
  manage.py keys create bot --model 'openai/*' --json
  manage.py keys list
  manage.py keys disable laptop                              in force everywhere within two seconds
"""
    PROBLEMS = (keys.KeyProblem, BadOption)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        actions = parser.add_subparsers(
            dest="action", required=True, parser_class=ActionParser, metavar="{create,list,disable}"
        )
        create = actions.add_parser("create", help="Make a key and show it, once.")
        create.add_argument("name", help="What to call it; unique in its project.")
        create.add_argument("--project", default="default", help="Slug of its project (%(default)s).")
        create.add_argument(
            "--scope", action="append", choices=[scope.value for scope in Scope], help="May be repeated."
        )
        create.add_argument("--model", action="append", metavar="PATTERN", help="Allow only these models; repeatable.")
        create.add_argument("--layer", action="append", metavar="PATTERN", help="Allow only these layers; repeatable.")
        create.add_argument("--expires-in", metavar="TIME", help="Such as 12h, 30d or 8w; never by default.")
        listing = actions.add_parser("list", help="Show every key, without its secret.")
        disable = actions.add_parser("disable", help="Switch a key off.")
        disable.add_argument("name", help="Its name, id or prefix.")
        for action in (create, listing, disable):
            action.add_argument("--json", action="store_true", help="JSON instead of text.")

    def run(self, options: Mapping[str, Any]) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _create(self, options: Mapping[str, Any]) -> None:
        try:
            made = keys.create(
                options["name"],
                actor=ACTOR,
                project=_project(options["project"]),
                scopes=options["scope"],
                allowed_models=options["model"],
                allowed_layers=options["layer"],
                expires_at=_moment(options["expires_in"]),
            )
        except ValidationError as error:
            found = [f"{name}: {' '.join(said)}" for name, said in error.message_dict.items()]
            raise BadOption("; ".join(found)) from error
        slips = patterns.unmatched(models=made.row.allowed_models, layers=made.row.allowed_layers)
        warnings = [str(slip) for slip in slips]
        if options["json"]:
            self.print_json(_shown(made.row) | {"key": made.secret, "warnings": warnings})
            return
        for warning in warnings:
            self.stderr.write(f"keys: warning: {warning}")
        self.stdout.write(
            f"Key {made.row.name!r} of project {made.row.project.slug}, shown this once:\n\n{made.secret}\n"
        )

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = [_shown(row) for row in ApiKey.objects.select_related("project")]
        if options["json"]:
            self.print_json(rows)
            return
        headings = ["id", "name", "prefix", "project", "state", "scopes", "models", "layers", "expires"]
        shown = [
            (row["id"], row["name"], row["prefix"], row["project"], row["state"], ", ".join(row["scopes"]),
             ", ".join(row["allowed_models"]) or "all", ", ".join(row["allowed_layers"]) or "all",
             row["expires_at"] or "never")
            for row in rows
        ]  # fmt: skip
        self.print_table(headings, shown, empty="No keys yet. Make one: manage.py keys create NAME")

    def _disable(self, options: Mapping[str, Any]) -> None:
        row = keys.find(options["name"])
        keys.disable(row, actor=ACTOR)
        if options["json"]:
            self.print_json(_shown(row))
            return
        self.stdout.write(f"Key {row.name!r} ({row.prefix}...) is disabled.")


def _shown(row: ApiKey) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "prefix": row.prefix,
        "project": row.project.slug,
        "state": _state(row),
        "scopes": row.scopes,
        "allowed_models": row.allowed_models,
        "allowed_layers": row.allowed_layers,
        "expires_at": row.expires_at.isoformat(timespec="minutes") if row.expires_at else None,
        "created_at": row.created_at.isoformat(timespec="seconds"),
    }


def _state(row: ApiKey) -> str:
    if not row.enabled or not row.project.enabled:
        return "disabled"
    return "expired" if row.expires_at and row.expires_at <= datetime.now(UTC) else "active"


def _project(slug: str) -> Project:
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        known = ", ".join(Project.objects.values_list("slug", flat=True))
        raise BadOption(f"There is no project {slug!r}; there is {known}.")
    return project


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhdw])", text)
    if found is None:
        raise BadOption(f"--expires-in {text!r}: write a number and one of m, h, d, w, such as 30d.")
    return datetime.now(UTC) + timedelta(**{_UNITS[found[2]]: int(found[1])})
