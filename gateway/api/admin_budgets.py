"""`/v1/admin/budgets`: budgets as the management API has them, with how they stand."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.request import Request

from analytics import allotting, standing, visibility
from analytics.models import ApiKey, Budget, Project
from gateway import budget_listing
from gateway.api import managing
from gateway.api.managing import ManagingViewSet

_KINDS: dict[str, managing.Kind] = {
    "installation": managing.switch,
    "project": managing.slug,
    "api_key": managing.row_id,
    "window": managing.text,
    "limit_usd": managing.money,
    "action": managing.text,
    "layer": managing.name_or_none,
    "near_edge": managing.text,
    "severity": managing.text,
    "starts_at": managing.moment,
    "ends_at": managing.moment,
    "enabled": managing.switch,
}


class BudgetViewSet(ManagingViewSet):
    lookup_url_kwarg, lookup_value_converter = "budget_id", "int"

    def among(self) -> QuerySet[Budget]:
        return visibility.budgets_of(self.authority)

    def one(self, budget_id: int) -> Budget:
        row = self.among().filter(pk=budget_id).first()
        if row is None:
            raise Http404(f"There is no budget {budget_id}.")
        return self.hold(row, of=allotting.project_of(row))

    def target(self, fields: dict[str, Any]) -> tuple[Project | None, ApiKey | None]:
        """Takes out of the fields whose budget it is; both where the key is another project's: the row refuses it."""
        slug, key_id, is_all = (fields.pop(name, None) for name in ("project", "api_key", "installation"))
        if is_all:
            managing.for_superusers(self.authority, what="make budgets of the installation")
        if bool(is_all) == (slug is not None or key_id is not None):
            words = "Say whose budget it is: project, api_key, or installation: true, which goes with neither."
            raise ValidationError({"project": [words]})
        project = None if slug is None else managing.project(slug, found=self.authority, least=self.least)
        key = None if key_id is None else managing.api_key(key_id, found=self.authority, least=self.least)
        return (None if key and project == key.project else project), key

    def list(self, request: Request) -> HttpResponse:
        rows = self.among()
        asked = managing.asked(request, "project", "api_key")
        if "project" in asked:
            project = managing.project(asked["project"], found=self.authority)
            rows = rows.filter(Q(project=project) | Q(api_key__project=project))
        if "api_key" in asked:
            rows = rows.filter(api_key=managing.api_key(_id(asked["api_key"]), found=self.authority))
        return managing.page(request, rows, by="id", told=budgets_json)

    def create(self, request: Request) -> HttpResponse:
        fields = managing.changes(request, _KINDS)
        project, key = self.target(fields)
        fields = {"window": "", "limit_usd": None} | fields  # the row says what is missing
        row = allotting.create(authority=self.authority, project=project, api_key=key, **fields)
        return JsonResponse(budget_json(row), status=201)

    def retrieve(self, request: Request, budget_id: int) -> HttpResponse:
        return JsonResponse(budget_json(self.one(budget_id)))

    def partial_update(self, request: Request, budget_id: int) -> HttpResponse:
        row, changes = self.one(budget_id), managing.changes(request, _KINDS)
        return JsonResponse(budget_json(allotting.edit(row, authority=self.authority, changes=changes)))

    def destroy(self, request: Request, budget_id: int) -> HttpResponse:
        allotting.delete(self.one(budget_id), authority=self.authority)
        return JsonResponse({"id": budget_id, "object": "budget", "deleted": True})


def budget_json(row: Budget) -> dict[str, Any]:
    return budgets_json([row])[0]


def budgets_json(rows: list[Budget]) -> list[dict[str, Any]]:
    standings = standing.of(rows)
    return [{"object": "budget", **budget_listing.as_json(row, standings[row.pk])} for row in rows]


def _id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ValidationError({"api_key": ["Use the id of a key."]})
    return int(text)
