"""`GET /v1/quota/status` and `POST /v1/quota/update`: an older system's addresses for limits and budgets.

What is left is told to whose it is; changes go the way of `/v1/admin/keys`, `projects` and `budgets`, by the same
permissions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from analytics import allotting, handing_on, keys, projects, visibility
from analytics.authority import Authority
from analytics.models import ApiKey, Budget, Role
from analytics.types import Caller, Scope
from gateway import quota_listing
from gateway.api import managing
from gateway.api.admin_budgets import budget_json
from gateway.api.admin_keys import key_json
from gateway.api.admin_projects import project_json
from gateway.api.managing import ManagingView

_SEES_THE_PROJECT = {Scope.USAGE_PROJECT, Scope.ADMIN}
_WHOSE: dict[str, managing.Kind] = {"api_key": managing.row_id, "project": managing.slug, "budget": managing.row_id}
_KINDS = _WHOSE | dict.fromkeys(keys.LIMITS, managing.as_it_is) | {"limit_usd": managing.money}
ONE_OF = "Say whose: api_key, project or budget; one of them."


class QuotaStatusView(APIView):
    """A key is told of itself, and of its project with the scope `usage:project` or `admin`; a user of a project."""

    def get(self, request: Request) -> HttpResponse:
        asked = managing.asked(request, "project")
        if isinstance(request.auth, Caller):
            return JsonResponse(_of_caller(request.auth, named=asked.get("project")))
        found = managing.who_acts(request)
        if found is None or found.within(Role.VIEWER) == frozenset():
            raise PermissionDenied("This is for members of a project.")
        project = managing.project(asked.get("project"), found=found)
        return JsonResponse({"object": "quota", "api_key": None, "project": quota_listing.of_project(project)})


def _of_caller(caller: Caller, *, named: str | None) -> dict[str, Any]:
    if named not in (None, caller.project):
        raise ValidationError({"project": [f"There is no project {named!r}; there is {caller.project}."]})
    row = ApiKey.objects.select_related("project").filter(pk=caller.key_id).first()
    if row is None:
        raise Http404("This API key was deleted.")
    sees_it = bool(_SEES_THE_PROJECT & caller.scopes)
    return {
        "object": "quota",
        "api_key": quota_listing.of_key(row),
        "project": quota_listing.of_project(row.project) if sees_it else None,
    }


class QuotaUpdateView(ManagingView):
    roles = {"POST": Role.OPERATOR}

    def post(self, request: Request) -> HttpResponse:
        fields = managing.changes(request, _KINDS)
        whose = {name: given for name in _WHOSE if (given := fields.pop(name, None)) is not None}
        if len(whose) != 1:
            raise ValidationError({"project": [ONE_OF]})
        ((name, given),) = whose.items()
        _refuse_others(fields, known=("limit_usd",) if name == "budget" else keys.LIMITS)
        return JsonResponse(_CHANGED[name](given, fields, self.authority))


def _refuse_others(fields: Mapping[str, object], *, known: tuple[str, ...]) -> None:
    """Raises: ValidationError naming those that this has not."""
    if others := fields.keys() - set(known):
        raise ValidationError({name: [f"This has no {name}: use {', '.join(known)}."] for name in sorted(others)})


def _key(given: int, fields: Mapping[str, object], found: Authority) -> dict[str, Any]:
    row = managing.api_key(given, found=found, least=Role.OPERATOR)
    return key_json(handing_on.edit(row, authority=found, changes=fields))


def _project(given: str, fields: Mapping[str, object], found: Authority) -> dict[str, Any]:
    row = managing.project(given, found=found, least=Role.ADMIN)
    return project_json(projects.edit(row, actor=found.actor, changes=fields))


def _budget(given: int, fields: Mapping[str, object], found: Authority) -> dict[str, Any]:
    row: Budget | None = visibility.budgets_of(found).filter(pk=given).first()
    if row is None:
        raise ValidationError({"budget": [f"There is no budget {given}; GET /v1/admin/budgets shows them."]})
    return budget_json(allotting.edit(row, authority=found, changes=fields))


_CHANGED: dict[str, Callable[[Any, Mapping[str, object], Authority], dict[str, Any]]] = {
    "api_key": _key,
    "project": _project,
    "budget": _budget,
}
