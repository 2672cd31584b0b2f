"""How the audit trail shows a row: its fields as people read them, secrets as `...`.

Decides what is masked: fields named as secret where a model is followed, everything binary, and whatever its name says
is a secret, also within JSON. Writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import models

MASK = "..."
SECRET_PARTS = ("secret", "password", "passwd", "passphrase", "authorization", "credential", "cookie", "signature")
"""A name with one of them anywhere holds a secret, where it holds a text."""
SECRET_WORDS = frozenset({"token", "accesstoken", "hash", "encrypted", "bearer"})
"""Likewise as a word of its own: `max_tokens` holds none."""
SECRET_WORDS_IN_JSON = SECRET_WORDS | {"key", "keys", "apikey", "apikeys"}
"""Names in JSON are other people's: there a key is one that opens something."""
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")
_WHO_SIGNS_IN = re.compile(r"://[^/\s]+@")
_SAID_IN_TEXT = re.compile(
    r"(?i)\b(bearer |(?:api[-_]?key|(?:access[-_]?)?token|key|secret|password|auth|signature)=)[^\s&;,]+"
)
"""What follows such a word in an address or a header is a secret."""

Name = Callable[[models.Model], str]


@dataclass(frozen=True, slots=True)
class Shown:
    """One field of a row: what it is compared by, and what an entry says of it."""

    compared: object
    said: object


def state(row: models.Model, *, masked: Collection[str], without: Collection[str], name_of: Name) -> dict[str, Shown]:
    """The row's columns by name, but its id, those that every save moves, and `without`. `name_of` gives the natural
    name of a row that a foreign key points to."""
    return {
        field.name: _shown(field, row, is_masked=field.name in masked, name_of=name_of)
        for field in row._meta.concrete_fields
        if not field.primary_key and not moves_by_itself(field) and field.name not in without
    }


def said(of: Mapping[str, Shown]) -> dict[str, object]:
    return {name: shown.said for name, shown in of.items()}


def difference(
    before: Mapping[str, Shown], after: Mapping[str, Shown]
) -> tuple[dict[str, object], dict[str, object]] | None:
    """The fields that differ, as they were and as they are; None when none does."""
    moved = [name for name in after if name not in before or before[name].compared != after[name].compared]
    if not moved:
        return None
    return {name: before[name].said for name in moved if name in before}, {name: after[name].said for name in moved}


def moves_by_itself(field: models.Field[Any, Any]) -> bool:
    return bool(getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False))


def plain(value: object) -> Any:
    """As JSON has it, and people read it; texts under a name that says they are secret are masked."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _within(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return _listed(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    text = _WHO_SIGNS_IN.sub(f"://{MASK}@", str(value))  # an address that carries a password
    return _SAID_IN_TEXT.sub(rf"\g<1>{MASK}", text)


def _listed(values: Sequence[object]) -> list[object]:
    if len(values) == 2 and isinstance(values[0], str):  # maybe a header and what it says
        return [plain(values[0]), _within(values[0], values[1])]
    return [plain(inner) for inner in values]


def _shown(field: models.Field[Any, Any], row: models.Model, *, is_masked: bool, name_of: Name) -> Shown:
    stored = getattr(row, field.attname)
    if isinstance(stored, memoryview):  # PostgreSQL's driver gives bytes so
        stored = bytes(stored)
    if is_masked or isinstance(stored, bytes) or _holds_a_secret(field.name, stored):
        return Shown(stored, MASK if stored else None)
    if isinstance(field, models.ForeignKey):
        return Shown(stored, _named(field, row, name_of=name_of))
    return Shown(stored, plain(stored))


def _named(field: models.ForeignKey[Any, Any], row: models.Model, *, name_of: Name) -> object:
    try:
        related = getattr(row, field.name)
    except ObjectDoesNotExist:  # a fixture that is half loaded
        return getattr(row, field.attname)
    return None if related is None else name_of(related)


def _holds_a_secret(name: str, value: object, *, words: frozenset[str] = SECRET_WORDS) -> bool:
    if not isinstance(value, str | list | tuple | Mapping):
        return False
    in_words = {word.lower() for word in _WORD.findall(name)}
    return not words.isdisjoint(in_words) or any(part in name.lower() for part in SECRET_PARTS)


def _within(key: str, value: object) -> object:
    # Under "auth" may stand a secret, or what one is made of, which is told by its own names.
    words = SECRET_WORDS_IN_JSON | {"auth"} if isinstance(value, str) else SECRET_WORDS_IN_JSON
    if _holds_a_secret(key, value, words=words):
        return MASK if value else value
    return plain(value)
