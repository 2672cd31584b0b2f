"""Layers as rows: made, changed, put in order, deleted.

A layer's name stands in budgets, which degrade to it, and in what keys are held to; those rows are `analytics`', which
knows layers by name alone. So a name that somebody means stays: a rename that would change what a key may use or a
budget does is refused, as is a deletion that would leave a budget or the policy without it, and both say whose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import count

from django.core.exceptions import ValidationError
from django.db.models import Max

from analytics import audit
from analytics.models import ApiKey, Budget
from routing import configuring
from routing.configuring import InUse
from routing.models import Layer, Policy

EDITABLE = ("name", "title", "position", "from_score", "max_attempts", "deadline_s", "enabled")


def create(*, actor: str, name: str, **fields: object) -> Layer:
    """Makes a layer, above all others unless a `position` is given. Raises: ValidationError naming the fields."""
    row = Layer()
    with configuring.changing(actor):
        last = Layer.objects.aggregate(last=Max("position"))["last"]
        values = {"position": 0 if last is None else last + 1, **fields, "name": name}
        configuring.put(row, values, allowed=EDITABLE, fixed={})
    return row


def edit(row: Layer, *, actor: str, changes: Mapping[str, object]) -> Layer:
    """The row with `changes`, as it is then.

    Raises: ValidationError naming the fields; InUse for a new name while somebody means the old one, or would be let
    in or shut out by the new one; Layer.DoesNotExist.
    """
    with configuring.changing(actor):
        fresh = Layer.objects.get(pk=row.pk)
        was = fresh.name
        configuring.put(fresh, changes, allowed=EDITABLE, fixed={})
        if fresh.name != was and (names := [*_budgets_to(was), *_keys_that_tell_apart(was, fresh.name)]):
            words = f"{was} keeps its name while it is meant by {configuring.listed(names)}. Change those first."
            raise InUse(words, code="layer_in_use")
    return fresh


def set_thresholds(scores: Mapping[str, float], *, actor: str) -> list[Layer]:
    """Has requests enter these layers from other scores on: all of them, or none. Returns the rows that differ now.

    Raises: ValidationError naming the layers that are not there, or the field of one that is wrong.
    """
    with configuring.changing(actor):
        rows = {row.name: row for row in Layer.objects.filter(name__in=scores)}
        if gone := sorted(scores.keys() - rows.keys()):
            raise ValidationError({name: [f"There is no layer {name!r} any more."] for name in gone})
        changed = [row for name, row in rows.items() if row.from_score != scores[name]]
        for row in changed:
            configuring.put(row, {"from_score": scores[row.name]}, allowed=EDITABLE, fixed={})
    return changed


def toggle(row: Layer, *, actor: str, enabled: bool | None = None) -> Layer:
    """Switches it on or off; over, where it is not said which. Raises: Layer.DoesNotExist."""
    with configuring.changing(actor):
        fresh = Layer.objects.get(pk=row.pk)
        wanted = not fresh.enabled if enabled is None else enabled
        configuring.put(fresh, {"enabled": wanted}, allowed=EDITABLE, fixed={})
    return fresh


def delete(row: Layer, *, actor: str) -> None:
    """Deletes it; its models stay, in no layer or in others.

    Raises: InUse while the policy enters it by default or budgets degrade to it; Layer.DoesNotExist.
    """
    with configuring.changing(actor):
        fresh = Layer.objects.get(pk=row.pk)
        is_default = Policy.objects.filter(default_layer=fresh).exists()
        if names := [*(["the policy, as its default layer"] if is_default else []), *_budgets_to(fresh.name)]:
            words = f"{fresh.name} is needed by {configuring.listed(names)}. Change those first."
            raise InUse(words, code="layer_in_use")
        fresh.delete()


def reorder(names: Sequence[str], *, actor: str) -> list[Layer]:
    """Puts the layers in this order, cheapest first; all of them are named. Raises: ValidationError at `layers`."""
    with configuring.changing(actor), audit.told_here():
        held = list(Layer.objects.order_by("position"))
        before = [row.name for row in held]
        refuse_another_set(names, of=before, at="layers", what="layer")
        rows = {row.name: row for row in held}
        ordered = [rows[name] for name in names]
        moving = [(row, place) for place, row in enumerate(ordered) if row.position != place]
        # Positions are unique at every moment, not only at the end: each row steps aside to a free one first.
        aside = _free(taken={row.position for row in held} | set(range(len(held))))
        for row, position in [(row, next(aside)) for row, _ in moving] + moving:
            row.position = position
            row.save(update_fields=["position"])
        if list(names) != before:
            audit.record("layers.reordered", actor=actor, before={"layers": before}, after={"layers": list(names)})
    return ordered


def refuse_another_set(names: Sequence[str], *, of: Sequence[str], at: str, what: str) -> None:
    """Raises: ValidationError where `names` are not all of those there are, each once."""
    wrong = [f"There is no {what} {name!r} here." for name in dict.fromkeys(names) if name not in of]
    if missing := [name for name in of if name not in names]:
        wrong.append(f"Name all of them: {configuring.listed(missing)} {'is' if len(missing) == 1 else 'are'} missing.")
    if not wrong and len(names) != len(of):
        wrong.append("Name each of them once.")
    if wrong:
        raise ValidationError({at: wrong})


def _free(*, taken: set[int]) -> Iterator[int]:
    return (position for position in count() if position not in taken)


def _budgets_to(name: str) -> list[str]:
    return [f"budget {pk}" for pk in Budget.objects.filter(layer=name).order_by("pk").values_list("pk", flat=True)]


def _keys_that_tell_apart(old: str, new: str) -> list[str]:
    """Keys that are held to one of the names and not to the other."""
    held = ApiKey.objects.exclude(allowed_layers=[]).order_by("pk").select_related("project")
    return [f"key {row.name} of {row.project.slug}" for row in held if _fits(old, row) != _fits(new, row)]


def _fits(name: str, row: ApiKey) -> bool:
    patterns = row.allowed_layers if isinstance(row.allowed_layers, list) else []
    return any(fnmatchcase(name, str(pattern)) for pattern in patterns)
