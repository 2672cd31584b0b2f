"""What may stand in the fields of an API key: one home for admin, API and commands. Reads no table.

`analytics.models` puts these into the fields; what takes a look at other rows stands in `ApiKey.clean`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from analytics import networks
from analytics.types import Scope

MOST_ENTRIES = 1_000
LONGEST_ENTRY = 200
LATEST = timedelta(days=100 * 365)
"""Beyond that nobody means it, and not every calendar can show it."""
JOINERS = "\u200c\u200d"
"""Invisible, and part of how some scripts and emojis are written."""
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}

PATTERNS = 'Use a list of patterns, such as ["gpt-*", "openrouter/*"]; an empty list allows all.'
ENDPOINTS = 'Use a list of paths or patterns, such as ["/v1/chat/*"]; an empty list allows all.'
NETWORKS = 'Use a list of addresses or networks, such as ["192.0.2.7", "2001:db8::/32"]; an empty list allows all.'
WHOLE_NUMBER = "Use a whole number."
TEXT = "Use a text."
UNSEEN = "Use no control characters, and none that cannot be seen."
TRUE_OR_FALSE = "Use true or false."
MOMENT = "Use a date and time with its time zone, such as 2027-01-31T12:00:00Z."


if TYPE_CHECKING:
    _BigIntegerField = models.BigIntegerField[int | None, int | None]
else:
    _BigIntegerField = models.BigIntegerField


class WholeNumberField(_BigIntegerField):
    """A column of whole numbers that takes nothing else: Django's own makes 1 of 1.5, of true and of "1"."""

    empty_values = [None]
    """Of a field that may be empty Django checks no empty value, and "", [] and {} are such to it."""

    def to_python(self, value: object) -> int | None:
        if value is None or type(value) is int:
            return value
        raise ValidationError(WHOLE_NUMBER, code="invalid")

    def deconstruct(self) -> Any:
        """To migrations it is the column that it is."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BigIntegerField", args, kwargs


def validate_scopes(scopes: object) -> None:
    known = {scope.value for scope in Scope}
    if not isinstance(scopes, list) or not all(isinstance(scope, str) and scope in known for scope in scopes):
        raise ValidationError(f"Scopes are a list out of: {', '.join(sorted(known))}.")


def validate_patterns(patterns: object) -> None:
    _texts(patterns, says=PATTERNS)


def validate_endpoints(paths: object) -> None:
    for path in _texts(paths, says=ENDPOINTS):
        if not path.startswith("/"):
            raise ValidationError(f'{path!r} does not begin with "/". {ENDPOINTS}')


def validate_networks(found: object) -> None:
    for text in _texts(found, says=NETWORKS):
        try:
            networks.network(text)
        except ValueError as error:
            raise ValidationError(f"{error}. {NETWORKS}") from error


def mistakes(values: Mapping[str, object]) -> dict[str, str]:
    """What is wrong with a name, a switch or an expiry that no field of Django's would refuse; by field."""
    rules = {"name": _name_mistake, "enabled": _switch_mistake, "expires_at": _expiry_mistake}
    found = {name: rules[name](value) for name, value in values.items() if name in rules}
    return {name: mistake for name, mistake in found.items() if mistake}


def _name_mistake(name: object) -> str:
    if not isinstance(name, str):
        return TEXT
    if name and not name.strip():
        return "This field cannot be blank."
    return UNSEEN if has_unseen(name) else ""


def _switch_mistake(enabled: object) -> str:
    return "" if isinstance(enabled, bool) else TRUE_OR_FALSE


def _expiry_mistake(moment: object) -> str:
    if moment is None:
        return ""
    if not isinstance(moment, datetime) or timezone.is_naive(moment):
        return MOMENT
    return "" if moment - timezone.now() < LATEST else "This is too late; leave it empty for a key that never expires."


def has_unseen(text: str) -> bool:
    """Whether it holds what moves a cursor, turns the writing round, or cannot be stored."""
    return not text.isprintable() and any(
        unicodedata.category(char) in _UNSEEN and char not in JOINERS for char in text
    )


def each_once(values: object) -> object:
    """A list of texts without its repetitions; anything else as it is, for a validator to refuse."""
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return list(dict.fromkeys(values))
    return values


def _texts(values: object, *, says: str) -> Collection[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise ValidationError(says)
    if len(values) > MOST_ENTRIES or any(len(value) > LONGEST_ENTRY for value in values):
        raise ValidationError(f"Use at most {MOST_ENTRIES:,} entries of at most {LONGEST_ENTRY} characters.")
    if any(value != value.strip() or has_unseen(value) for value in values):
        raise ValidationError(f"Use no control characters, and no space at either end. {says}")
    return values
