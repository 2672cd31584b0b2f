"""`GET /v1/stats`: an older system's address for what happened in a span of time, in all and by layer."""

from __future__ import annotations

from django.http import HttpResponse, JsonResponse
from rest_framework.request import Request

from gateway import usage_stats
from gateway.api import analytics_asking
from gateway.api.analytics import ReadingView


class StatsView(ReadingView):
    def get(self, request: Request) -> HttpResponse:
        asked = analytics_asking.parameters(request, *usage_stats.PARAMETERS)
        return JsonResponse(usage_stats.stats(asked, asker=self.asker(request)))
