"""`GET /v1/requests/{id}`: what the ledger says of one request."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from analytics import ledger, visibility
from analytics.models import UsageRecord
from analytics.types import Caller

WAIT_S = 1.0
"""How long a look-up waits for a row that has just been made and is still in the spool."""


class RequestView(APIView):
    def get(self, request: Request, request_id: str) -> HttpResponse:
        if isinstance(request.auth, Caller):
            among = visibility.records_of_caller(request.auth)
        else:
            among = visibility.records_of_user(request.user)
        wanted = _uuid(request_id)
        row = ledger.find(wanted, among=among, wait_s=WAIT_S) if wanted else None
        if row is None:
            raise Http404("There is no such request, or it is not yours to see.")
        return JsonResponse(record_json(row))


def _uuid(text: str) -> UUID | None:
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if found.version == 7 else None


def record_json(row: UsageRecord) -> dict[str, Any]:
    """Every column under its own name; money as strings of plain digits, times in ISO 8601 with zone."""
    values = {field.attname: getattr(row, field.attname) for field in UsageRecord._meta.concrete_fields}
    for name in ("cost_usd", "computed_cost_usd", "reported_cost_usd"):
        values[name] = None if values[name] is None else f"{values[name].normalize():f}"
    return values | {"object": "request"}
