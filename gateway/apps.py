from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class GatewayConfig(AppConfig):
    name = "gateway"

    def ready(self) -> None:
        from gateway import checks  # noqa: F401 - registers the system checks


class DashboardConfig(AdminConfig):
    """Django's admin, with our site in the place of its own: tables are registered as everywhere."""

    default_site = "gateway.pages.site.Dashboard"
