"""Every address. The short way's paths stand in both tables, with the same views."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from analytics.sign_ins import DashboardForm
from gateway import usage_answers
from gateway.api.admin_audit import AuditEntryView, AuditView
from gateway.api.admin_budgets import BudgetsView, BudgetView
from gateway.api.admin_keys import KeysView, KeyView, RotateView
from gateway.api.admin_projects import ProjectsView, ProjectView
from gateway.api.analytics import ReportView, SavingsView
from gateway.api.auth import LoginView, LogoutView, RefreshView, StatusView, VerifyView
from gateway.api.chat import ChatCompletionsView
from gateway.api.health import HealthView, ReadyView
from gateway.api.models import LayersView, ModelsView, ModelView
from gateway.api.requests import RequestsView, RequestView
from gateway.api.route import RouteView
from gateway.api.routes_health import RoutesHealthView
from gateway.short_way import View

admin.site.site_header = admin.site.site_title = "AI MCP Gateway"
admin.site.index_title = "Overview"
admin.site.login_form = DashboardForm

short_way_views: dict[str, View] = {
    "/v1/chat/completions": ChatCompletionsView.as_view(),
    "/health": HealthView.as_view(),
}

urlpatterns = [
    *(path(address.removeprefix("/"), view) for address, view in short_way_views.items()),
    path("health/ready", ReadyView.as_view()),
    path("v1/models", ModelsView.as_view()),
    path("v1/models/layers", LayersView.as_view()),
    path("v1/models/<path:name>", ModelView.as_view()),
    path("v1/route", RouteView.as_view()),
    path("v1/health/routes", RoutesHealthView.as_view()),
    *(path(f"v1/analytics/{report}", ReportView.as_view(report=report)) for report in usage_answers.REPORTS),
    path("v1/analytics/savings", SavingsView.as_view()),
    path("v1/requests", RequestsView.as_view()),
    path("v1/requests/<str:request_id>", RequestView.as_view()),
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
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url="/static/favicon.svg")),
    path("", RedirectView.as_view(url="/admin/")),
]

handler404 = "gateway.api.errors.not_found"
handler500 = "gateway.api.errors.server_error"
