"""Every address. The short way's paths stand in both tables, with the same views."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from gateway import usage_answers
from gateway.api import admin_layers, admin_models, old_addresses, openapi
from gateway.api.admin_audit import AuditEntryView, AuditView
from gateway.api.admin_budgets import BudgetsView, BudgetView
from gateway.api.admin_keys import KeysView, KeyView, RotateView
from gateway.api.admin_layers import CandidatesView, CandidateView, LayerView, PolicyView
from gateway.api.admin_members import MembersView, MemberView
from gateway.api.admin_models import PricesView, PriceView
from gateway.api.admin_projects import ProjectsView, ProjectView
from gateway.api.admin_providers import CredentialView, ProvidersView, ProviderView, TryView
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

urlpatterns = [
    *(path(address.removeprefix("/"), view) for address, view in short_way_views.items()),
    path("health/ready", ReadyView.as_view()),
    path("v1/models", old_addresses.ModelsView.as_view()),
    path("v1/models/layers", LayersView.as_view()),
    path("v1/models/<path:name>", old_addresses.ModelView.as_view()),
    path("v1/layers/<slug:name>/reorder", old_addresses.ReorderView.as_view()),
    path("v1/layers/<slug:name>/toggle", old_addresses.ToggleView.as_view()),
    path("v1/providers", ProvidersView.as_view()),
    path("v1/providers/<slug:slug>", old_addresses.ProviderView.as_view()),
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
    path("v1/admin/keys", KeysView.as_view()),
    path("v1/admin/keys/<int:key_id>", KeyView.as_view()),
    path("v1/admin/keys/<int:key_id>/rotate", RotateView.as_view()),
    path("v1/admin/budgets", BudgetsView.as_view()),
    path("v1/admin/budgets/<int:budget_id>", BudgetView.as_view()),
    path("v1/admin/audit", AuditView.as_view()),
    path("v1/admin/audit/<int:entry_id>", AuditEntryView.as_view()),
    path("v1/admin/projects", ProjectsView.as_view()),
    path("v1/admin/projects/<slug:slug>", ProjectView.as_view()),
    path("v1/admin/projects/<slug:slug>/members", MembersView.as_view()),
    path("v1/admin/projects/<slug:slug>/members/<str:user>", MemberView.as_view()),
    path("v1/admin/providers", ProvidersView.as_view()),
    path("v1/admin/providers/<slug:slug>", ProviderView.as_view()),
    path("v1/admin/providers/<slug:slug>/credential", CredentialView.as_view()),
    path("v1/admin/providers/<slug:slug>/test", TryView.as_view()),
    path("v1/admin/models", admin_models.ModelsView.as_view()),
    path("v1/admin/models/<path:name>", admin_models.ModelView.as_view()),
    path("v1/admin/prices", PricesView.as_view()),
    path("v1/admin/prices/<int:price_id>", PriceView.as_view()),
    path("v1/admin/layers", admin_layers.LayersView.as_view()),
    path("v1/admin/layers/<slug:name>", LayerView.as_view()),
    path("v1/admin/layers/<slug:name>/candidates", CandidatesView.as_view()),
    path("v1/admin/layers/<slug:name>/candidates/<path:model>", CandidateView.as_view()),
    path("v1/admin/policy", PolicyView.as_view()),
    path("v1/openapi.json", openapi.DocumentView.as_view()),
    path("docs", openapi.page, name="docs"),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url="/static/favicon.svg")),
    path("", RedirectView.as_view(url="/admin/")),
]

handler404 = "gateway.api.errors.not_found"
handler500 = "gateway.api.errors.server_error"
