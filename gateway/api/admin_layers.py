"""`/v1/admin/layers`, the models in them, and `/v1/admin/policy`: the order in which models are tried."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.request import Request

from gateway import layer_listing
from gateway.api import installation, managing
from gateway.api.installation import InstallationViewSet
from routing import candidate_rows, layer_rows, policy_rows
from routing.models import Candidate, Layer, Policy

_KINDS: dict[str, managing.Kind] = installation.kinds(Layer, layer_rows.EDITABLE)
_CANDIDATE: dict[str, managing.Kind] = installation.kinds(Candidate, candidate_rows.EDITABLE)
_POLICY: dict[str, managing.Kind] = {
    "default_layer": managing.text,
    **installation.kinds(Policy, [name for name in policy_rows.EDITABLE if name != "default_layer"]),
}


class LayerViewSet(InstallationViewSet):
    table = Layer

    def list(self, request: Request) -> HttpResponse:
        managing.asked(request)
        return managing.page(request, layer_listing.layers(), by="position", told=_told)

    def create(self, request: Request) -> HttpResponse:
        fields = managing.changes(request, _KINDS)
        row = layer_rows.create(actor=self.authority.actor, **{"name": "", **fields})
        return JsonResponse(layer_listing.one_layer(row), status=201)

    def reorder(self, request: Request) -> HttpResponse:
        fields = managing.changes(request, {"layers": installation.names})
        layer_rows.reorder(fields.get("layers", []), actor=self.authority.actor)
        return JsonResponse({"object": "list", "data": _told(list(layer_listing.layers().order_by("position")))})

    def retrieve(self, request: Request, name: str) -> HttpResponse:
        return JsonResponse(layer_listing.one_layer(layer(name)))

    def partial_update(self, request: Request, name: str) -> HttpResponse:
        row, changes = layer(name), managing.changes(request, _KINDS)
        changed = layer_rows.edit(row, actor=self.authority.actor, changes=changes)
        return JsonResponse(layer_listing.one_layer(changed))

    def destroy(self, request: Request, name: str) -> HttpResponse:
        layer_rows.delete(layer(name), actor=self.authority.actor)
        return JsonResponse({"name": name, "object": "layer", "deleted": True})


class CandidateViewSet(InstallationViewSet):
    table = Candidate

    def list(self, request: Request, name: str) -> HttpResponse:
        return JsonResponse({"object": "list", "data": _candidates(candidate_rows.of(layer(name)))})

    def reorder(self, request: Request, name: str) -> HttpResponse:
        row, fields = layer(name), managing.changes(request, {"models": installation.names})
        ordered = candidate_rows.reorder(row, fields.get("models", []), actor=self.authority.actor)
        return JsonResponse({"object": "list", "data": _candidates(ordered)})

    def retrieve(self, request: Request, name: str, model: str) -> HttpResponse:
        return JsonResponse(layer_listing.candidate_json(_candidate(name, model)))

    def create(self, request: Request, name: str, model: str) -> HttpResponse:
        into, put, fields = layer(name), installation.model(model), managing.changes(request, _CANDIDATE)
        row = candidate_rows.add(into, put, actor=self.authority.actor, **fields)
        return JsonResponse(layer_listing.candidate_json(row), status=201)

    def partial_update(self, request: Request, name: str, model: str) -> HttpResponse:
        row, changes = _candidate(name, model), managing.changes(request, _CANDIDATE)
        changed = candidate_rows.edit(row, actor=self.authority.actor, changes=changes)
        return JsonResponse(layer_listing.candidate_json(changed))

    def destroy(self, request: Request, name: str, model: str) -> HttpResponse:
        candidate_rows.remove(_candidate(name, model), actor=self.authority.actor)
        return JsonResponse({"layer": name, "model": model, "object": "candidate", "deleted": True})


class PolicyViewSet(InstallationViewSet):
    table = Policy

    def retrieve(self, request: Request) -> HttpResponse:
        row = policy_rows.find()
        if row is None:
            raise Http404("There is no policy yet: PATCH one with its default_layer.")
        return JsonResponse(layer_listing.policy_json(row))

    def partial_update(self, request: Request) -> HttpResponse:
        changes = managing.changes(request, _POLICY)
        if "default_layer" in changes:
            changes["default_layer"] = _default(changes["default_layer"])
        return JsonResponse(layer_listing.policy_json(policy_rows.edit(actor=self.authority.actor, changes=changes)))


def layer(name: str) -> Layer:
    """Raises: Http404."""
    row = Layer.objects.filter(name=name).first()
    if row is None:
        raise Http404(f"There is no layer {name!r}.")
    return row


def _default(name: str) -> Layer:
    """Named in a body. Raises: ValidationError."""
    row = Layer.objects.filter(name=name).first()
    if row is None:
        known = ", ".join(Layer.objects.values_list("name", flat=True))
        raise ValidationError({"default_layer": [f"There is no layer {name!r}; there is {known or 'none'}."]})
    return row


def _candidate(name: str, model: str) -> Candidate:
    """Raises: Http404."""
    put = installation.model(model)
    row = candidate_rows.of(layer(name)).filter(model=put).first()
    if row is None:
        raise Http404(f"{put} is not in {name}.")
    return row


def _told(rows: list[Layer]) -> list[dict[str, Any]]:
    return [layer_listing.layer_json(row) for row in rows]


def _candidates(rows: Any) -> list[dict[str, Any]]:
    return [layer_listing.candidate_json(row) for row in rows]
