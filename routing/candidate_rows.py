"""Candidates as rows: a model put into a layer, its place there, the order of all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from analytics import audit
from providers.models import Model
from routing import configuring
from routing.layer_rows import refuse_another_set
from routing.models import Candidate, Layer

EDITABLE = ("priority", "relative_cost", "weight", "enabled")
MEANWHILE = "Nothing was changed: somebody else put it in another order meanwhile. It is shown as it is now."


def of(layer: Layer) -> QuerySet[Candidate]:
    """In the order of their rows; which of several of one priority is tried first, the plan says."""
    return layer.candidates.select_related("layer", "model__provider").order_by("priority", "pk")


def add(layer: Layer, model: Model, *, actor: str, **fields: object) -> Candidate:
    """Puts a model into a layer, before all others unless a `priority` says where.

    Raises: ValidationError naming the fields; Layer.DoesNotExist, Model.DoesNotExist.
    """
    row = Candidate()
    with configuring.changing(actor):
        values = {"layer": Layer.objects.get(pk=layer.pk), "model": Model.objects.get(pk=model.pk), **fields}
        if Candidate.objects.filter(layer=layer.pk, model=model.pk).exists():
            raise ValidationError({"model": [f"{model} stands in {layer.name} already."]})
        configuring.put(row, values, allowed=("layer", "model", *EDITABLE), fixed={})
    return row


def edit(row: Candidate, *, actor: str, changes: Mapping[str, object]) -> Candidate:
    """The row with `changes`, as it is then. Raises: ValidationError naming the fields; Candidate.DoesNotExist."""
    with configuring.changing(actor):
        fresh = Candidate.objects.select_related("layer", "model__provider").get(pk=row.pk)
        configuring.put(fresh, changes, allowed=EDITABLE, fixed={})
    return fresh


def remove(row: Candidate, *, actor: str) -> None:
    """Takes the model out of the layer. Raises: Candidate.DoesNotExist."""
    with configuring.changing(actor):
        Candidate.objects.select_related("layer", "model__provider").get(pk=row.pk).delete()


def mark(rows: Iterable[Candidate]) -> str:
    """Stands for the order that a layer's models are in: it is another one once any has another priority."""
    told = "\n".join(sorted(f"{row.model} {row.priority}" for row in rows))
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def refuse_another_order(rows: Iterable[Candidate], *, was: str) -> None:
    """Raises: ValidationError where they are not as they were when this was their `mark`."""
    if was != mark(rows):
        raise ValidationError({"models": [MEANWHILE]})


def reorder(layer: Layer, names: Sequence[str], *, actor: str, was: str | None = None) -> list[Candidate]:
    """Has the layer's models tried in this order: priorities 0, 1, 2 and so on. All of them are named, as
    `provider/name`. Who says by its `mark` which order this was made from undoes no other that was given meanwhile.
    Raises: ValidationError at `models`; Layer.DoesNotExist."""
    with configuring.changing(actor), audit.told_here():
        fresh = Layer.objects.get(pk=layer.pk)
        rows = {str(row.model): row for row in of(fresh)}
        refuse_another_set(names, of=list(rows), at="models", what="model")
        if was is not None:
            refuse_another_order(rows.values(), was=was)
        before = {name: row.priority for name, row in rows.items()}
        for priority, name in enumerate(names):
            if rows[name].priority != priority:
                rows[name].priority = priority
                rows[name].save(update_fields=["priority"])
        after = {name: rows[name].priority for name in names}
        if after != before:
            audit.record("candidates.reordered", actor=actor, target=fresh.name, before=before, after=after)
    return [rows[name] for name in names]
