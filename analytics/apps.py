from __future__ import annotations

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    name = "analytics"

    def ready(self) -> None:
        from analytics import audit_followed, sign_ins

        audit_followed.begin()
        sign_ins.begin()
