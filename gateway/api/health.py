"""`GET /health` and `GET /health/ready`: is the process alive; may a load balancer send it requests."""

from __future__ import annotations

from django.http import HttpResponse, JsonResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gateway import readiness
from gateway.api.base import AsyncAPIView


class HealthView(AsyncAPIView):
    """Alive: the event loop answers. Says nothing of what the process needs."""

    authentication_classes = []
    permission_classes = []

    async def get(self, request: Request) -> HttpResponse:
        return HttpResponse(b'{"status":"ok"}', content_type="application/json")


class ReadyView(APIView):
    """Ready, degraded (200: still useful) or not ready (503), with the reasons."""

    authentication_classes = []
    permission_classes = []

    def get(self, request: Request) -> Response | JsonResponse:
        state = readiness.look()
        return JsonResponse(
            {"status": state.status, "reasons": state.failing, "degraded": state.degraded},
            status=200 if not state.failing else 503,
        )
