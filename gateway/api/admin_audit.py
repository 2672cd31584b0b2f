"""`/v1/admin/audit`: the audit trail as the management API has it, to be read alone."""

from __future__ import annotations

from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.request import Request

from analytics import audit_listing, visibility
from analytics.models import Role
from gateway import audit_asking
from gateway.api import managing
from gateway.api.managing import ManagingViewSet


class AuditEntryViewSet(ManagingViewSet):
    lookup_url_kwarg, lookup_value_converter = "entry_id", "int"
    roles = {"GET": Role.ADMIN}

    def list(self, request: Request) -> HttpResponse:
        asked = managing.asked(request, *audit_asking.FILTERS)
        slug = asked.get("project")
        project = None if slug is None else managing.project(slug, found=self.authority, least=self.least)
        wanted = audit_asking.wanted(asked, project_id=project.pk if project else None)
        rows = audit_listing.entries(self.authority, wanted)
        return managing.page(request, rows, by="id", told=audit_listing.as_json, newest_first=True)

    def retrieve(self, request: Request, entry_id: int) -> HttpResponse:
        rows = visibility.entries_of(self.authority).filter(pk=entry_id) if entry_id < 1 << 63 else ()
        told = audit_listing.as_json(rows)
        if not told:
            raise Http404(f"There is no entry {entry_id}.")
        return JsonResponse(told[0])
