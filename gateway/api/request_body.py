"""`GET /v1/requests/{id}/body`: what was asked and answered, where the project has that kept; for its operators and
admins."""

from __future__ import annotations

from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.request import Request

from analytics import bodies, visibility
from analytics.models import Role
from gateway import request_body
from gateway.api import managing
from gateway.api.managing import ManagingView
from gateway.api.requests import WAIT_S, request_uuid


class RequestBodyView(ManagingView):
    roles = {"GET": Role.OPERATOR}

    def get(self, request: Request, request_id: str) -> HttpResponse:
        wanted = request_uuid(request_id)
        among = visibility.bodies_of(self.authority, least=Role.VIEWER)
        row = bodies.find(wanted, among=among, wait_s=WAIT_S) if wanted else None
        if row is None:
            raise Http404("No body of such a request is kept, or it is not yours to see.")
        self.hold(row, of=row.project_id)
        return JsonResponse(request_body.as_json(row), headers=managing.SHOWN_ONCE)
