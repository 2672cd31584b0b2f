"""Addresses that an older system had for what stands at `/v1/admin/` now: the same permissions, bodies and services.

PUT changes what it names, as PATCH does there. Looking at models stays what it is for any key (`gateway.api.models`).
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.views import APIView

from gateway import layer_listing
from gateway.api import admin_layers, admin_models, admin_providers, managing, models
from gateway.api.installation import InstallationViewSet
from routing import layer_rows, model_rows
from routing.models import Layer

BY_PUT: dict[str, Any] = {"get": "retrieve", "put": "partial_update", "delete": "destroy"}
_METHODS = ["get", "post", "head", "options", "put", "delete"]
"""In the order in which `Allow` names them there."""


class ModelViewSet(models.ModelViewSet, admin_models.ModelViewSet):
    """Looked at by any key; the rest is for who may change what all projects share."""

    http_method_names = _METHODS

    def get_permissions(self) -> Any:
        is_look = self.request.method in SAFE_METHODS
        return [one() for one in APIView.permission_classes] if is_look else super().get_permissions()

    def partial_update(self, request: Request, name: str) -> HttpResponse:
        return super().partial_update(request, _whole(name))

    def destroy(self, request: Request, name: str) -> HttpResponse:
        return super().destroy(request, _whole(name))


class ProviderViewSet(admin_providers.ProviderViewSet):
    http_method_names = _METHODS


class LayerViewSet(InstallationViewSet):
    table = Layer

    def toggle(self, request: Request, name: str) -> HttpResponse:
        """Without a body it is switched over."""
        row, fields = admin_layers.layer(name), managing.changes(request, {"enabled": managing.switch})
        changed = layer_rows.toggle(row, actor=self.authority.actor, enabled=fields.get("enabled"))
        return JsonResponse(layer_listing.one_layer(changed))


def _whole(name: str) -> str:
    """`provider/name` of the model that is called so, with its provider or without.

    Raises: Http404; ValidationError where several providers have it.
    """
    found = model_rows.called(name)
    if not found:
        raise Http404(f"There is no model {name!r}.")
    if len(found) > 1:
        words = f"Several providers have {name!r}: say which, as in {' or '.join(map(str, found))}."
        raise ValidationError({"id": [words]})
    return str(found[0])
