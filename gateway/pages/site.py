"""The dashboard: Django's admin site with our pages, our navigation and our rule of who may come in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path

from analytics import visibility
from analytics.sign_ins import DashboardForm
from gateway.pages import navigation


class Dashboard(AdminSite):
    site_header = site_title = "AI MCP Gateway"
    index_title = "Overview"
    login_form = DashboardForm
    site_url = None
    enable_nav_sidebar = False
    """Ours takes its place (`gateway.pages.navigation`)."""

    def has_permission(self, request: HttpRequest) -> bool:
        return visibility.may_use_dashboard(request.user)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "navigation": navigation.of(request, self)}

    def get_urls(self) -> list[URLPattern | URLResolver]:
        from gateway.pages import coming

        own = [
            path("requests/", self.admin_view(self.requests), name="requests"),
            path("requests/<uuid:request_id>/", self.admin_view(self.request), name="request"),
            path("models/", self.admin_view(self.models), name="models"),
            path("tables/", self.admin_view(self.tables), name="tables"),
            path("alerts/", self.admin_view(coming.alerts), name="alerts"),
            path("terminal/", self.admin_view(coming.terminal), name="terminal"),
        ]
        return own + super().get_urls()

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from gateway.pages import overview

        return overview.page(request, {**self.each_context(request), **(extra_context or {})})

    def requests(self, request: HttpRequest) -> TemplateResponse:
        from gateway.pages import requests

        return requests.search_page(request, self.each_context(request))

    def request(self, request: HttpRequest, request_id: UUID) -> TemplateResponse:
        from gateway.pages import requests

        return requests.request_page(request, self.each_context(request), request_id)

    def models(self, request: HttpRequest) -> HttpResponse:
        from gateway.pages import models

        return models.page(request, self.each_context(request))

    def tables(self, request: HttpRequest) -> TemplateResponse:
        """Every table that the user may see, as Django's own index lists them."""
        return super().index(request, {"title": "All tables"})
