from __future__ import annotations

from django.apps import AppConfig
from django.db.backends.signals import connection_created

from providers import sqlite_file


class ProvidersConfig(AppConfig):
    name = "providers"

    def ready(self) -> None:
        connection_created.connect(sqlite_file.remember)
