"""Shapes out of what is written elsewhere already: columns of tables, and the kinds of fields that bodies may have.

A field that is added to a `_KINDS` table, or a choice that is added to a column, is described without a word here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from django.core.validators import BaseValidator, MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations

from gateway.api import installation, managing
from gateway.api.schema import shapes
from gateway.api.schema.shapes import Fields, Shape

_FIRST_OF_ALL: dict[managing.Kind, Shape] = {
    managing.switch: shapes.flag(),
    managing.slug: shapes.maybe(shapes.text()),
    managing.name_or_none: shapes.maybe(shapes.text()),
    managing.moment: shapes.maybe(shapes.moment("With its time zone.")),
    installation.names: shapes.texts(),
}
"""Kinds that say more than a column does."""
_WITHOUT_A_COLUMN: dict[managing.Kind, Shape] = {
    managing.text: shapes.text(),
    managing.row_id: shapes.maybe(shapes.whole()),
    managing.money: shapes.amount(),
    installation.amount: shapes.amount(),
}


def body(
    kinds: Mapping[str, managing.Kind],
    *,
    table: type[models.Model] | None = None,
    required: Iterable[str] = (),
    besides: Mapping[str, Shape] | None = None,
    fixed: Collection[str] = (),
) -> Shape:
    """What `managing.changes` reads by these kinds, but for fields that are `fixed`: a service refuses to change them.
    `besides` says more of some fields than can be found out."""
    more, among = besides or {}, {name: kind for name, kind in kinds.items() if name not in fixed}
    fields = {name: more[name] if name in more else _of_kind(name, kind, table) for name, kind in among.items()}
    return shapes.closed(fields, required=required)


def answers(table: type[models.Model], names: Iterable[str]) -> Fields:
    """Columns as answers have them: of the type, without the limits of what may be written."""
    return {name: column(table._meta.get_field(name), is_answer=True) for name in names}


def column(field: Any, *, is_answer: bool = False) -> Shape:
    make = next((make for kind, make in _COLUMNS.items() if isinstance(field, kind)), None)
    if make is None:
        raise TypeError(f"{field} has no description yet: add its class to gateway.api.schema.columns.")
    shape = make(field, is_answer)
    if words := str(field.help_text):
        shape = {**shape, "description": words}
    return shapes.maybe(shape) if field.null else shape


def _of_kind(name: str, kind: managing.Kind, table: type[models.Model] | None) -> Shape:
    if kind in _FIRST_OF_ALL:
        return _FIRST_OF_ALL[kind]
    field = _column_named(name, table)
    if field is not None:
        return column(field)
    if kind in _WITHOUT_A_COLUMN:
        return _WITHOUT_A_COLUMN[kind]
    raise TypeError(f"{name} has no description yet: say in `besides` what it is.")


def _column_named(name: str, table: type[models.Model] | None) -> Any:
    found = {field.name: field for field in table._meta.concrete_fields} if table else {}
    field = found.get(name)
    return None if field is None or field.is_relation else field


def _whole(field: Any, is_answer: bool) -> Shape:
    if is_answer:
        return shapes.whole()
    least, most = BaseDatabaseOperations.integer_field_ranges.get(field.get_internal_type(), (None, None))
    said_least, said_most = _limits(field)
    leasts = [bound for bound in (least, said_least) if bound is not None]
    mosts = [bound for bound in (most, said_most) if bound is not None]
    return shapes.whole(least=max(leasts, default=None), most=min(mosts, default=None))


def _number(field: Any, is_answer: bool) -> Shape:
    if is_answer:
        return shapes.number()
    least, most = _limits(field)
    return shapes.number(least=least, most=most)


def _limits(field: Any) -> tuple[Any, Any]:
    """What its own validators hold it to; what the database in use would take is another matter."""
    return _limit(field, MinValueValidator), _limit(field, MaxValueValidator)


def _limit(field: Any, kind: type[BaseValidator]) -> Any:
    return next((one.limit_value for one in field._validators if isinstance(one, kind)), None)


def _text(field: Any, is_answer: bool) -> Shape:
    if field.choices:
        return shapes.one_of(value for value, _ in field.flatchoices)
    if is_answer:
        return shapes.text()
    return shapes.text(maxLength=field.max_length, **_pattern(field))


def _pattern(field: Any) -> dict[str, str]:
    rule = next((one for one in field._validators if isinstance(one, RegexValidator)), None)
    # The end of the text, as JavaScript writes it.
    return {} if rule is None else {"pattern": str(getattr(rule.regex, "pattern", rule.regex)).replace(r"\Z", "$")}


def _json(field: Any, is_answer: bool) -> Shape:
    return {"type": "object"} if field.default is dict else shapes.texts()


_COLUMNS: dict[type[models.Field[Any, Any]], Callable[[Any, bool], Shape]] = {
    models.BooleanField: lambda field, is_answer: shapes.flag(),
    models.FloatField: _number,
    models.DecimalField: lambda field, is_answer: shapes.money() if is_answer else shapes.amount(),
    models.IntegerField: _whole,
    models.DateTimeField: lambda field, is_answer: shapes.moment(),
    models.UUIDField: lambda field, is_answer: shapes.text(format="uuid"),
    models.JSONField: _json,
    models.CharField: _text,
}
"""By class of column; the first that fits."""
