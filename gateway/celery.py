"""The Celery app. Embedded, `serve` runs one worker with beat over a folder; grown, workers run anywhere.

Imported by workers and by who sends a task, never by `gateway/__init__.py`: commands start without it.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, signals

from analytics import audit_context

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

app = Celery("gateway", include=["gateway.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")


@signals.task_prerun.connect
def _begin_task(**_: Any) -> None:
    """What a task changes is nobody's doing."""
    audit_context.begin(audit_context.SYSTEM)
