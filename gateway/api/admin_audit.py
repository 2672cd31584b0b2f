"""`/v1/admin/audit`: the audit trail as the management API has it, to be read alone."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.request import Request

from analytics import audit_listing, visibility
from analytics.audit_listing import Wanted
from analytics.models import Role, Severity
from gateway import audit_asking
from gateway.api import managing
from gateway.api.managing import ManagingView

FILTERS = ("since", "until", "actor", "action", "target", "project", "severity")


class AuditView(ManagingView):
    roles = {"GET": Role.ADMIN}

    def get(self, request: Request) -> HttpResponse:
        asked = managing.asked(request, *FILTERS)
        slug, times = asked.get("project"), audit_asking.times(asked.get("since"), asked.get("until"))
        wanted = Wanted(
            since=times.since,
            until=times.until,
            actor=asked.get("actor", ""),
            action=asked.get("action", ""),
            target=asked.get("target", ""),
            project_id=None if slug is None else managing.project(slug, found=self.authority, least=self.least).pk,
            severity=_severity(asked.get("severity")),
        )
        rows = audit_listing.entries(self.authority, wanted)
        return managing.page(request, rows, by="id", told=audit_listing.as_json, newest_first=True)


class AuditEntryView(ManagingView):
    roles = {"GET": Role.ADMIN}

    def get(self, request: Request, entry_id: int) -> HttpResponse:
        rows = visibility.entries_of(self.authority).filter(pk=entry_id) if entry_id < 1 << 63 else ()
        told = audit_listing.as_json(rows)
        if not told:
            raise Http404(f"There is no entry {entry_id}.")
        return JsonResponse(told[0])


def _severity(given: str | None) -> Severity | None:
    if given is None:
        return None
    if given not in Severity.values:
        raise ValidationError({"severity": [f"Use {', '.join(Severity.values)}."]})
    return Severity(given)
