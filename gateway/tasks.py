"""Celery tasks: each translates in, makes one call, and carries its own deadline (the embedded pool enforces none)."""

from __future__ import annotations

import logging

from django.conf import settings

from analytics import retention
from analytics.counters.store import StoreError
from gateway import housekeeping, probing
from gateway.celery import app

logger = logging.getLogger(__name__)


@app.task
def clear_old_files() -> None:
    cleared = housekeeping.clear(settings.VAR_DIR, days=settings.OLD_FILES_AFTER_DAYS)
    logger.info("Cleared %d old files, %d bytes, %d change rows.", cleared.files, cleared.bytes, cleared.rows)


@app.task
def tidy_usage() -> None:
    dropped = retention.tidy(keep_days=settings.USAGE_KEEP_DAYS)
    logger.info("Dropped %d old usage rows, %d roll-ups, %d bodies.", dropped.rows, dropped.rollups, dropped.bodies)


@app.task
def probe_providers() -> None:
    """Nothing is said of providers that still do not answer: their circuits were told when they opened."""
    try:
        probing.probe(within_s=settings.PROBE_WITHIN_S)
    except StoreError as error:
        logger.warning("Whether providers are back cannot be told: %s", error)
