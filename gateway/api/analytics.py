"""`GET /v1/analytics/usage|cost|latency|errors|top|savings`: what the ledger's roll-ups tell, as JSON or CSV."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from analytics import visibility
from analytics.types import Caller, Scope
from gateway import usage_answers
from gateway.api import analytics_answers, analytics_asking
from gateway.usage_asking import Asker
from routing import snapshot


class MayReadUsage(BasePermission):
    """A signed-in user, or an API key with a scope of usage."""

    message = "This API key lacks the scopes 'usage:own' and 'usage:project'."

    def has_permission(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, Caller):
            return bool({Scope.USAGE_OWN, Scope.USAGE_PROJECT} & request.auth.scopes)
        self.message = "Sign in, or send an API key."
        return bool(request.user and request.user.is_authenticated)


class ReadingView(APIView):
    """Whose format is chosen by us: `Accept` may name one that DRF has no renderer for."""

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
        found = usage_answers.answer(usage_answers.question(self.report, asked, asker=self.asker(request)))
        return analytics_answers.report(found, is_csv=analytics_asking.is_csv(request, asked))


class SavingsView(ReadingView):
    def get(self, request: Request) -> HttpResponse:
        asked = analytics_asking.parameters(request, *analytics_asking.OF_SAVINGS)
        found = usage_answers.savings(asked, asker=self.asker(request), snapshot=snapshot.current())
        return analytics_answers.savings(found, is_csv=analytics_asking.is_csv(request, asked))
