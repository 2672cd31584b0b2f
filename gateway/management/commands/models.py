"""`manage.py models`: what can be asked for, by layer, with price and capabilities; and what providers say of it."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from gateway import checking, confirming, syncing
from gateway.api.models import model_json
from gateway.command_line import ActionParser
from gateway.console import ACTOR, ConsoleCommand
from providers.types import Model, Unit
from routing import listing, snapshot
from routing.listing import ListedModel
from routing.offers.offer import LONGEST_NAME

DIFFERS = 3
NAMED = 8
"""Names in a line; the rest is counted."""


class BadOption(Exception):
    """Options that do not go together; the message says what to write."""


class Command(ConsoleCommand):
    help = "Lists the enabled models, cheapest layer first; brings them up to date with a provider's own list."
    EXAMPLES = """\
sync asks the provider for its list and shows what that would change of the models we have: windows, output limits and
capabilities. It asks before it writes, and never deletes or switches off. Without a terminal it only shows, unless
--yes says otherwise. Prices are money: they follow only with --prices, and then hold from that moment on.

examples:
  manage.py models
  manage.py models --layer L0
  manage.py models --json
  manage.py models sync openrouter
  manage.py models sync openrouter --prices --yes
  manage.py models sync openrouter --add 'qwen/*' --layer L1
  manage.py models sync ollama --add '*'

exit status: 0 done, or nothing to change; 3 sync: something to change was not written; 1 error
"""
    PROBLEMS = (checking.UnknownProvider, syncing.SyncError, BadOption)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--layer", help="Only this layer's.")
        parser.add_argument("--json", action="store_true", help="JSON, as GET /v1/models has it.")
        actions = parser.add_subparsers(dest="action", parser_class=ActionParser, metavar="{sync}")
        sync = actions.add_parser("sync", help="Compare with a provider's own list, and follow it.")
        sync.add_argument("provider", metavar="PROVIDER", help="Its slug; `manage.py providers` shows them.")
        sync.add_argument(
            "--add", action="append", default=[], metavar="PATTERN", help="Add models it offers; repeatable."
        )
        sync.add_argument("--layer", dest="into_layer", metavar="L", help="Where to put added models; in none without.")
        sync.add_argument("--prices", action="store_true", help="Follow prices too.")
        sync.add_argument("--yes", action="store_true", help="Write without asking.")
        sync.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="JSON instead of a table; never asks."
        )

    def run(self, options: Mapping[str, Any]) -> None:
        if options["action"] == "sync":
            self._sync(options)
        else:
            self._list(options)

    def _list(self, options: Mapping[str, Any]) -> None:
        layer = options["layer"]
        config = snapshot.load()
        order = {known.name: known.position for known in config.layers}
        listed = [model for model in listing.models(config, caller=None) if layer in (None, model.first.layer)]
        listed.sort(key=lambda model: (order.get(model.first.layer, len(order)), model.first.priority, model.name))
        if options["json"]:
            self.print_json([model_json(model) for model in listed])
            return
        headings = ["layer", "model", "provider", "ready", "in $/M", "out $/M", "context", "capabilities"]
        empty = f"No enabled model in layer {layer}." if layer else "No models yet. Load some: manage.py catalog load"
        self.print_table(headings, [_row(model) for model in listed], empty=empty)

    def _sync(self, options: Mapping[str, Any]) -> None:
        if options["into_layer"] and not options["add"]:
            raise BadOption("--layer says where added models go: name some with --add.")
        plan = syncing.plan(
            options["provider"], add=options["add"], layer=options["into_layer"], prices=options["prices"]
        )
        if not options["json"]:
            self._show(plan)
        is_wanted = options["yes"] or (not options["json"] and bool(plan.diff.to_write) and self._is_confirmed())
        done = syncing.apply(plan, actor=ACTOR) if is_wanted and plan.diff.to_write else None
        if options["json"]:
            self.print_json(_plan_json(plan, is_applied=done is not None))
        elif done is not None:
            self.stdout.write(f"{_count(len(done.to_write), 'change')} made.")
        if plan.diff.to_write and done is None:
            sys.exit(DIFFERS)

    def _show(self, plan: syncing.Plan) -> None:
        changes = plan.diff.changes
        if changes:
            rows = [dataclasses.astuple(change) for change in changes]
            self.print_table(["action", "kind", "what", "field", "before", "after"], rows, empty="")
        to_write = len(plan.diff.to_write)
        self.stdout.write(f"{_count(to_write, 'change')} to make." if to_write else "Nothing to change.")
        if plan.kept_prices:
            self.stdout.write(f"{_count(plan.kept_prices, 'price')} kept: prices follow with --prices.")
        if plan.skipped:
            entries = "1 entry" if len(plan.skipped) == 1 else f"{len(plan.skipped)} entries"
            self.stdout.write(f"{entries} could not be read: {_names(tuple(map(str, plan.skipped)), between='; ')}.")
        if plan.comparison.gone:
            self.stdout.write(f"No longer offered, and left as they are: {_names(plan.comparison.gone)}.")
        if more := plan.comparison.more:
            pattern = f"{more[0].partition('/')[0]}/*" if "/" in more[0] else more[0]
            is_one = len(more) == 1
            self.stdout.write(f"{len(more)} more {'is' if is_one else 'are'} offered; add some: --add '{pattern}'")

    def _is_confirmed(self) -> bool:
        return confirming.is_terminal() and confirming.is_confirmed("Apply?")


def _plan_json(plan: syncing.Plan, *, is_applied: bool) -> dict[str, Any]:
    return {
        "provider": plan.slug,
        "applied": is_applied,
        "changes": [dataclasses.asdict(change) for change in plan.diff.changes],
        "no_longer_offered": plan.comparison.gone,
        "more_offered": len(plan.comparison.more),
        "skipped": [{"name": one.name[:LONGEST_NAME], "why": one.why} for one in plan.skipped],
    }


def _names(names: tuple[str, ...], *, between: str = ", ") -> str:
    rest = len(names) - NAMED
    return between.join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _readiness(model: Model) -> str:
    return "no key" if model.provider.needs_credential and not model.provider.credential else "yes"


def _row(listed: ListedModel) -> tuple[object, ...]:
    model = listed.first.model
    prices = listed.prices(at=time.time())
    return (
        listed.first.layer or "-",
        listed.name,
        ", ".join(listed.providers),
        _readiness(model),
        f"{prices[Unit.INPUT].normalize():f}" if Unit.INPUT in prices else "?",
        f"{prices[Unit.OUTPUT].normalize():f}" if Unit.OUTPUT in prices else "?",
        model.context_tokens or "?",
        ", ".join(sorted(model.capabilities)),
    )
