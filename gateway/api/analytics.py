"""`GET /v1/analytics/usage|cost|latency|errors|top|savings`: what the ledger's roll-ups tell, as JSON or CSV."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpResponse
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from analytics import visibility
from analytics.queries import savings
from analytics.queries.filters import Filters
from analytics.queries.reports import Order
from analytics.queries.spans import SpanProblem
from analytics.types import Caller, Scope
from gateway import usage_answers, usage_asking, usage_references
from gateway.api import analytics_answers, analytics_asking
from gateway.api.analytics_asking import Parameters
from gateway.usage_answers import Question
from gateway.usage_asking import Asker
from routing import snapshot

USUAL_ROWS = 1000
USUAL_TOP = 10
USUAL_TOP_BY = "model"


class MayReadUsage(BasePermission):
    """A signed-in user, or an API key with a scope of usage."""

    message = "This API key lacks the scopes 'usage:own' and 'usage:project'."

    def has_permission(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, Caller):
            return bool({Scope.USAGE_OWN, Scope.USAGE_PROJECT} & request.auth.scopes)
        self.message = "Sign in, or send an API key."
        return bool(request.user and request.user.is_authenticated)


class ReadingView(APIView):
    """Whose format is chosen by us: `?format=` and `Accept` name one that DRF has no renderer for."""

    permission_classes = [MayReadUsage]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        return super().perform_content_negotiation(request, force=True)

    def asker(self, request: Request) -> Asker:
        if isinstance(request.auth, Caller):
            return Asker(visibility.reach_of_caller(request.auth), request.auth)
        return Asker(visibility.reach_of_user(request.user))


class ReportView(ReadingView):
    report = ""
    """Which of `usage_answers.REPORTS`; given in the URL table."""

    def get(self, request: Request) -> HttpResponse:
        asked = analytics_asking.parameters(request, *analytics_asking.OF_REPORTS)
        asker = self.asker(request)
        filters = usage_asking.filters(asked.lists, asker=asker)
        zone = usage_asking.zone(asked.one("zone"), asked=filters, asker=asker)
        found = usage_answers.answer(self._question(asked, filters=filters, zone=zone))
        return analytics_answers.report(found, is_csv=analytics_asking.is_csv(request, asked))

    def _question(self, asked: Parameters, *, filters: Filters, zone: str) -> Question:
        is_top = self.report == "top"
        order = asked.one("order")
        return Question(
            report=self.report,
            span=usage_asking.span(asked.one("since"), asked.one("until"), zone=zone),
            filters=filters,
            by=usage_asking.dimensions(asked.lists.get("by") or ([USUAL_TOP_BY] if is_top else [])),
            step=usage_asking.step(asked.one("step")),
            order=Order(usage_asking.one_of(order, [known.value for known in Order], about="order")) if order else None,
            limit=asked.whole("limit", usual=USUAL_TOP if is_top else USUAL_ROWS, most=10_000),
            after=asked.one("after"),
            compares=asked.switch("compare", usual=True),
        )


class SavingsView(ReadingView):
    def get(self, request: Request) -> HttpResponse:
        asked = analytics_asking.parameters(request, *analytics_asking.OF_SAVINGS)
        asker = self.asker(request)
        filters = usage_asking.filters(asked.lists, asker=asker)
        zone = usage_asking.zone(asked.one("zone"), asked=filters, asker=asker)
        span = usage_asking.span(asked.one("since"), asked.one("until"), zone=zone)
        premium, cheapest = usage_references.premium_and_cheapest(
            snapshot.current(), caller=asker.caller, at=time.time()
        )
        try:
            found = savings.savings(span, filters, premium=premium, cheapest=cheapest)
        except SpanProblem as problem:
            raise usage_asking.refused(problem) from problem
        return analytics_answers.savings(found, is_csv=analytics_asking.is_csv(request, asked))
