"""What a process that answers requests holds from start to stop: spool, drainer, snapshot poller, outbound door.

A server enters `running` for its life, a command for one answer. Stopping drains: what reached the spool reaches the
ledger, or stays in the spool's folder for the next process to replay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from django.conf import settings

from analytics.drainer import Drainer
from analytics.spool import Spool
from providers import door
from routing import snapshot

logger = logging.getLogger(__name__)

FIRST_LOOK_S = 5.0
DRAIN_AT_STOP_S = 10.0


@dataclass(slots=True)
class Runtime:
    """The parts of one process. Read them, do not replace them."""

    spool: Spool
    drainer: Drainer
    poller: snapshot.Poller
    is_stopping: bool = False


_current: Runtime | None = None


class NotRunning(Exception):
    """Asked for outside `running`."""


def current() -> Runtime:
    """Raises: NotRunning."""
    if _current is None:
        raise NotRunning
    return _current


@asynccontextmanager
async def running() -> AsyncIterator[Runtime]:
    """Starts the parts, and stops them in the order that loses nothing. Raises: SpoolError."""
    global _current  # noqa: PLW0603 - one runtime per process
    spool = Spool(settings.SPOOL_DIR, fsync=settings.SPOOL_FSYNC)
    drainer = Drainer(spool, root=settings.SPOOL_DIR, every_s=settings.DRAIN_EVERY_S)
    poller = snapshot.Poller(every_s=settings.SNAPSHOT_POLL_S)
    async with door.opened():
        _current = Runtime(spool, drainer, poller)
        poller.start()
        drainer.start()
        try:
            # Requests that come before would be refused; without a database they are refused with the reason.
            await asyncio.to_thread(poller.has_looked.wait, FIRST_LOOK_S)
            yield _current
        finally:
            _current.is_stopping = True
            await asyncio.to_thread(_stop, spool, drainer=drainer, poller=poller)
            _current = None


def _stop(spool: Spool, *, drainer: Drainer, poller: snapshot.Poller) -> None:
    poller.stop()
    if drainer.stop(timeout_s=DRAIN_AT_STOP_S):
        spool.remove()
    else:
        logger.warning("Usage rows are left in %s; the next process to start puts them into the ledger", spool.folder)
        spool.close()
