"""`GET /v1/requests` and `GET /v1/requests/{id}`: single requests out of the ledger."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, JsonResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from analytics import ledger, visibility
from analytics.models import UsageRecord
from analytics.types import Caller
from gateway import request_search
from gateway.api import analytics_answers, analytics_asking
from gateway.api.analytics import ReadingView
from routing import listing

MONEY = ("cost_usd", "budget_usd", "computed_cost_usd", "reported_cost_usd")
OF_ALL = ("left_usd", "outstanding")
"""In a decision: what the budget nearest its end had left, whoever's it was, and how busy models were with everybody's
calls. Only who may see all is told."""
WAIT_S = 1.0
"""How long a look-up waits for a row that has just been made and is still in the spool."""


class RequestView(APIView):
    def get(self, request: Request, request_id: str) -> HttpResponse:
        caller: Caller | None = request.auth if isinstance(request.auth, Caller) else None
        among = visibility.records_of_caller(caller) if caller else visibility.records_of_user(request.user)
        wanted = request_uuid(request_id)
        row = ledger.find(wanted, among=among, wait_s=WAIT_S) if wanted else None
        if row is None:
            raise Http404("There is no such request, or it is not yours to see.")
        is_told_all = caller is None and bool(getattr(request.user, "is_superuser", False))
        return JsonResponse(record_json(row, caller=caller, is_told_all=is_told_all))


class RequestsView(ReadingView):
    """Newest first, within a span of a day unless another is asked for."""

    def get(self, request: Request) -> HttpResponse:
        asked = analytics_asking.parameters(request, *analytics_asking.OF_SEARCH)
        caller: Caller | None = request.auth if isinstance(request.auth, Caller) else None
        among = visibility.records_of_caller(caller) if caller else visibility.records_of_user(request.user)
        found = request_search.search(asked, among=among, asker=self.asker(request))
        if analytics_asking.is_csv(request, asked):
            return analytics_answers.csv("requests", request_search.COLUMNS, found.data, after=found.after)
        return JsonResponse(request_search.answer(found))


def request_uuid(text: str) -> UUID | None:
    """None where no request can be called so."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if found.version == 7 else None


def record_json(row: UsageRecord, *, caller: Caller | None = None, is_told_all: bool = False) -> dict[str, Any]:
    """Every column under its own name; money as strings of plain digits, times in ISO 8601 with zone.

    Dropped models that `caller` may not use are counted, not named; None is told of all. What a decision has of others'
    requests and budgets is told with `is_told_all` alone.
    """
    values = {field.attname: getattr(row, field.attname) for field in UsageRecord._meta.concrete_fields}
    for name in MONEY:
        values[name] = None if values[name] is None else f"{values[name].normalize():f}"
    decision = row.decision if is_told_all else {k: v for k, v in row.decision.items() if k not in OF_ALL}
    return values | {"decision": _told(decision, caller=caller), "object": "request"}


def _told(decision: dict[str, Any], *, caller: Caller | None) -> dict[str, Any]:
    if caller is None or "dropped" not in decision:
        return decision
    entries = decision["dropped"]
    told = [entry for entry in entries if listing.may_use_named(entry[0], layer=entry[1], caller=caller)]
    return decision | {"dropped": told, "dropped_not_allowed": len(entries) - len(told)}
