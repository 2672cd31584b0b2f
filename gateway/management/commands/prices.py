"""`manage.py prices`: what models cost and since when; follows a list of prices, or sets one by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import CommandParser
from django.db.models import QuerySet
from django.utils import timezone

from gateway import confirming, price_listing, price_report
from gateway.checking import UnknownProvider
from gateway.command_line import ActionParser
from gateway.console import ACTOR, ConsoleCommand
from gateway.wording import counted
from providers import price_book
from providers.listed_prices import price_mistake, usd_per_unit
from providers.models import Model, Provider
from providers.types import Unit
from routing import patterns, price_rows, price_sync
from routing.price_sync import Outcome, PriceProblem

DIFFERS = 3
MUCH = 2
"""Of Django's `--verbosity`: names what is otherwise counted."""


class BadOption(Exception):
    """A value that cannot be understood, or names nothing; the message says what to write."""


class Command(ConsoleCommand):
    help = "Shows what models cost, follows the list of genai-prices, sets a price, tells usage at other prices."
    EXAMPLES = """\
Prices are USD per million tokens, and for one request, web search or image. None is ever rewritten: one that changes
holds from that moment on, and what was charged before stays as it is. sync compares with the list that comes inside
the package genai-prices (nothing is fetched; a newer package has newer prices), shows what differs and asks.

examples:
  manage.py prices list --provider openai
  manage.py prices list --model 'gpt-6*' --history
  manage.py prices list --at 2026-10-01 --json
  manage.py prices sync --dry-run
  manage.py prices sync --provider anthropic --except '*haiku*' --yes
  manage.py prices set openai/gpt-6-luna input 0.12
  manage.py prices set openai/gpt-6-luna input 0.24 --from-tokens 272001
  manage.py prices report --since "last month" --at 2026-12-01

exit status: 0 done, or nothing differs; 3 sync: what differs was not written; 1 error
"""
    PROBLEMS = (BadOption, PriceProblem, UnknownProvider)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        actions = parser.add_subparsers(
            dest="action", required=True, parser_class=ActionParser, metavar="{list,sync,set,report}"
        )
        listing = actions.add_parser("list", help="Show prices, and since when they hold.")
        sync = actions.add_parser("sync", help="Compare with the list of genai-prices, and follow it.")
        for each in (listing, sync):
            each.add_argument("--model", metavar="PATTERN", help="Only models whose id, or provider/id, fits.")
            each.add_argument("--provider", metavar="SLUG", help="Only this provider's.")
        listing.add_argument("--at", metavar="DATE", help="As they held then, or will: 2026-12-01, 2026-12-01T09:00Z.")
        listing.add_argument("--history", action="store_true", help="Also what no longer holds, or not yet.")
        sync.add_argument(
            "--except", dest="without", action="append", default=[], metavar="PATTERN", help="But these; repeatable."
        )
        sync.add_argument("--yes", action="store_true", help="Write without asking.")
        sync.add_argument("--dry-run", action="store_true", help="Only show.")
        sync.add_argument(
            "-v", "--verbosity", type=int, default=argparse.SUPPRESS, metavar="N", help="2 names what is only counted."
        )
        one = actions.add_parser("set", help="Set one price from now on.")
        one.add_argument("model", metavar="MODEL", help="As provider/id, or its id alone where one provider has it.")
        one.add_argument("unit", metavar="UNIT", help=f"{', '.join(Unit)}.")
        one.add_argument("usd", metavar="USD", help="Per million tokens; per one request, search or image.")
        one.add_argument("--from-tokens", type=int, default=0, metavar="N", help="Holds from so many input tokens on.")
        report = actions.add_parser("report", help="Show what a period's usage would cost at the prices of a date.")
        price_report.add_arguments(report)
        for action in (listing, sync, one, report):
            action.add_argument("--json", action="store_true", help="JSON instead of text.")

    def run(self, options: Mapping[str, Any]) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: Mapping[str, Any]) -> None:
        at = _moment(options["at"]) if options["at"] else timezone.now()
        rows = _chosen(options).select_related("provider").prefetch_related("prices").order_by("provider__slug", "name")
        found = list(price_listing.shown(rows, at=at, history=options["history"]))
        if options["json"]:
            self.print_json([price_listing.as_json(one) for one in found])
            return
        headings, shown = list(price_listing.HEADINGS), [price_listing.as_row(one) for one in found]
        if options["history"]:
            headings.append("holds")
            shown = [[*row, "yes" if one.in_force else "no"] for row, one in zip(shown, found, strict=True)]
        empty = "No price here: manage.py prices sync, or prices set, enters some."
        self.print_table(headings, shown, empty=empty, whole=("model",))

    def _report(self, options: Mapping[str, Any]) -> None:
        price_report.run(self, options, at=_moment(options["at"]) if options["at"] else timezone.now())

    def _sync(self, options: Mapping[str, Any]) -> None:
        rows = _chosen(options, without=options["without"])
        found = price_sync.compare(rows)
        if not options["json"]:
            self._tell(found, names_all=options["verbosity"] >= MUCH)
        is_wanted = bool(found.changes) and self._is_wanted(options, changes=len(found.changes))
        done = price_sync.sync(rows, actor=ACTOR, shown=found) if is_wanted else None
        if options["json"]:
            about = {"source": price_book.source(), "applied": done is not None}
            self.print_json(about | price_listing.outcome_json(done or found))
        elif done is not None:
            self.stdout.write(f"{counted(len(done.changes), 'price')} changed, from now on.")
        if found.changes and done is None:
            self._end_unwritten(options)

    def _set(self, options: Mapping[str, Any]) -> None:
        row, unit = _model(options["model"]), _unit(options["unit"])
        tokens = options["from_tokens"]
        if tokens < 0:
            raise BadOption(f"--from-tokens {tokens}: write how many input tokens it takes, such as 200001.")
        usd = usd_per_unit(unit, _usd(options["usd"], unit=unit))
        steps = price_sync.set_price(row, unit=unit, usd=usd, from_tokens=tokens, actor=ACTOR)
        if options["json"]:
            shown = price_listing.shown([Model.objects.get(pk=row.pk)], at=timezone.now(), history=False)
            self.print_json([price_listing.as_json(one) for one in shown if one.price.unit == unit])
            return
        what, words = price_rows.what(unit, from_tokens=tokens), price_rows.in_words(unit, usd)
        says = f"is {words} from now on" if steps else f"is {words} already"
        self.stdout.write(f"The price of {row} for {what} {says}.")

    def _tell(self, found: Outcome, *, names_all: bool) -> None:
        rows = [price_listing.change_row(change) for change in found.changes]
        if rows:
            self.print_table(price_listing.CHANGE_HEADINGS, rows, empty="", whole=("model",))
        else:
            self.stdout.write(f"No price differs from {price_book.source()}.")
        for line in price_listing.also_found(found, names_all=names_all):
            self.stdout.write(line)
        if not names_all and (found.unlisted or found.free or found.local):
            self.stdout.write("-v 2 names them.")

    def _is_wanted(self, options: Mapping[str, Any], *, changes: int) -> bool:
        if options["dry_run"]:
            return False
        if options["yes"]:
            return True
        if options["json"] or not confirming.is_terminal():
            return False
        return confirming.is_confirmed(f"Apply {counted(changes, 'change')}?")

    def _end_unwritten(self, options: Mapping[str, Any]) -> None:
        if not options["dry_run"] and (options["json"] or not confirming.is_terminal()):
            self.stderr.write(
                "prices: Nothing was written, as nobody could be asked: "
                "--yes writes without asking, --dry-run only shows."
            )
        sys.exit(DIFFERS)


