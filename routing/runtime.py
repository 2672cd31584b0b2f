"""What a process that answers requests holds from start to stop: spool, drainer, snapshot poller, counters and their
keeper, its view of models' health, what writes bodies, outbound door; a server also the recorder of its gauges.

A server enters `running` for its life, a command for one answer. Stopping drains: what reached the spool reaches the
ledger, or stays in the spool's folder for the next process to replay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from django.conf import settings

from analytics.bodies import Bodies
from analytics.counters import opening
from analytics.counters.guard import Guard
from analytics.drainer import Drainer
from analytics.gauges import Recorder
from analytics.keeper import Keeper
from analytics.lengths import Lengths
from analytics.spool import Spool
from analytics.types import NO_BOOK, Book
from providers import door
from providers.tokens import COUNTER
from routing import afterwards, gauges, snapshot
from routing.health import Health

logger = logging.getLogger(__name__)

FIRST_LOOK_S = 5.0
DRAIN_AT_STOP_S = 10.0
HEALTH_AT_STOP_S = 2.0
BODIES_AT_STOP_S = 3.0
SETTLE_AT_STOP_S = 5.0
"""For counting what the last requests used; what is not counted by then is estimated."""


@dataclass(slots=True)
class Runtime:
    """The parts of one process. Read them, do not replace them."""

    spool: Spool
    drainer: Drainer
    poller: snapshot.Poller
    guard: Guard
    keeper: Keeper
    health: Health
    bodies: Bodies
    recorder: Recorder | None = None
    """Of a process that lives long."""
    is_stopping: bool = False


_current: Runtime | None = None


class NotRunning(Exception):
    """Asked for outside `running`."""


def current() -> Runtime:
    """Raises: NotRunning."""
    if _current is None:
        raise NotRunning
    return _current


def announce_stop() -> None:
    """This process will stop soon; what still comes is answered."""
    if _current is not None:
        _current.is_stopping = True


@asynccontextmanager
async def running(*, role: str | None = None) -> AsyncIterator[Runtime]:
    """Starts the parts, and stops them in the order that loses nothing. A process with a `role` records its gauges.

    Raises: SpoolError.
    """
    global _current  # noqa: PLW0603 - one runtime per process
    made = _made()
    if role is not None:
        made.recorder = Recorder(role, sources=gauges.sources(made, spool_root=settings.SPOOL_DIR))
    async with door.opened(keep_alive_s=settings.KEEP_ALIVE_S):
        _current = made
        afterwards.resume()
        made.poller.start()
        made.drainer.start()
        made.bodies.start()
        try:
            # Requests that come before would be refused; without a database they are refused with the reason.
            await asyncio.to_thread(_first_looks, made)
            if made.recorder is not None:
                made.recorder.start()
            yield made
        finally:
            made.is_stopping = True
            await afterwards.stop(within_s=SETTLE_AT_STOP_S)
            await made.guard.aclose()
            await _stop(made)
            _current = None
            afterwards.resume()


def _made() -> Runtime:
    spool = Spool(settings.SPOOL_DIR, fsync=settings.SPOOL_FSYNC)
    store, lengths = opening.open_store(), Lengths()

    def hear(is_well: bool) -> None:
        guard.hear(is_well)  # made behind the keeper that it tells what to settle later

    keeper = Keeper(
        store,
        spool=spool,
        spool_root=settings.SPOOL_DIR,
        book=_book,
        lengths=lengths,
        on_pulse=hear,
    )
    guard: Guard = Guard(store, keeper=keeper, lengths=lengths, span_ms=round(settings.RATE_WINDOW_S * 1000))
    drainer = Drainer(spool, root=settings.SPOOL_DIR, every_s=settings.DRAIN_EVERY_S, replayed=keeper.replayed)
    poller = snapshot.Poller(every_s=settings.SNAPSHOT_POLL_S)
    return Runtime(spool, drainer, poller, guard, keeper, Health(store), Bodies())


def _book() -> Book:
    """The budgets that requests are held to; none before there is a configuration."""
    try:
        return snapshot.current().budgets
    except snapshot.SnapshotError:
        return NO_BOOK


def _first_looks(made: Runtime) -> None:
    made.poller.has_looked.wait(FIRST_LOOK_S)
    made.keeper.start()  # it fills the accounts of the budgets that the poller has found
    made.health.start()
    made.keeper.has_looked.wait(FIRST_LOOK_S)
    made.health.has_looked.wait(FIRST_LOOK_S)


async def _stop(made: Runtime) -> None:
    """To its end, even if nobody waits for it any more."""
    await asyncio.to_thread(_stop_threads, made)


def _stop_threads(made: Runtime) -> None:
    """All threads at once: while the database is away each waits for it once more."""
    steps: list[Callable[[], object]] = [made.poller.stop]
    steps += [partial(stop, made) for stop in (_stop_health, _stop_ledger, _stop_bodies)]
    if made.recorder is not None:
        steps.append(made.recorder.stop)
    with ThreadPoolExecutor(len(steps), thread_name_prefix="stop") as pool:
        stopped = [pool.submit(step) for step in steps]
    for one in stopped:
        if (error := one.exception()) is not None:
            logger.error("Stopping failed", exc_info=error)
    made.guard.close()
    COUNTER.close()


def _stop_health(made: Runtime) -> None:
    if made.health.is_alive() and not made.health.stop(timeout_s=HEALTH_AT_STOP_S):
        logger.warning("What the last calls said of their models' health is told to nobody")


def _stop_bodies(made: Runtime) -> None:
    if not made.bodies.stop(timeout_s=BODIES_AT_STOP_S):
        logger.warning("The last requests' bodies are not kept: writing them takes too long")


def _stop_ledger(made: Runtime) -> None:
    spool = made.spool
    is_drained = made.drainer.stop(timeout_s=DRAIN_AT_STOP_S)
    # Behind the drainer: what a dead process held is settled by the keeper once its rows are in the ledger.
    if made.keeper.is_alive() and not made.keeper.stop(timeout_s=DRAIN_AT_STOP_S):
        logger.warning("Reservations are left open in the counters; they are settled by the ledger's rows")
    if is_drained:
        spool.remove()
    else:
        logger.warning("Usage rows are left in %s; the next process to start puts them into the ledger", spool.folder)
        spool.close()
