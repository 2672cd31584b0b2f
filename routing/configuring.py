"""What every change to providers, models, prices, layers and the policy has in common: one at a time, all or nothing,
told as its actor's doing, refused in the row's own words.

Owns the root of what else can go wrong. Which changes there are stands in `vendor_rows`, `model_rows`, `price_setting`,
`layer_rows`, `candidate_rows` and `policy_rows`; none of them knows HTTP.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations

from analytics import audit, key_rules
from routing.catalog_rows import one_at_a_time

NAMED = 5
"""Rows that a refusal tells one by one; the others are counted."""
NO_SUCH_FIELD = "This cannot be set."
NO_EDGES = "Use no space at either end."


class ConfigurationProblem(Exception):
    """Root of what keeps a change from being made, beside wrong fields; the message is for the person who asked.

    ConfigurationProblem
    ├── InUse        others hang on the row, or name it
    └── InForce      a price that holds already, or did
    """

    code = "conflict"


class InUse(ConfigurationProblem):
    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def changing(actor: str) -> Iterator[None]:
    """A transaction in which nobody else writes configuration: what is looked up within stays so until it ends."""
    with one_at_a_time(), audit.acting(actor):
        yield


def put(row: models.Model, values: Mapping[str, object], *, allowed: Collection[str], fixed: Mapping[str, str]) -> None:
    """Sets the row's fields and saves it where that makes a difference.

    Raises: ValidationError naming the fields: those that are not `allowed`, those that stay (`fixed` says why), and
    whatever the row has against their values.
    """
    wrong = {name: [fixed.get(name, NO_SUCH_FIELD)] for name in values if name not in allowed}
    for name, value in values.items():
        if name in allowed and (words := _mistake(row, name, value)):
            wrong[name] = [words]
    if wrong:
        raise ValidationError(wrong)
    is_new, before = row._state.adding, _columns(row)
    for name, value in values.items():
        setattr(row, name, value)
    row.full_clean()
    if is_new or _columns(row) != before:
        row.save()


def listed(names: Collection[str]) -> str:
    """The first few, and how many more."""
    first = list(names)[:NAMED]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")


def _columns(row: models.Model) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def _mistake(row: models.Model, name: str, value: object) -> str | None:
    """What no validator of the row's says: of a whole number that PostgreSQL's column does not hold, while SQLite's
    would, and of a text with space around it, which forms take off."""
    if isinstance(value, str) and key_rules.has_unseen(value):
        return key_rules.UNSEEN
    if isinstance(value, str) and value != value.strip():
        return NO_EDGES
    kind = row._meta.get_field(name).get_internal_type()
    _, most = BaseDatabaseOperations.integer_field_ranges.get(kind, (None, None))
    return f"Use {most} or less." if most is not None and type(value) is int and value > most else None