def _chosen(options: Mapping[str, Any], *, without: Collection[str] = ()) -> QuerySet[Model]:
    """Raises: UnknownProvider, BadOption."""
    rows, slug, pattern = Model.objects.all(), options["provider"], options["model"]
    if slug is not None:
        if not Provider.objects.filter(slug=slug).exists():
            known = ", ".join(Provider.objects.values_list("slug", flat=True))
            raise UnknownProvider(f"There is no provider {slug!r}; there is {known or 'none: manage.py catalog load'}.")
        rows = rows.filter(provider__slug=slug)
    wanted = [pattern] if pattern is not None else []
    if unmatched := patterns.unmatched(models=[*wanted, *without], layers=[]):
        raise BadOption(" ".join(map(str, unmatched)))
    if not wanted and not without:
        return rows
    names = rows.values_list("pk", "provider__slug", "name")
    return Model.objects.filter(
        pk__in=[
            pk
            for pk, provider, name in names
            if (not wanted or _fits(provider, name, wanted)) and not _fits(provider, name, without)
        ]
    )


def _fits(provider: str, name: str, wanted: Collection[str]) -> bool:
    return any(fnmatchcase(name, each) or fnmatchcase(f"{provider}/{name}", each) for each in wanted)


def _model(name: str) -> Model:
    """Raises: BadOption."""
    found = [row for row in Model.objects.select_related("provider") if name in (row.name, str(row))]
    exact = [row for row in found if str(row) == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        raise BadOption(f"Several providers have {name!r}: say which, as in {' or '.join(map(str, found))}.")
    (unknown,) = patterns.unmatched(models=[_literally(name)], layers=[])
    raise BadOption(str(replace(unknown, pattern=name)).replace(" matches", " is"))


def _literally(name: str) -> str:
    return name.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")


def _unit(text: str) -> Unit:
    try:
        return Unit(text)
    except ValueError as error:
        raise BadOption(f"There is no unit {text!r}; there is {', '.join(Unit)}.") from error


def _usd(text: str, *, unit: Unit) -> Decimal:
    """Raises: BadOption."""
    try:
        usd = Decimal(text)
    except InvalidOperation as error:
        raise BadOption(f"{text!r} is no price: write USD, such as 0.15.") from error
    if not usd.is_finite() or usd.is_signed():
        raise BadOption(f"{text!r} is no price: it is a number, zero or more.")
    if mistake := price_mistake(unit, usd):
        raise BadOption(f"{text}: {mistake}")
    return usd


def _moment(text: str) -> datetime:
    """In the installation's time zone, unless it names another. Raises: BadOption."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadOption(f"--at {text!r}: write a date or a time, such as 2026-12-01 or 2026-12-01T09:00Z.") from error
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(settings.TIME_ZONE))
