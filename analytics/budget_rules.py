"""What a budget must keep to, and in what words: its amount, whose it is, its layer, its dates, the budgets beside it.

One home for the admin, the API and the command: `Budget.clean` asks here, and every mistake is told at its field. The
names of layers are not ours: `settings.BUDGET_LAYER_CHECK` names the function that knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone
from django.utils.module_loading import import_string

from analytics.types import BudgetAction, Window

if TYPE_CHECKING:
    from analytics.models import Budget

Mistake = tuple[str, str]
"""The field's name, and what is wrong with it."""

UNCHANGEABLE = ("project", "api_key", "window")
FIRST_YEAR, LAST_YEAR = 2000, 2199
"""Beyond them nobody means it, and not every calendar can show it."""


MOST = "Use at most 1,000,000 US dollars."
WORDS = {
    "limit_usd": {
        "invalid": "Use an amount in US dollars, such as 5 or 0.25.",
        "min_value": "Use more than 0 US dollars.",
        "least": "Use at least 0.000000001 US dollars.",
        "max_value": MOST,
        "max_digits": MOST,
        "max_whole_digits": MOST,
        "max_decimal_places": "Use at most ten digits after the point.",
    },
    "window": {"invalid_choice": "%(value)s is not a window: use hour, day, week, month or total."},
    "action": {"invalid_choice": "%(value)s is not an action: use refuse, degrade or note."},
    "near_edge": {"invalid_choice": "%(value)s is nothing to do near the edge: use shorten or deny."},
    "severity": {"invalid_choice": "%(value)s is not a severity: use info, warning or critical."},
}
"""What is said of a field, by Django's code for the mistake."""


def in_our_words(error: ValidationError) -> ValidationError:
    """The same mistakes, each told once."""
    found: dict[str, dict[str, ValidationError]] = {}
    for field, mistakes in error.error_dict.items():
        for mistake in mistakes:
            mistake.message = WORDS.get(field, {}).get(_code(field, mistake), mistake.message)
            found.setdefault(field, {}).setdefault(mistake.messages[0], mistake)
    return ValidationError({field: list(mistakes.values()) for field, mistakes in found.items()})


def _code(field: str, mistake: ValidationError) -> str:
    """Django's, but for small amounts, of which its words would say the contrary."""
    value = mistake.params.get("value") if field == "limit_usd" and mistake.params else None
    if mistake.code == "min_value" and value is not None and value > 0:
        return "least"
    if mistake.code == "max_digits" and value is not None and -1 < value < 1:
        return "max_decimal_places"
    return mistake.code or ""


def check(row: Budget) -> None:
    """Raises: ValidationError that names the fields."""
    stored = type(row).objects.filter(pk=row.pk).first() if row.pk else None
    found: dict[str, list[str]] = {}
    for field, mistake in (*_whose(row, stored), *_layer(row, stored), *_dates(row, stored)):
        found.setdefault(field, []).append(mistake)
    if not found:
        found = {field: [mistake] for field, mistake in _beside(row, stored)}
    if found:
        raise ValidationError({field: list(mistakes) for field, mistakes in found.items()})


def _whose(row: Budget, stored: Budget | None) -> Iterator[Mistake]:
    if row.api_key and row.project:
        if row.api_key.project_id != row.project_id:
            owner = row.api_key.project.slug
            yield "api_key", f"The key {row.api_key.name} belongs to the project {owner}, not to {row.project.slug}."
        else:
            yield "project", "A budget is for a project or for a key: name the key alone."
    if stored:
        for field in UNCHANGEABLE:
            if getattr(stored, field) != getattr(row, field):
                yield field, "This cannot be changed: make another budget."


def _layer(row: Budget, stored: Budget | None) -> Iterator[Mistake]:
    if row.action != BudgetAction.DEGRADE:
        if row.layer:
            yield "layer", "Only a budget that degrades names a layer: leave this empty."
    elif not row.layer:
        yield "layer", "Name the layer to degrade to."
    elif row.enabled and _differs(row, stored, "action", "layer", "enabled"):
        mistake_of: Callable[[str], str | None] = import_string(settings.BUDGET_LAYER_CHECK)
        if mistake := mistake_of(row.layer):
            yield "layer", mistake


def _dates(row: Budget, stored: Budget | None) -> Iterator[Mistake]:
    moments = [(name, getattr(row, name)) for name in ("starts_at", "ends_at")]
    for name, moment in moments:
        if moment is not None and not _is_usable(moment):
            yield name, f"Use a date and time with its time zone, between {FIRST_YEAR} and {LAST_YEAR}."
    if not all(moment is None or _is_usable(moment) for _, moment in moments):
        return
    if row.ends_at and row.starts_at and row.ends_at <= row.starts_at:
        yield "ends_at", "This must be later than the start."
    elif row.ends_at and stored is None and row.ends_at <= timezone.now():
        yield "ends_at", "This lies in the past."
    if stored and row.window == Window.TOTAL and row.starts_at is None:
        yield "starts_at", "A total budget counts from a date on: name it."


def _is_usable(moment: object) -> bool:
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        return False
    return FIRST_YEAR <= moment.year <= LAST_YEAR


def _beside(row: Budget, stored: Budget | None) -> Iterator[Mistake]:
    """Two enabled budgets of one target, window and action would both hold, and nobody would know which is meant."""
    if not row.enabled or not _differs(row, stored, "action", "enabled", "starts_at", "ends_at"):
        return
    begins = row.starts_at or (stored.created_at if stored and stored.enabled else timezone.now())
    others = type(row).objects.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=begins),
        enabled=True,
        project=row.project,
        api_key=row.api_key,
        window=row.window,
        action=row.action,
    )
    if row.ends_at:
        dateless = Q(starts_at__isnull=True, created_at__lt=row.ends_at)
        others = others.filter(Q(starts_at__lt=row.ends_at) | dateless)
    other = others.exclude(pk=row.pk).select_related("project", "api_key").order_by("id").first()
    if other is not None:
        field = "ends_at" if begins < (other.starts_at or other.created_at) else "starts_at"
        yield field, f"Budget {other.pk} ({other}) holds at that time already: change it, or use other dates."


def _differs(row: Budget, stored: Budget | None, *fields: str) -> bool:
    return stored is None or any(getattr(row, field) != getattr(stored, field) for field in fields)
