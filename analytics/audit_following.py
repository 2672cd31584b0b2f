"""Follows tables: whatever is saved to or deleted from one of them, by whatever page or command, leaves an entry in the
audit trail, in the writer's transaction.

Listens to Django's signals, so that `queryset.update`, `bulk_create` and plain SQL go unseen: who writes so tells it
with `audit.record`. Owns when there is an entry and what it is about; `analytics.audit_values` says how values are
shown, `analytics.audit_followed` and the apps above which tables are followed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import models, transaction
from django.db.models import signals

from analytics import audit, audit_context, audit_values
from analytics.audit_values import Shown
from analytics.models import Severity

MOST_NAMED = 50
"""Rows of a kind that an entry names of those that went with a deleted one."""
_BEFORE = "_audit_before"
_SETS = "_audit_sets"
_GONE = "_audit_gone"
"""Where a row carries what was seen before it was written, until that is told."""

Key = tuple[type[models.Model], Any]


def _no_project(row: Any) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class Followed:
    kind: str
    """The first half of the action: `provider` in `provider.changed`."""
    target: Callable[[Any], str]
    project_id: Callable[[Any], int | None]
    masked: frozenset[str]
    without: frozenset[str]
    severity: Severity


_followed: dict[type[models.Model], Followed] = {}


def follow(
    model: type[models.Model],
    *,
    named: str,
    target: Callable[[Any], str] = str,
    project_id: Callable[[Any], int | None] = _no_project,
    masked: Collection[str] = (),
    without: Collection[str] = (),
    severity: Severity = Severity.INFO,
) -> None:
    """Rows of `model` leave entries `<named>.created`, `.changed` and `.deleted` about `target`, which also names them
    where others point to them. Its sets (many-to-many fields) are followed with it. Called in an `AppConfig.ready`."""
    _followed[model] = Followed(named, target, project_id, frozenset(masked), frozenset(without), severity)
    for signal, receiver in (
        (signals.pre_save, _before_save),
        (signals.post_save, _after_save),
        (signals.pre_delete, _before_delete),
        (signals.post_delete, _after_delete),
    ):
        signal.connect(receiver, sender=model, dispatch_uid=f"audit {named}")
    for one in model._meta.local_many_to_many:
        through: Any = one.remote_field.through
        signals.m2m_changed.connect(
            _SetFollower(model, one.name), sender=through, weak=False, dispatch_uid=f"audit {named}.{one.name}"
        )


def followed() -> frozenset[type[models.Model]]:
    """Every table that is."""
    return frozenset(_followed)


def name_of(row: models.Model) -> str:
    """A row's natural name."""
    known = _followed.get(type(row))
    return str(row) if known is None else known.target(row)


# -- saving ------------------------------------------------------------------------------------------------------------


def _before_save(sender: type[models.Model], instance: models.Model, using: str, **_: Any) -> None:
    if not audit_context.is_told():
        setattr(instance, _BEFORE, _stored(sender, instance.pk, using=using))


def _after_save(sender: type[models.Model], instance: models.Model, using: str, **_: Any) -> None:
    """Both states are the table's own: what stands in memory may be more than was written, or not what it became."""
    if audit_context.is_told():
        return
    before, after = instance.__dict__.pop(_BEFORE, None), _stored(sender, instance.pk, using=using)
    if after is None:  # a row deleted by another receiver, or one that its manager hides
        return
    if before is None:
        _record("created", after, after=audit_values.said(_state(after)))
    elif (differ := audit_values.difference(_state(before), _state(after))) is not None:
        _record("changed", after, before=differ[0], after=differ[1])


def _stored(model: type[models.Model], pk: object, *, using: str) -> models.Model | None:
    """The row as it is in the table. Held until the writer's transaction ends, if it is in one: nobody else changes
    it between our look and the writing."""
    if pk is None:
        return None
    rows = model._base_manager.using(using).filter(pk=pk)
    if transaction.get_connection(using).in_atomic_block:
        rows = rows.select_for_update(no_key=True)
    return rows.first()


def _state(row: models.Model) -> dict[str, Shown]:
    known = _followed[type(row)]
    return audit_values.state(row, masked=known.masked, without=known.without, name_of=name_of)


