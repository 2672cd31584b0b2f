"""Every address. The short way's paths stand in both tables, with the same views."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView
from rest_framework.routers import SimpleRouter

from gateway import usage_answers
from gateway.api import old_addresses, openapi
from gateway.api.admin_audit import AuditEntryViewSet
from gateway.api.admin_budgets import BudgetViewSet
from gateway.api.admin_keys import KeyViewSet
from gateway.api.admin_layers import CandidateViewSet, LayerViewSet, PolicyViewSet
from gateway.api.admin_members import MemberViewSet
from gateway.api.admin_models import ModelViewSet, PriceViewSet
from gateway.api.admin_projects import ProjectViewSet
from gateway.api.admin_providers import ProviderViewSet
from gateway.api.analytics import ReportView, SavingsView
from gateway.api.auth import LoginView, LogoutView, RefreshView, StatusView, VerifyView
from gateway.api.chat import ChatCompletionsView
from gateway.api.health import HealthView, ReadyView
from gateway.api.models import LayersView
from gateway.api.old_quota import QuotaStatusView, QuotaUpdateView
from gateway.api.old_stats import StatsView
from gateway.api.request_body import RequestBodyView
from gateway.api.requests import RequestsView, RequestView
from gateway.api.route import RouteView
from gateway.api.routes_health import RoutesHealthView
from gateway.short_way import View

short_way_views: dict[str, View] = {
    "/v1/chat/completions": ChatCompletionsView.as_view(),
    "/health": HealthView.as_view(),
}

resources = SimpleRouter(trailing_slash=False, use_regex_path=False)
resources.register("v1/admin/keys", KeyViewSet, "key")
resources.register("v1/admin/budgets", BudgetViewSet, "budget")
resources.register("v1/admin/audit", AuditEntryViewSet, "audit-entry")
resources.register("v1/admin/projects", ProjectViewSet, "project")
resources.register("v1/admin/projects/<slug:slug>/members", MemberViewSet, "member")
resources.register("v1/admin/providers", ProviderViewSet, "provider")
resources.register("v1/admin/models", ModelViewSet, "model")
resources.register("v1/admin/prices", PriceViewSet, "price")

_ONE: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
"""For what a router cannot place: lists that are put in order, rows that are made at addresses of their own."""

urlpatterns = [
    *(path(address.removeprefix("/"), view) for address, view in short_way_views.items()),
    path("health/ready", ReadyView.as_view()),
    path("v1/models", old_addresses.ModelViewSet.as_view({"get": "list", "post": "create"})),
    path("v1/models/layers", LayersView.as_view()),
    path("v1/models/<path:name>", old_addresses.ModelViewSet.as_view(old_addresses.BY_PUT)),
    path("v1/layers/<slug:name>/reorder", CandidateViewSet.as_view({"put": "reorder"})),
    path("v1/layers/<slug:name>/toggle", old_addresses.LayerViewSet.as_view({"put": "toggle"})),
    path("v1/providers", ProviderViewSet.as_view({"get": "list", "post": "create"})),
    path("v1/providers/<slug:slug>", old_addresses.ProviderViewSet.as_view(old_addresses.BY_PUT)),
    path("v1/stats", StatsView.as_view()),
    path("v1/quota/status", QuotaStatusView.as_view()),
    path("v1/quota/update", QuotaUpdateView.as_view()),
    path("v1/traces/<str:request_id>", RequestView.as_view()),
    path("v1/route", RouteView.as_view()),
    path("v1/health/routes", RoutesHealthView.as_view()),
    *(path(f"v1/analytics/{report}", ReportView.as_view(report=report)) for report in usage_answers.REPORTS),
    path("v1/analytics/savings", SavingsView.as_view()),
    path("v1/requests", RequestsView.as_view()),
    path("v1/requests/<str:request_id>", RequestView.as_view()),
    path("v1/requests/<str:request_id>/body", RequestBodyView.as_view()),
    path("v1/auth/login", LoginView.as_view()),
    path("v1/auth/refresh", RefreshView.as_view()),
    path("v1/auth/status", StatusView.as_view()),
    path("v1/auth/verify", VerifyView.as_view()),
    path("v1/auth/logout", LogoutView.as_view()),
    *resources.urls,
    path("v1/admin/layers", LayerViewSet.as_view({"get": "list", "post": "create", "put": "reorder"})),
    path("v1/admin/layers/<slug:name>", LayerViewSet.as_view(_ONE)),
    path("v1/admin/layers/<slug:name>/candidates", CandidateViewSet.as_view({"get": "list", "put": "reorder"})),
    path("v1/admin/layers/<slug:name>/candidates/<path:model>", CandidateViewSet.as_view(_ONE | {"post": "create"})),
    path("v1/admin/policy", PolicyViewSet.as_view({"get": "retrieve", "patch": "partial_update"})),
    path("v1/openapi.json", openapi.DocumentView.as_view()),
    path("docs", openapi.page, name="docs"),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url="/static/favicon.svg")),
    path("", RedirectView.as_view(url="/admin/")),
]

handler404 = "gateway.api.errors.not_found"
handler500 = "gateway.api.errors.server_error"
