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
from gateway.api.installation import InstallationView
from routing import layer_rows, model_rows
from routing.models import Layer


class _OpenToLookAt(InstallationView):
    """GET is for whoever may look at models, as before; the rest is the installation's."""

    def get_permissions(self) -> Any:
        is_look = self.request.method in SAFE_METHODS
        return [one() for one in APIView.permission_classes] if is_look else super().get_permissions()


class ModelsView(_OpenToLookAt, models.ModelsView, admin_models.ModelsView):
    """Looked at by any key; made by who may change what all projects share."""


class ModelView(_OpenToLookAt, models.ModelView, admin_models.ModelView):
    http_method_names = ["get", "head", "options", "put", "delete"]

    def put(self, request: Request, name: str) -> HttpResponse:
        return self.patch(request, _whole(name))

    def delete(self, request: Request, name: str) -> HttpResponse:
        return super().delete(request, _whole(name))


class ProviderView(admin_providers.ProviderView):
    http_method_names = ["get", "head", "options", "put", "delete"]

    def put(self, request: Request, slug: str) -> HttpResponse:
        return self.patch(request, slug)


class ReorderView(admin_layers.CandidatesView):
    http_method_names = ["put", "options"]


class ToggleView(InstallationView):
    table = Layer

    def put(self, request: Request, name: str) -> HttpResponse:
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
