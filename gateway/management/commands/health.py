"""`manage.py health`: which models are well, which are left alone and why; and putting one back by hand."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from analytics.counters.store import StoreError
from gateway.api.routes_health import health_json, transition_json
from gateway.command_line import ActionParser
from gateway.console import ConsoleCommand
from gateway.wording import counted
from routing import health_listing, listing, snapshot
from routing.circuit import State, said
from routing.decision import DecisionError, UnknownModel
from routing.health_listing import ModelHealth
from routing.models import CircuitTransition
from routing.types import Snapshot

SHOWN = 50
"""Rows of the history."""


class Command(ConsoleCommand):
    help = "Shows which models fail, which are left alone for it, why and until when."
    EXAMPLES = """\
A model that fails too often is left alone for a few seconds, longer each time; then one request tries it again. Without
--all only models that have failed of late are shown. reset has a model called again at once.

examples:
  manage.py health
  manage.py health --all --json
  manage.py health --history
  manage.py health reset openai/gpt-4o
  manage.py health reset --all
"""
    PROBLEMS = (DecisionError, StoreError)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--all", action="store_true", help="Models that are well, too.")
        parser.add_argument("--history", action="store_true", help=f"What became of models, the last {SHOWN} changes.")
        parser.add_argument("--json", action="store_true", help="JSON, as GET /v1/health/routes has it.")
        actions = parser.add_subparsers(dest="action", parser_class=ActionParser, metavar="{reset}")
        reset = actions.add_parser("reset", help="Have a model called again at once.")
        reset.add_argument(
            "models", metavar="MODEL", nargs="*", help="Its id, at every provider that serves it, or provider/id."
        )
        reset.add_argument("--all", dest="every", action="store_true", help="Every model.")
        reset.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="JSON instead of text.")

    def run(self, options: Mapping[str, Any]) -> None:
        if options["action"] == "reset":
            self._reset(options)
        elif options["history"]:
            self._history(json=options["json"])
        else:
            self._list(is_all=options["all"], json=options["json"])

    def _list(self, *, is_all: bool, json: bool) -> None:
        found = health_listing.models(snapshot.load(), caller=None)
        shown = [one for one in found if is_all or one.is_noted]
        if json:
            self.print_json([health_json(one) for one in shown])
            return
        zone = timezone.get_current_timezone_name()
        headings = ["layer", "model", "provider", "state", "why", f"since ({zone})", "until", "failed", "last change"]
        self.print_table(headings, [_row(one) for one in shown], empty=_all_well(found))

    def _history(self, *, json: bool) -> None:
        rows = list(CircuitTransition.objects.order_by("-id")[:SHOWN])
        if json:
            self.print_json([transition_json(row) for row in rows])
            return
        headings = ["at", "model", "provider", "from", "to", "why", "until"]
        self.print_table(
            headings,
            [
                (
                    _time(row.at, is_whole=True),
                    row.model,
                    row.provider,
                    said(row.from_state),
                    said(row.to_state),
                    said(row.cause),
                    _time(row.until),
                )
                for row in rows
            ],
            empty="No model was ever left alone.",
        )

    def _reset(self, options: Mapping[str, Any]) -> None:
        if bool(options["models"]) == options["every"]:
            self.fail("Name one or more models, or give --all.")
        config, closed = snapshot.load(), []
        for wanted in options["models"]:  # all of them, before any is put back
            self._refuse_unknown(wanted, config)
        for wanted in options["models"] or [None]:
            closed += health_listing.reset(wanted, snapshot=config)
        if options["json"]:
            self.print_json({"reset": closed})
        elif closed:
            self.stdout.write(f"Called again at once: {', '.join(closed)}.")
        else:
            named = ", ".join(options["models"])
            self.stdout.write(f"Not left alone, nothing to reset: {named}." if named else "No model is left alone.")

    def _refuse_unknown(self, wanted: str, config: Snapshot) -> None:
        try:
            listing.model(wanted, snapshot=config, caller=None)
        except UnknownModel as error:
            hint = f"Did you mean {' or '.join(error.near)}?" if error.near else "`manage.py models` lists all."
            self.fail(f"No provider serves {wanted!r}. {hint}")


def _all_well(found: Sequence[ModelHealth]) -> str:
    if not found:
        return "No models yet. Load some: manage.py catalog load"
    keyless = sum(one.lacks_its_key for one in found)
    if keyless == len(found):
        return "In this environment no model can be called: each provider's key is missing. See `manage.py providers`."
    without = f" {counted(keyless, 'other')} lack their provider's key in this environment." if keyless else ""
    return f"All is well: {counted(len(found) - keyless, 'model')}.{without}"


def _row(one: ModelHealth) -> tuple[object, ...]:
    circuit, model = one.circuit, one.candidate.model
    is_closed = circuit.state is State.CLOSED
    return (
        one.candidate.layer or "-",
        model.name,
        model.provider.slug,
        "no key" if is_closed and one.lacks_its_key else said(circuit.state.value),
        "" if is_closed else said(circuit.cause),
        _time(one.since),
        _until(one),
        f"{circuit.failures} of {circuit.calls}" if circuit.calls else "",
        "" if one.last is None else f"{_time(one.last.at, is_whole=True)} {said(one.last.to_state)}",
    )


def _until(one: ModelHealth) -> str:
    """When it may be called again, in words where that is not a matter of time."""
    if one.until is not None and one.until <= timezone.now():
        return "the next request"
    return "a request tries it" if one.circuit.state is State.HALF_OPEN else _time(one.until)


def _time(at: datetime | None, *, is_whole: bool = False) -> str:
    """In the installation's time zone; with its day where that is not today or asked for."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    is_today = local.date() == timezone.localdate()
    return f"{local:%H:%M:%S}" if is_today and not is_whole else f"{local:%Y-%m-%d %H:%M:%S}"
