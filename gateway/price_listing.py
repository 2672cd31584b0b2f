"""How prices are shown by `manage.py prices` and the pages: those there are, and what a comparison with a list found.

As rows of tables and as JSON, USD as people speak of it: per million tokens, for one request, search or image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from gateway.wording import counted
from providers.listed_prices import PRICED_BY_ONE, listed_usd
from providers.models import FIRST_DAY, Model, Price
from providers.types import Unit
from routing import price_rows
from routing.price_rows import Step
from routing.price_sync import Change, Outcome

HEADINGS = ["model", "unit", "USD", "per", "since"]
CHANGE_HEADINGS = ["model", "unit", "per", "old", "new", "change"]
ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Shown:
    """A price of a model with the question whether it holds."""

    model: str
    price: Price
    in_force: bool


def shown(rows: Iterable[Model], *, at: datetime, history: bool) -> Iterator[Shown]:
    """The prices in force at a moment; with `history` all others too, a unit's oldest first."""
    for row in rows:
        held = sorted(row.prices.all(), key=lambda price: (price.valid_from, price.from_tokens))
        for unit in Unit:
            prices = [price for price in held if price.unit == unit]
            holding = _holding(unit, prices, at=at)
            for price in prices:
                if history or price.pk in holding:
                    yield Shown(str(row), price, price.pk in holding)


def _holding(unit: Unit, prices: list[Price], *, at: datetime) -> set[int]:
    keys = price_rows.keys_in_force(price_rows.of_unit(unit, prices), now=at)
    return {price.pk for price in prices if (price.valid_from, price.from_tokens) in keys}


def as_row(one: Shown) -> list[object]:
    unit, price = Unit(one.price.unit), one.price
    return [
        one.model,
        price_rows.what(unit, from_tokens=price.from_tokens),
        price.listed_usd,
        _per(unit),
        _moment(price.valid_from),
    ]


def as_json(one: Shown) -> dict[str, Any]:
    unit, price = Unit(one.price.unit), one.price
    return {
        "model": one.model,
        "unit": unit.value,
        "from_tokens": price.from_tokens,
        "usd": price.listed_usd,
        "per": _per(unit),
        "valid_from": price.valid_from.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "in_force": one.in_force,
    }


def change_row(change: Change) -> list[object]:
    step = change.step
    return [
        change.model,
        step.what,
        _per(step.unit),
        _usd(step.unit, step.before) or "-",
        _usd(step.unit, step.after) or "-",
        _difference(step),
    ]


def outcome_json(found: Outcome) -> dict[str, Any]:
    return {
        "changes": [_change_json(change) for change in found.changes],
        "kept": [{"model": one.model, "unit": one.unit.value} for one in found.kept],
        "unlisted": [{"model": one.model, "why": one.why.value} for one in found.unlisted],
        "left_out": [{"model": model, "price": price} for model, price in found.left_out],
        "announced": [{"model": one.model, "day": one.day.isoformat()} for one in found.announced],
        "free": list(found.free),
        "local": list(found.local),
        "same": list(found.same),
    }


def also_found(found: Outcome, *, names_all: bool) -> list[str]:
    """What else is to be said of a comparison, in sentences; with `names_all` with the models' names."""
    lines = [f"{one.model}: other prices are listed from {one.day} on; sync again then." for one in found.announced]
    if found.kept:
        kept = ", ".join(f"{one.model} {one.unit}" for one in found.kept)
        lines.append(f"Not listed, and left as {'it is' if len(found.kept) == 1 else 'they are'}: {kept}.")
    for why, count in Counter(one.why for one in found.unlisted).items():
        models = ", ".join(one.model for one in found.unlisted if one.why is why) if names_all else ""
        lines.append(f"{counted(count, 'model')} without a list price: {why.value}{f' ({models})' if models else ''}.")
    if names_all:
        lines += [f"{model}: {price} is left out." for model, price in found.left_out]
    for says, names in (("free", found.free), ("of local providers", found.local)):
        if names:
            told = f" ({', '.join(names)})" if names_all else ""
            lines.append(f"{counted(len(names), 'model')} left alone: {says}{told}.")
    return lines


def _change_json(change: Change) -> dict[str, Any]:
    step = change.step
    return {
        "model": change.model,
        "unit": step.unit.value,
        "from_tokens": step.from_tokens,
        "per": _per(step.unit),
        "before": _usd(step.unit, step.before),
        "after": _usd(step.unit, step.after),
        "percent": _percent(step),
    }


def _difference(step: Step) -> str:
    if step.before is None:
        return "new"
    if step.after is None:
        return "tier ends"
    percent = _percent(step)
    return "was free" if percent is None else f"{'+' * (percent > 0)}{percent} %"


def _percent(step: Step) -> float | None:
    """None where there is no figure before or after, or it was zero."""
    if not step.before or step.after is None:
        return None
    return round(float((step.after - step.before) / step.before * 100), 1)


def _per(unit: Unit) -> str:
    return unit.value.replace("_", " ") if unit in PRICED_BY_ONE else "million"


def _usd(unit: Unit, usd: Decimal | None) -> str | None:
    return None if usd is None else f"{listed_usd(unit, usd):f}"


def _moment(at: datetime) -> str:
    if at <= FIRST_DAY:
        return ALWAYS
    return f"{at.astimezone(ZoneInfo(settings.TIME_ZONE)):%Y-%m-%d %H:%M}"
