"""Pages of parts that are not there yet: each says what will be, and what there is instead."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def alerts(request: HttpRequest) -> HttpResponse:
    return _page(request, "Alerts", "gateway/alerts.html")


def terminal(request: HttpRequest) -> HttpResponse:
    return _page(request, "Terminal", "gateway/terminal.html")


def _page(request: HttpRequest, title: str, template: str) -> HttpResponse:
    return render(request, template, {**admin.site.each_context(request), "title": title})
