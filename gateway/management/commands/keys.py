"""`manage.py keys`: the whole life of API keys, from being made and shown once to being deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from analytics import keys
from analytics.models import ApiKey
from gateway import confirming, key_listing, key_options
from gateway.command_line import ActionParser
from gateway.console import ACTOR, ConsoleCommand, plain
from gateway.key_options import BadOption

_ACTIONS = ("create", "list", "show", "rename", "rotate", "disable", "enable", "expire", "set", "delete")


class Command(ConsoleCommand):
    help = "Makes API keys, lists, changes, rotates, switches off and deletes them."
    EXAMPLES = """\
A key is called by its name, its prefix or its id; --project says where to look when two projects use a name.
Every change is in force everywhere within two seconds.

examples:
  manage.py keys create laptop                               the key is shown once
  manage.py keys create ci --expires-in 30d --layer L0 --layer L1
  manage.py keys create bot --model 'openai/*' --network 10.0.0.0/8 --requests-per-minute 60 --json
  manage.py keys list --project default --state active
  manage.py keys show laptop                                 everything, and when it was last used
  manage.py keys rotate laptop --grace 24h                   a new key; the old one ends a day later
  manage.py keys rotate leaked --grace 0                     the old one ends at once
  manage.py keys set bot --tokens-per-minute 100000 --requests-per-minute none --clear network
  manage.py keys set bot --to-project research --owner ada
  manage.py keys rename bot robot
  manage.py keys disable laptop
  manage.py keys expire ci --in 2h
  manage.py keys delete ci --yes
