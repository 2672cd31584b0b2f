"""`/v1/admin/keys`: API keys as the management API has them. A key itself is in the answer that makes it, and nowhere
else."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.decorators import action
from rest_framework.request import Request

from analytics import handing_on, key_rules, keys, visibility
from analytics.models import ApiKey, Role
from gateway import key_listing
from gateway.api import managing
from gateway.api.managing import SHOWN_ONCE, Conflict, ManagingViewSet

_KINDS: dict[str, managing.Kind] = {
    "name": managing.as_it_is,
    "project": managing.slug,
    "owner": managing.slug,
    "scopes": managing.held_to(key_rules.validate_scopes),
    "allowed_models": managing.held_to(key_rules.validate_patterns),
    "allowed_layers": managing.held_to(key_rules.validate_patterns),
    "allowed_endpoints": managing.held_to(key_rules.validate_endpoints),
    "allowed_networks": managing.held_to(key_rules.validate_networks),
    **dict.fromkeys(keys.LIMITS, managing.as_it_is),
    "expires_at": managing.moment,
    "enabled": managing.switch,
}

_ROTATION: dict[str, managing.Kind] = {"grace_s": managing.as_it_is, "end_previous": managing.switch}


class KeyViewSet(ManagingViewSet):
    lookup_url_kwarg, lookup_value_converter = "key_id", "int"
    roles = {"POST": Role.OPERATOR, "PATCH": Role.OPERATOR}

    def among(self) -> QuerySet[ApiKey]:
        return visibility.keys_of(self.authority)

    def one(self, key_id: int) -> ApiKey:
        row = self.among().filter(pk=key_id).first()
        if row is None:
            raise Http404(f"There is no key {key_id}.")
        return self.hold(row, of=row.project_id)

    def fields(self, request: Request) -> dict[str, Any]:
        fields = managing.changes(request, _KINDS)
        if fields.get("owner") is not None:
            fields["owner"] = self._owner(fields["owner"])
        if fields.get("project") is not None:
            fields["project"] = managing.project(fields["project"], found=self.authority, least=self.least)
        return fields

    def _owner(self, name: str) -> Any:
        found = visibility.users_of(self.authority).filter(username=name).first()
        if found is None:
            raise ValidationError({"owner": [f"There is no user {name!r}."]})
        return found

    def list(self, request: Request) -> HttpResponse:
        rows = self.among()
        asked = managing.asked(request, "project", "state")
        if "project" in asked:
            rows = rows.filter(project=managing.project(asked["project"], found=self.authority))
        if "state" in asked:
            rows = keys.in_state(rows, _state(asked["state"]))
        return managing.page(request, rows, by="id", told=lambda found: [key_json(row) for row in found])

    def create(self, request: Request) -> HttpResponse:
        fields = self.fields(request)
        name = fields.pop("name", "")
        project = fields.pop("project", None) or managing.project(None, found=self.authority, least=self.least)
        made = handing_on.create(name, authority=self.authority, project=project, **fields)
        told = {"key": made.secret, "warnings": key_listing.warnings(made.row, about=fields)}
        return JsonResponse(key_json(made.row) | told, status=201, headers=SHOWN_ONCE)

    def retrieve(self, request: Request, key_id: int) -> HttpResponse:
        return JsonResponse({"object": "api_key", **key_listing.in_full(self.one(key_id))})

    def partial_update(self, request: Request, key_id: int) -> HttpResponse:
        changes = self.fields(request)
        row = handing_on.edit(self.one(key_id), authority=self.authority, changes=changes)
        return JsonResponse(key_json(row) | {"warnings": key_listing.warnings(row, about=changes)})

    def destroy(self, request: Request, key_id: int) -> HttpResponse:
        handing_on.delete(self.one(key_id), authority=self.authority)
        return JsonResponse({"id": key_id, "object": "api_key", "deleted": True})

    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, key_id: int) -> HttpResponse:
        """A key that is leaked is given `{"grace_s": 0}`."""
        row, fields = self.one(key_id), managing.changes(request, _ROTATION)
        try:
            made = handing_on.rotate(row, authority=self.authority, **fields)
        except keys.StillInGrace as error:
            raise Conflict(f'{error} Send "end_previous": true to do so.', code="rotated_already") from error
        told = {
            "key": made.secret,
            "dropped_prefix": made.dropped_prefix or None,
            "notes": key_listing.rotation_notes(made),
        }
        return JsonResponse(key_json(made.row) | told, headers=SHOWN_ONCE)


def key_json(row: ApiKey) -> dict[str, Any]:
    return {"object": "api_key", **key_listing.as_json(row)}


def _state(text: str) -> keys.State:
    try:
        return keys.State(text)
    except ValueError:
        raise ValidationError({"state": [f"Use one of {', '.join(keys.State)}."]}) from None
