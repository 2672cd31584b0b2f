"""How the API shows layers with the models in them, and the policy, as their rows have them."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet

from routing import candidate_rows, layer_rows, policy_rows
from routing.models import Candidate, Layer, Policy


def layers() -> QuerySet[Layer]:
    """With what `layer_json` reads: two queries for any number of them."""
    held = Candidate.objects.select_related("model__provider").order_by("priority", "pk")
    return Layer.objects.prefetch_related(Prefetch("candidates", queryset=held))


def one_layer(row: Layer) -> dict[str, Any]:
    return layer_json(layers().get(pk=row.pk))


def layer_json(row: Layer) -> dict[str, Any]:
    """A row out of `layers`."""
    return {
        "object": "layer",
        **{name: getattr(row, name) for name in layer_rows.EDITABLE},
        "candidates": [{"model": str(one.model), **place(one)} for one in row.candidates.all()],
    }


def candidate_json(row: Candidate) -> dict[str, Any]:
    return {"object": "candidate", "layer": row.layer.name, "model": str(row.model), **place(row)}


def policy_json(row: Policy) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in policy_rows.EDITABLE}
    return {"object": "policy", **told, "default_layer": row.default_layer.name}


def place(row: Candidate) -> dict[str, Any]:
    """Where a model stands in a layer, without the names of either."""
    told = {name: getattr(row, name) for name in candidate_rows.EDITABLE}
    return told | {"relative_cost": None if row.relative_cost is None else f"{row.relative_cost.normalize():f}"}
