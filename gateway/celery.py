"""The Celery app. Embedded, `serve` runs one worker with beat over a folder; grown, workers run anywhere.

Imported by workers and by who sends a task, never by `gateway/__init__.py`: commands start without it. A worker records
its gauges while it runs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import Celery, signals

from analytics import audit_context

if TYPE_CHECKING:
    from analytics.gauges import Recorder

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

app = Celery("gateway", include=["gateway.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")

_recorder: Recorder | None = None


@signals.task_prerun.connect
def _begin_task(**_: Any) -> None:
    """What a task changes is nobody's doing."""
    audit_context.begin(audit_context.SYSTEM)


@signals.worker_ready.connect
def _begin_gauges(**_: Any) -> None:
    global _recorder  # noqa: PLW0603 - one worker per process
    # Tables, which are there only once Django is set up: Celery has seen to it by now.
    from celery.worker import state

    from analytics.gauge_sources import OF_ANY_PROCESS
    from analytics.gauges import Recorder

    tasks = {"tasks_running": lambda: len(state.active_requests), "tasks_queued": _queued}
    _recorder = Recorder("worker", sources={**tasks, **OF_ANY_PROCESS})
    _recorder.start()


@signals.worker_shutdown.connect
def _end_gauges(**_: Any) -> None:
    if _recorder is not None:
        _recorder.stop()


def _queued() -> int | None:
    """Tasks that no worker has taken yet; None where the broker is a server, which tells of its own queues."""
    from django.conf import settings

    folder: Path = settings.CELERY_QUEUE_DIR
    return sum(1 for _ in folder.glob("*.msg")) if settings.CELERY_IS_EMBEDDED else None
