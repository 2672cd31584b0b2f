"""Candidates as rows: a model put into a layer, its place there, the order of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from analytics import audit
from providers.models import Model
from routing import configuring
from routing.layer_rows import refuse_another_set
from routing.models import Candidate, Layer

EDITABLE = ("priority", "relative_cost", "weight", "enabled")


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


def reorder(layer: Layer, names: Sequence[str], *, actor: str) -> list[Candidate]:
    """Has the layer's models tried in this order: priorities 0, 1, 2 and so on. All of them are named, as
    `provider/name`. Raises: ValidationError at `models`; Layer.DoesNotExist."""
    with configuring.changing(actor), audit.told_here():
        fresh = Layer.objects.get(pk=layer.pk)
        rows = {str(row.model): row for row in of(fresh)}
        refuse_another_set(names, of=list(rows), at="models", what="model")
        before = {name: row.priority for name, row in rows.items()}
        for priority, name in enumerate(names):
            if rows[name].priority != priority:
                rows[name].priority = priority
                rows[name].save(update_fields=["priority"])
        after = {name: rows[name].priority for name in names}
        if after != before:
            audit.record("candidates.reordered", actor=actor, target=fresh.name, before=before, after=after)
    return [rows[name] for name in names]
