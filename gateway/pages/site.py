"""The dashboard: Django's admin site with our pages, our navigation and our rule of who may come in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import unquote

from django.contrib.admin import AdminSite
from django.contrib.admin.views.main import ERROR_FLAG
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils.module_loading import import_string

from analytics import visibility
from analytics.sign_ins import DashboardForm
from gateway.pages import navigation

_PAGES = (
    ("requests/", "requests", "requests.search_page"),
    ("requests/<uuid:request_id>/", "request", "requests.request_page"),
    ("models/", "models", "models.page"),
    ("models/add/", "model_offers", "model_offers.page"),
    ("models/<path:name>/", "model", "model.page"),
    ("ask/<path:name>/", "question", "question.page"),
    ("providers/", "providers", "providers.page"),
    ("providers/new/", "provider_new", "providers.new_page"),
    ("providers/<str:slug>/", "provider", "provider.page"),
    ("prices/", "prices", "prices.page"),
    ("prices/sync/", "price_sync", "price_sync.page"),
    ("route/", "route", "explorer.page"),
    ("projects/", "projects", "projects.list_page"),
    ("projects/new/", "project_new", "projects.new_page"),
    ("projects/<slug:slug>/", "project", "projects.page"),
    ("audit/", "audit", "audit.list_page"),
    ("audit/csv/", "audit_csv", "audit.csv_file"),
    ("audit/<int:entry_id>/", "audit_entry", "audit.entry_page"),
    ("tokens/", "tokens", "tokens.page"),
    ("tokens/new/", "token_new", "token_made.new_page"),
    ("tokens/<int:key_id>/", "token", "token.page"),
    ("tokens/<int:key_id>/change/", "token_change", "token.change_page"),
    ("tokens/<int:key_id>/rotate/", "token_rotate", "token_made.rotate_page"),
    ("tokens/<int:key_id>/delete/", "token_delete", "token.delete_page"),
    ("budgets/", "budgets", "budgets.page"),
    ("budgets/new/", "budget_new", "budget.new_page"),
    ("budgets/<int:budget_id>/", "budget", "budget.change_page"),
    ("budgets/<int:budget_id>/delete/", "budget_delete", "budget.delete_page"),
    ("alerts/", "alerts", "coming.alerts"),
    ("terminal/", "terminal", "coming.terminal"),
)
"""Below `/admin/`: the path, the name of the address, and what answers: it takes the request, the context that all
pages share, and the path's parts by name."""

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def _without_nul(view: View) -> View:
    """Asked with a character that PostgreSQL fails at, a list of rows does what Django has it do with any filter that
    makes no sense: it leads to all rows."""

    @wraps(view)
    def asked(request: HttpRequest, *parts: Any, **named: Any) -> HttpResponseBase:
        if "\0" in unquote(request.META["QUERY_STRING"]):
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")
        return view(request, *parts, **named)

    return cast(View, asked)


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

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Django's, for the tables."""
        return super().admin_view(_without_nul(view), cacheable)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        guarded = super().admin_view  # our pages say themselves what is wrong with a question
        own = [path(at, guarded(self._view(page)), name=name) for at, name, page in _PAGES]
        own.append(path("tables/", self.admin_view(self.tables), name="tables"))
        *tables, anything = super().get_urls()
        # Paths with parts that vary come behind the tables' own: `providers/provider/` is one of those.
        varying = [page for page in own if "<" in str(page.pattern)]
        return [*(page for page in own if page not in varying), *tables, *varying, anything]

    def _view(self, page: str) -> Callable[..., HttpResponse]:
        """Imported by the first request: pages need the tables, which are not there yet while addresses are made."""

        def view(request: HttpRequest, **parts: Any) -> HttpResponse:
            answer: HttpResponse = import_string(f"gateway.pages.{page}")(request, self.each_context(request), **parts)
            return answer

        return view

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from gateway.pages import overview

        return overview.page(request, {**self.each_context(request), **(extra_context or {})})

    def tables(self, request: HttpRequest) -> TemplateResponse:
        """Every table that the user may see, as Django's own index lists them."""
        return super().index(request, {"title": "All tables"})
