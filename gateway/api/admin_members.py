"""`/v1/admin/projects/{slug}/members`: who belongs to a project, and as what. Every member looks, its admins change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.request import Request

from analytics import members
from analytics.models import Membership
from gateway.api import managing
from gateway.api.admin_projects import ProjectRowViewSet
from gateway.api.managing import Conflict

_KINDS: dict[str, managing.Kind] = {"role": managing.text}


class MemberViewSet(ProjectRowViewSet):
    lookup_url_kwarg, lookup_value_converter = "user", "str"

    def list(self, request: Request, slug: str) -> HttpResponse:
        managing.asked(request)
        return managing.page(request, members.of(self.one(slug)), by="user__username", told=_told, told_as="user")

    def retrieve(self, request: Request, slug: str, user: str) -> HttpResponse:
        row = members.find(self.one(slug), user)
        if row is None:
            raise Http404(f"{user!r} is no member of {slug}.")
        return JsonResponse(member_json(row))

    def update(self, request: Request, slug: str, user: str) -> HttpResponse:
        project, fields = self.one(slug), managing.changes(request, _KINDS)
        with _told_as_http():
            found = members.put(project, user, role=fields.get("role", ""), authority=self.authority)
        return JsonResponse(member_json(found.row), status=201 if found.is_new else 200)

    def destroy(self, request: Request, slug: str, user: str) -> HttpResponse:
        with _told_as_http():
            members.take_out(self.one(slug), user, authority=self.authority)
        return JsonResponse({"user": user, "project": slug, "object": "member", "deleted": True})


def member_json(row: Membership) -> dict[str, Any]:
    user = row.user
    told = {"user": user.get_username(), "project": row.project.slug, "role": row.role, "active": user.is_active}
    return {"object": "member", **told}


def _told(rows: list[Membership]) -> list[dict[str, Any]]:
    return [member_json(row) for row in rows]


@contextmanager
def _told_as_http() -> Iterator[None]:
    try:
        yield
    except members.LastAdmin as error:
        raise Conflict(str(error), code="last_admin") from error
    except members.MembersProblem as error:
        raise Http404(str(error)) from error