def _record(verb: str, row: models.Model, **states: Any) -> None:
    known = _followed[type(row)]
    audit.record(
        f"{known.kind}.{verb}",
        target=known.target(row),
        project_id=known.project_id(row),
        severity=known.severity,
        **states,
    )


# -- deleting ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Gone:
    """What one deletion takes: rows that were asked for, and those that go with them, which stand in their entries."""

    asked: dict[Key, models.Model] = field(default_factory=dict)
    """As they were in the table."""
    parents: dict[Key, list[Key]] = field(default_factory=dict)
    """Of the rows that go with them."""
    names: dict[str, dict[Key, str]] = field(default_factory=dict)
    """By kind; '' beyond the first ones, as a name costs queries."""

    def with_(self, key: Key) -> dict[str, object]:
        """The names of the rows that go with this one, by kind."""
        found: dict[str, object] = {}
        for kind, rows in self.names.items():
            own = [name for one, name in rows.items() if key in self._roots(one)]
            named = sorted(name for name in own if name)
            if own:
                found[kind] = named + ([f"and {len(own) - len(named)} more"] if len(own) > len(named) else [])
        return found

    def _roots(self, key: Key) -> Iterator[Key]:
        for parent in self.parents.get(key, ()):
            if parent in self.asked:
                yield parent
            else:
                yield from self._roots(parent)


def _before_delete(sender: type[models.Model], instance: Any, using: str, origin: Any = None, **_: Any) -> None:
    if audit_context.is_told():
        return
    asked_for = instance if origin is None else origin
    gone: _Gone = asked_for.__dict__.setdefault(_GONE, _Gone())
    key = (sender, instance.pk)
    if _is_asked(sender, asked_for):
        gone.asked[key] = _stored(sender, instance.pk, using=using) or instance
        return
    names = gone.names.setdefault(_followed[sender].kind, {})
    names[key] = name_of(instance) if len(names) < MOST_NAMED else ""
    gone.parents[key] = list(_points_to(instance))


def _after_delete(sender: type[models.Model], instance: Any, origin: Any = None, **_: Any) -> None:
    gone: _Gone | None = (instance if origin is None else origin).__dict__.get(_GONE)
    if gone is None or audit_context.is_told():
        return
    key = (sender, instance.pk)
    row = gone.asked.get(key)
    if row is not None:
        taken = gone.with_(key)
        _record("deleted", row, before=audit_values.said(_state(row)) | ({"went_with_it": taken} if taken else {}))


def _is_asked(sender: type[models.Model], asked_for: Any) -> bool:
    """Whether somebody asked for just these rows to go, and not for those they hang on. A table that is not followed
    has no entries to stand in."""
    model = asked_for.model if isinstance(asked_for, models.QuerySet) else type(asked_for)
    return model is sender or model not in _followed


def _points_to(row: models.Model) -> Iterator[Key]:
    for one in row._meta.concrete_fields:
        if isinstance(one, models.ForeignKey) and (pk := getattr(row, one.attname)) is not None:
            yield one.related_model, pk


# -- sets --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _SetFollower:
    """Tells of a set of its owner's: the groups of a user, the permissions of a group."""

    owner: type[models.Model]
    name: str

    def __call__(
        self,
        instance: models.Model,
        action: str,
        reverse: bool,
        pk_set: set[Any] | None,
        using: str,
        **_: Any,
    ) -> None:
        if audit_context.is_told():
            return
        if action.startswith("pre_"):
            owners = self._owners(instance, pks=pk_set, is_reverse=reverse, using=using)
            setattr(instance, _SETS, [(owner, self._names(owner)) for owner in owners])
            return
        for owner, before in instance.__dict__.pop(_SETS, ()):
            after = self._names(owner)
            if after != before:
                _record("changed", owner, before={self.name: before}, after={self.name: after})

    def _owners(
        self, instance: models.Model, *, pks: set[Any] | None, is_reverse: bool, using: str
    ) -> Iterable[models.Model]:
        if not is_reverse:
            return [instance]
        rows = self.owner._base_manager.using(using)
        return list(rows.filter(**{self.name: instance.pk}) if pks is None else rows.filter(pk__in=pks))

    def _names(self, owner: models.Model) -> list[str]:
        return sorted(name_of(row) for row in getattr(owner, self.name).all())
