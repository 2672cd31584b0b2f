"""The Celery app. Embedded, `serve` runs one worker with beat over a folder; grown, workers run anywhere.

Imported by workers and by who sends a task, never by `gateway/__init__.py`: commands start without it.
"""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

app = Celery("gateway", include=["gateway.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
