"""What became of circuits and why, as rows: written by the process whose change won, in a thread of its own.

While the database is away rows are kept in memory, the latest of them. Rows are never changed, and dropped after 90
days.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Max
from django.utils import timezone

from providers.types import Model
from routing.circuit import ANSWERED, LET_GO, PROBED, Circuit, State
from routing.models import CircuitTransition

logger = logging.getLogger(__name__)

MOST_KEPT = 10_000
AT_ONCE = 500
AGAIN_S = 5.0
"""Until the database is tried again."""
KEPT = timedelta(days=90)


def row(
    model: Model, before: Circuit | None, after: Circuit | None, *, at: float, cause: str = ""
) -> CircuitTransition | None:
    """None: its state is the same, and why it is open. `cause` where it is neither a call nor who claimed it."""
    was = before.state if before is not None else State.CLOSED
    now = after.state if after is not None else State.CLOSED
    if was is now and (before is None or after is None or before.cause == after.cause):
        return None
    return CircuitTransition(
        at=_moment(at),
        model_id=model.id,
        provider=model.provider.slug,
        model=model.name,
        from_state=was.value,
        to_state=now.value,
        cause=cause or _cause(was, after),
        until=None if after is None or now is State.CLOSED else _moment(after.until),
    )


def _cause(was: State, after: Circuit | None) -> str:
    if after is None or after.state is State.CLOSED:
        return ANSWERED
    if after.state is State.HALF_OPEN:
        return PROBED
    return LET_GO if was is State.HALF_OPEN and after.until <= after.since else after.cause


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


class Writer(threading.Thread):
    """Writes rows until stopped."""

    def __init__(self, *, again_s: float = AGAIN_S) -> None:
        super().__init__(name="transitions", daemon=True)
        self._again_s = again_s
        self._rows: deque[CircuitTransition] = deque(maxlen=MOST_KEPT)
        self._is_wanted = threading.Event()
        self._stopping = threading.Event()
        self._has_problem = False

    def add(self, row: CircuitTransition) -> None:
        """From any thread; never waits."""
        self._rows.append(row)
        self._is_wanted.set()

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._is_wanted.wait()
                self._is_wanted.clear()
                if not self._stopping.is_set() and not self.write() and not self._stopping.wait(self._again_s):
                    self._is_wanted.set()
            self.write()
        finally:
            connection.close()

    def stop(self, *, timeout_s: float) -> bool:
        """Ends the thread, which tries once more; returns whether all is written."""
        self._stopping.set()
        self._is_wanted.set()
        if self.is_alive():
            self.join(timeout_s)
        return not self._rows

    def write(self) -> bool:
        """Writes what waits; whether that worked. Never raises."""
        while self._rows:
            rows = [self._rows.popleft() for _ in range(min(AT_ONCE, len(self._rows)))]
            try:
                CircuitTransition.objects.bulk_create(rows)
            except Exception as error:
                connection.close()
                self._rows.extendleft(reversed(rows))
                if not self._has_problem:
                    is_known = isinstance(error, DatabaseError | InterfaceError)
                    logger.error(
                        "What became of circuits cannot be written, and is kept: %s", error, exc_info=not is_known
                    )
                self._has_problem = True
                return False
        # Given back between two rows: one more connection for each process would be held for nothing.
        connection.close()
        self._has_problem = False
        return True


def latest(model_ids: Collection[int]) -> dict[int, CircuitTransition]:
    """The last one of each model that has had any."""
    found = CircuitTransition.objects.filter(model_id__in=model_ids).values("model_id").order_by("model_id")
    last = found.annotate(last=Max("id")).values_list("last", flat=True)
    return {row.model_id: row for row in CircuitTransition.objects.filter(pk__in=list(last))}


def clear() -> int:
    """Deletes what is too old; returns how many."""
    rows, _ = CircuitTransition.objects.filter(at__lt=timezone.now() - KEPT).delete()
    return rows
