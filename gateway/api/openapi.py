"""`GET /v1/openapi.json` and `/docs`: the description of the HTTP API, for programs and for people.

Open to anybody: it says what there is to ask, nothing of what is configured, and is the same for all. It is composed by
the first request for it, so that a process that nobody asks neither imports nor holds it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework.request import Request
from rest_framework.views import APIView


class DocumentView(APIView):
    authentication_classes = []
    permission_classes = []

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        """There is one form of it, whatever `Accept` says."""
        return super().perform_content_negotiation(request, force=True)

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(_document(), content_type="application/json")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Swagger UI; without scripts a plain list of the same."""
    return render(request, "gateway/docs.html", {"groups": _groups()})


def _document() -> bytes:
    from gateway.api.schema import document

    return document.as_json()


def _groups() -> list[dict[str, Any]]:
    """The operations by tag, in the order of the tags."""
    told = msgspec.json.decode(_document())
    found: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in told["tags"]}
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            found[operation["tags"][0]].append({"method": method.upper(), "path": path, **operation})
    return [{"title": tag, "operations": operations} for tag, operations in found.items()]
