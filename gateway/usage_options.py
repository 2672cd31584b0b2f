"""Options of the commands that ask the ledger, named as the API's parameters."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from analytics.queries.filters import Dimension, Filters
from analytics.queries.spans import Step
from analytics.series import StatusClass
from gateway import usage_asking
from gateway.usage_asking import Asker, Parameters

EVERYTHING = Asker(Filters())
"""Whoever runs the command line beside the database sees all."""
_FILTERS = {
    "project": ("SLUG", "Of a project."),
    "key": ("NAME", "Of an API key, by its name or id."),
    "provider": ("SLUG", "Of a provider."),
    "model": ("MODEL", "Of a model: its id, or provider/id."),
    "layer": ("LAYER", f"Of a layer; `{usage_asking.NO_LAYER}`: of none."),
    "status": ("STATUS", f"That ended so: {', '.join(StatusClass)}."),
    "error_kind": ("KIND", "That failed with this kind of error."),
    "kind": ("KIND", "Such as chat or embeddings."),
}


def add_filters(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "only what is", "Each may be repeated, or hold several names with commas between."
    )
    for name, (metavar, says) in _FILTERS.items():
        group.add_argument(f"--{name.replace('_', '-')}", action="append", metavar=metavar, help=says)


def add_span(parser: ArgumentParser, *, usual: str) -> None:
    parser.add_argument("--since", metavar="TIME", help=f"Such as 7d, today, last month, 2026-11-01 ({usual}).")
    parser.add_argument("--until", metavar="TIME", help="Up to then, without it (now).")
    parser.add_argument("--zone", metavar="ZONE", help="Whose days and times (the project's, else TIME_ZONE).")


def add_groups(parser: ArgumentParser) -> None:
    parser.add_argument("--by", action="append", metavar="WHAT", help=f"Told apart by {', '.join(Dimension)}.")
    parser.add_argument("--step", metavar="STEP", help=f"One row for each {', '.join(Step)}.")


def add_form(parser: ArgumentParser, *, usual_rows: int) -> None:
    parser.add_argument("--limit", metavar="N", help=f"At most so many rows ({usual_rows}).")
    parser.add_argument("--after", metavar="MARK", help="From where the page before ended, which told this mark.")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="JSON instead of text.")
    form.add_argument("--csv", action="store_true", help="CSV instead of text.")


def parameters(options: Mapping[str, Any]) -> Parameters:
    """Options that were given, as parameters of the API."""
    said = {name: value for name, value in options.items() if value is not None}
    return Parameters(
        {name: [str(one) for one in value] for name, value in said.items() if isinstance(value, list)},
        {name: value for name, value in said.items() if isinstance(value, str)},
    )
