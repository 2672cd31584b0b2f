"""`/v1/admin/projects`: projects as the management API has them. Making and deleting them is for superusers."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.request import Request

from analytics import projects, visibility
from analytics.models import Project
from gateway.api import managing
from gateway.api.managing import Conflict, ManagingViewSet

_KINDS: dict[str, managing.Kind] = {
    "slug": managing.text,
    "name": managing.text,
    "time_zone": managing.text,
    "requests_per_minute": managing.as_it_is,
    "tokens_per_minute": managing.as_it_is,
    "concurrent_requests": managing.as_it_is,
    "enabled": managing.switch,
    "stores_bodies": managing.switch,
    "bodies_days": managing.as_it_is,
}


class ProjectRowViewSet(ManagingViewSet):
    def among(self) -> QuerySet[Project]:
        return visibility.projects_of(self.authority)

    def one(self, slug: str) -> Project:
        row = self.among().filter(slug=slug).first()
        if row is None:
            raise Http404(f"There is no project {slug!r}.")
        return self.hold(row, of=row.pk)


class ProjectViewSet(ProjectRowViewSet):
    lookup_url_kwarg, lookup_value_converter = "slug", "slug"

    def list(self, request: Request) -> HttpResponse:
        managing.asked(request)
        return managing.page(request, self.among(), by="slug", told=lambda found: [project_json(row) for row in found])

    def create(self, request: Request) -> HttpResponse:
        managing.for_superusers(self.authority, what="make projects")
        fields = managing.changes(request, _KINDS)
        row = projects.create(fields.pop("slug", ""), actor=self.authority.actor, **fields)
        return JsonResponse(project_json(row), status=201)

    def retrieve(self, request: Request, slug: str) -> HttpResponse:
        return JsonResponse(project_json(self.one(slug)))

    def partial_update(self, request: Request, slug: str) -> HttpResponse:
        row, changes = self.one(slug), managing.changes(request, _KINDS)
        return JsonResponse(project_json(projects.edit(row, actor=self.authority.actor, changes=changes)))

    def destroy(self, request: Request, slug: str) -> HttpResponse:
        row = self.one(slug)
        managing.for_superusers(self.authority, what="delete projects")
        try:
            projects.delete(row, actor=self.authority.actor)
        except projects.ProjectProblem as error:
            raise Conflict(str(error), code="project_in_use") from error
        return JsonResponse({"slug": slug, "object": "project", "deleted": True})


def project_json(row: Project) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in ("slug", *projects.EDITABLE)}
    return {"object": "project", **told, "created_at": row.created_at.isoformat(timespec="seconds")}
