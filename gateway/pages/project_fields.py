"""The form of a project's settings: what is shown in it, and what is read out of it. Checks nothing: the row does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.http import QueryDict

from analytics.models import MOST_BODIES_DAYS, Project, time_zones
from gateway.pages import form_fields
from gateway.pages.form_fields import Field, Option

LIMITS = {
    "requests_per_minute": "Requests a minute",
    "tokens_per_minute": "Tokens a minute",
    "concurrent_requests": "Requests at once",
}
_TITLES = {"slug": "Slug", "name": "Name", "time_zone": "Time zone", **LIMITS}
_HINTS = {"slug": "stands in the ledger: it stays", **dict.fromkeys(LIMITS, "no limit")}
USUAL: Mapping[str, Any] = {"slug": "", "name": "", "time_zone": "UTC", **dict.fromkeys(LIMITS)}


def of(row: Project) -> dict[str, Any]:
    return {name: getattr(row, name) for name in USUAL if name != "slug"}


def read(sent: QueryDict) -> dict[str, Any]:
    """The fields that were sent, by name; a limit as a whole number where it is one, None where it is empty."""
    given = {name: str(sent[name]).strip() for name in USUAL if name in sent}
    return {name: form_fields.whole(text) if name in LIMITS else text for name, text in given.items()}


def new(sent: QueryDict) -> dict[str, Any]:
    """What a new project is made of. Raises: ValidationError."""
    given = {**USUAL, **read(sent)}
    form_fields.refuse_unseen(given)
    return given


def touched(sent: QueryDict) -> dict[str, Any]:
    """Of what `read` finds, what differs from what the form showed. Raises: ValidationError."""
    given = read(sent)
    found = {name: given[name] for name in form_fields.touched(sent, given)}
    form_fields.refuse_unseen(found)
    return found


def shown(sent: QueryDict) -> dict[str, str]:
    """What the form showed when it was opened."""
    return {name: form_fields.sent(sent, form_fields.WAS + name) for name in _TITLES if name != "slug"}


def bodies(sent: QueryDict) -> dict[str, Any]:
    """Whether what is asked and answered is kept, and for how many days; what of it was touched. Raises:
    ValidationError."""
    days = form_fields.whole(sent.get("bodies_days", "").strip())
    if not isinstance(days, int) or not 1 <= days <= MOST_BODIES_DAYS:
        raise ValidationError(f"Nothing was saved: say for how many days, from 1 to {MOST_BODIES_DAYS}.")
    given = {"stores_bodies": sent.get("stores_bodies") == "true", "bodies_days": days}
    return {name: given[name] for name in form_fields.touched(sent, given)}


def fields(
    given: Mapping[str, Any], mistakes: Mapping[str, str], *, was: Mapping[str, Any] | None = None
) -> list[Field]:
    """Without `was`, those of a new project."""
    return [
        Field(
            name=name,
            title=title,
            value=_text(given.get(name)),
            mistake=mistakes.get(name, ""),
            options=_zones(given) if name == "time_zone" else (),
            hint=_HINTS.get(name, ""),
            kind="choice" if name == "time_zone" else "text",
            was=None if was is None else _text(was.get(name)),
        )
        for name, title in _TITLES.items()
        if was is None or name != "slug"
    ]


def mistakes(error: ValidationError) -> dict[str, str]:
    """In words, by field; none where it is about no field."""
    return {name: " ".join(words) for name, words in error.message_dict.items()} if hasattr(error, "error_dict") else {}


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _zones(given: Mapping[str, Any]) -> tuple[Option, ...]:
    chosen = str(given.get("time_zone") or "UTC")
    return tuple(Option(name, name, name == chosen) for name in sorted(time_zones() | {chosen}))