"""
    PROBLEMS = (keys.KeyProblem, BadOption, ApiKey.DoesNotExist)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        actions = parser.add_subparsers(
            dest="action", required=True, parser_class=ActionParser, metavar=f"{{{','.join(_ACTIONS)}}}"
        )
        create = actions.add_parser("create", help="Make a key and show it, once.")
        create.add_argument("name", help="What to call it; unique in its project.")
        create.add_argument("--project", default="default", help="Slug of its project (%(default)s).")
        key_options.add_fields(create)
        listing = actions.add_parser("list", help="Show the keys, without their secrets.")
        listing.add_argument("--project", help="Only this project's.")
        listing.add_argument("--state", choices=[state.value for state in keys.State], help="Only those.")
        _add_named(actions.add_parser("show", help="Show all about a key, but for its secret."))
        _add_named(actions.add_parser("rename", help="Call a key something else.")).add_argument(
            "new_name", metavar="NEW", help="Unique in its project."
        )
        rotate = _add_named(actions.add_parser("rotate", help="Give it a new key, shown once."))
        rotate.add_argument(
            "--grace",
            metavar="TIME",
            default="24h",
            help="How long the old one stays valid: 0, or up to 30d (%(default)s).",
        )
        rotate.add_argument(
            "--end-previous", action="store_true", help="Also where one from before it is still valid, which ends."
        )
        _add_named(actions.add_parser("disable", help="Switch a key off."))
        _add_named(actions.add_parser("enable", help="Switch it on again."))
        expire = _add_named(actions.add_parser("expire", help="End a key: now, or at a time."))
        key_options.add_moment(expire, after="--in", at="--at")
        change = _add_named(actions.add_parser("set", help="Change what it may do; a list takes the old one's place."))
        key_options.add_fields(change)
        change.add_argument("--to-project", metavar="SLUG", help="Move it to this project.")
        change.add_argument(
            "--clear",
            action="append",
            choices=key_options.CLEARABLE,
            metavar="WHAT",
            help=f"Lift a limit or restriction; repeatable: {', '.join(key_options.CLEARABLE)}.",
        )
        delete = _add_named(actions.add_parser("delete", help="Remove a key for good; asks first."))
        delete.add_argument("--yes", action="store_true", help="Do not ask.")
        for action in actions.choices.values():
            action.add_argument("--json", action="store_true", help="JSON instead of text.")

    def run(self, options: Mapping[str, Any]) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except ValidationError as error:
            found = [f"{name}: {' '.join(said)}" for name, said in error.message_dict.items()]
            raise BadOption("; ".join(found)) from error

    def _create(self, options: Mapping[str, Any]) -> None:
        project = key_options.project(options["project"])
        fields: dict[str, Any] = key_options.changes(options)
        made = keys.create(options["name"], actor=ACTOR, project=project, **fields)
        warnings = key_listing.warnings(made.row, about=fields)
        if options["json"]:
            self.print_json(key_listing.as_json(made.row) | {"key": made.secret, "warnings": warnings})
            return
        self._warn(warnings)
        self.stdout.write(
            f"Key {plain(made.row.name)!r} of project {made.row.project.slug}, shown this once:\n\n{made.secret}\n"
        )

    def _list(self, options: Mapping[str, Any]) -> None:
        found = ApiKey.objects.select_related("project", "owner")
        if options["project"] is not None:
            found = found.filter(project=key_options.project(options["project"]))
        rows = keys.in_state(found, keys.State(options["state"])) if options["state"] else found
        if options["json"]:
            self.print_json([key_listing.as_json(row) for row in rows])
            return
        is_all = options["project"] is None and options["state"] is None
        empty = "No keys yet. Make one: manage.py keys create NAME" if is_all else "No such keys."
        self.print_table(key_listing.HEADINGS, [key_listing.as_row(row) for row in rows], empty=empty, whole=["prefix"])

    def _show(self, options: Mapping[str, Any]) -> None:
        row = _found(options)
        if options["json"]:
            self.print_json(key_listing.in_full(row))
            return
        self.print_table(["", ""], key_listing.as_pairs(row), empty="")

    def _rename(self, options: Mapping[str, Any]) -> None:
        row = _found(options)
        renamed = keys.edit(row, actor=ACTOR, changes={"name": options["new_name"]})
        self._say(options, renamed, f"Key {row.name!r} is called {renamed.name!r} now.")

    def _rotate(self, options: Mapping[str, Any]) -> None:
        row = _found(options)
        grace_s = 0 if options["grace"] == "0" else key_options.duration_s(options["grace"], option="grace")
        try:
            made = keys.rotate(row, actor=ACTOR, grace_s=grace_s, end_previous=options["end_previous"])
        except keys.StillInGrace as error:
            raise BadOption(f"{error} --end-previous does so.") from error
        notes = key_listing.rotation_notes(made)
        if options["json"]:
            told = {"key": made.secret, "dropped_prefix": made.dropped_prefix or None, "notes": notes}
            self.print_json(key_listing.as_json(made.row) | told)
            return
        self.stdout.write(f"New key of {plain(made.row.name)!r}, shown this once:\n\n{made.secret}\n")
        for note in notes:
            self.stdout.write(plain(note))

    def _disable(self, options: Mapping[str, Any]) -> None:
        row = _found(options)
        keys.disable(row, actor=ACTOR)
        self._say(options, row, f"Key {row.name!r} ({row.prefix}...) is disabled.")

    def _enable(self, options: Mapping[str, Any]) -> None:
        row = _found(options)
        keys.enable(row, actor=ACTOR)
        state = keys.state(row)
        but = "" if state is keys.State.ACTIVE else f" It is still {state.value}: {key_listing.reason(row)}."
        self._say(options, row, f"Key {row.name!r} ({row.prefix}...) is enabled.{but}")

    def _expire(self, options: Mapping[str, Any]) -> None:
        row = keys.expire(_found(options), actor=ACTOR, at=key_options.moment(options, after="in", at="at"))
        verb = "has expired" if row.is_over() else "expires"
        self._say(options, row, f"Key {row.name!r} ({row.prefix}...) {verb}: {key_listing.as_json(row)['expires_at']}.")

    def _set(self, options: Mapping[str, Any]) -> None:
        row = _found(options)
        changes = key_options.changes(options)
        notes = []
        if options["to_project"] is not None:
            changes["project"] = to = key_options.project(options["to_project"])
            notes = [keys.told_of_move(row, to=to)] if to != row.project else []
        if not changes:
            raise BadOption("Say what to change; `manage.py keys set --help` shows the options.")
        changed = keys.edit(row, actor=ACTOR, changes=changes)
        warnings = key_listing.warnings(changed, about=changes)
        if options["json"]:
            self.print_json(key_listing.as_json(changed) | {"notes": notes, "warnings": warnings})
            return
        self._warn(warnings)
        self._say(options, changed, " ".join([f"Key {changed.name!r} ({changed.prefix}...) is set.", *notes]))

    def _delete(self, options: Mapping[str, Any]) -> None:
        row = _found(options)
        told = keys.told_of_deletion(row)
        if not options["yes"]:
            if options["json"] or not confirming.is_terminal():
                raise BadOption(f"Nothing was deleted: without a terminal to ask at, say --yes. {told}")
            question = f"Delete key {plain(row.name)!r} ({row.prefix}...) of project {row.project.slug}? {plain(told)}"
            if not confirming.is_confirmed(question):
                raise BadOption("Nothing was deleted.")
        shown = key_listing.as_json(row)
        keys.delete(row, actor=ACTOR)
        if options["json"]:
            self.print_json({"deleted": shown})
            return
        self.stdout.write(plain(told))

    def _say(self, options: Mapping[str, Any], row: ApiKey, text: str) -> None:
        if options["json"]:
            self.print_json(key_listing.as_json(row))
        else:
            self.stdout.write(plain(text))

    def _warn(self, warnings: list[str]) -> None:
        for warning in warnings:
            self.stderr.write(f"keys: warning: {warning}")


def _add_named(parser: CommandParser) -> CommandParser:
    parser.add_argument("name", help="Its name, prefix or id.")
    parser.add_argument("--project", help="Slug of the project to look in; in all without.")
    return parser


def _found(options: Mapping[str, Any]) -> ApiKey:
    project = None if options["project"] is None else key_options.project(options["project"])
    return keys.find(options["name"], project=project)
