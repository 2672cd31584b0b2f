"""Pages of parts that are not there yet: each says what will be, and what there is instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def alerts(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    return render(request, "gateway/alerts.html", {**context, "title": "Alerts"})


def terminal(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    return render(request, "gateway/terminal.html", {**context, "title": "Terminal"})
