"""`manage.py models`: what can be asked for, by layer, with price and capabilities."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from gateway.api.models import model_json
from gateway.console import ConsoleCommand
from providers.types import Model, Unit
from routing import listing, snapshot
from routing.listing import ListedModel


class Command(ConsoleCommand):
    help = "Lists the enabled models, cheapest layer first."
    EXAMPLES = """\
examples:
  manage.py models
  manage.py models --layer L0
  manage.py models --json
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--layer", help="Only this layer's.")
        parser.add_argument("--json", action="store_true", help="JSON, as GET /v1/models has it.")

    def run(self, options: Mapping[str, Any]) -> None:
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
