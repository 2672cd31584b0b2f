from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig, apps
from django.contrib.admin.apps import SimpleAdminConfig
from django.utils.module_loading import module_has_submodule

WITHOUT_PAGES = {"axes", "rest_framework_simplejwt.token_blacklist"}
"""Attempts and tokens are nothing to look at; importing what would show them takes 45 ms of every command."""


class DashboardConfig(SimpleAdminConfig):
    """Django's admin with our site in the place of its own, and the pages of all apps but those."""

    default_site = "gateway.pages.site.Dashboard"

    def ready(self) -> None:
        super().ready()
        for app in apps.get_app_configs():
            if app.name not in WITHOUT_PAGES and module_has_submodule(app.module, "admin"):
                import_module(f"{app.name}.admin")


class GatewayConfig(AppConfig):
    name = "gateway"

    def ready(self) -> None:
        from gateway import checks  # noqa: F401 - registers the system checks
