"""Bodies of requests, for projects that have them kept: taken over from requests, masked, cut and written by a thread,
and found again.

Best effort, where usage rows are not: what does not fit into the queue, or waits too long for a database that is away,
is dropped and counted. A request gives what it has and goes on: nothing here waits, raises or touches a disk on its
way, and nothing of what was said stands in a log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet

from analytics import ids, ledger
from analytics.models import Project, RequestBody
from providers.dialects.said import Said
from providers.tokens import Text

if TYPE_CHECKING:
    from analytics.body_text import Kept

logger = logging.getLogger(__name__)

MOST_WAITING = 2_000
MOST_WAITING_BYTES = 16 * 1024 * 1024
ROWS_AT_ONCE = 20
RETRY_FOR_S = 30.0
PAUSE_S = 1.0
"""Between two tries while the database is away."""
_AWAY = (OperationalError, InterfaceError, IntegrityError)
"""The database is away, or the project was deleted a moment ago: tried again."""
_NOTHING = Text("")


class _Waiting(msgspec.Struct, frozen=True):
    request_id: UUID
    project_id: int
    fields: Mapping[str, msgspec.Raw]
    answer: bytes | Text
    size: int
    """Bytes, about."""


class Bodies(threading.Thread):
    """Writes what the requests of this process give it, until stopped."""

    def __init__(self, *, retry_for_s: float = RETRY_FOR_S, pause_s: float = PAUSE_S) -> None:
        super().__init__(name="bodies", daemon=True)
        self._retry_for_s = retry_for_s
        self._pause_s = pause_s
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._has_problem = False
        # Each is written by one side alone: requests, or the thread.
        self._given_bytes = self._taken_bytes = 0
        self._refused = self._lost = 0

    @property
    def dropped(self) -> int:
        """Bodies that were to be kept and are not, since the process began."""
        return self._refused + self._lost

    @property
    def waiting_bytes(self) -> int:
        return self._given_bytes - self._taken_bytes

    def keep(
        self, request_id: UUID, *, project_id: int, asked: Mapping[str, msgspec.Raw], said: bytes | Said | None
    ) -> None:
        """Takes over what was asked, by field, and what was answered: a whole answer's body, what was read of a
        stream, None. Neither waits nor raises."""
        try:
            answer = said.text() if isinstance(said, Said) else said or _NOTHING
            size = sum(map(len, asked.values()))
            size += len(answer) if isinstance(answer, bytes) else len(answer.beginning)
            if self.waiting_bytes + size > MOST_WAITING_BYTES or self._queue.qsize() >= MOST_WAITING:
                self._refused += 1
                return
            self._given_bytes += size
            self._queue.put(_Waiting(request_id, project_id, asked, answer, size))
        except Exception as error:
            self._refused += 1
            logger.error("A request's body is not kept (%s)", type(error).__name__)

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.write(self._batch(self._queue.get()))
                if self._queue.empty():
                    connection.close()  # one less that each process holds for nothing
            self.write_all()
        finally:
            connection.close()

    def stop(self, *, timeout_s: float) -> bool:
        """Writes what is left and ends the thread; returns whether it got that far in time."""
        self._stopping.set()
        self._queue.put(None)
        if self.is_alive():
            self.join(timeout_s)
        return not self.is_alive()

    def write_all(self) -> None:
        """Whatever waits now; all of it is dropped where the database is away and the process stops."""
        while not self._queue.empty():
            self.write(self._batch(self._queue.get()))

    def write(self, batch: Sequence[_Waiting]) -> None:
        """Masks, cuts and inserts. Never raises."""
        rows = [row for one in batch if (row := self._row(one)) is not None]
        until = time.monotonic() + self._retry_for_s
        while rows and not self._has_inserted(rows, is_last=self._stopping.is_set() or time.monotonic() >= until):
            self._stopping.wait(self._pause_s)
        self._taken_bytes += sum(one.size for one in batch)

    def _batch(self, first: _Waiting | None) -> list[_Waiting]:
        """What waits, as much as goes at once. None only wakes the thread."""
        found = [first]
        while len(found) < ROWS_AT_ONCE:
            try:
                found.append(self._queue.get_nowait())
            except Empty:
                break
        return [one for one in found if one is not None]

    def _row(self, waiting: _Waiting) -> RequestBody | None:
        from analytics import body_text  # sixty patterns to compile: only where there is a body

        try:
            asked = body_text.of_request(waiting.fields, pause=_yield)
            answered = body_text.of_answer(waiting.answer, pause=_yield)
        except Exception as error:
            # Its words may be the request's: only its name is told.
            self._lose(1, why=error)
            return None
        finally:
            _yield()
        return _row(waiting, asked=asked, answered=answered)

    def _has_inserted(self, rows: list[RequestBody], *, is_last: bool) -> bool:
        """Whether these are done with: written, or dropped for good."""
        try:
            _insert(rows)
        except Exception as error:
            connection.close()
            if not is_last and isinstance(error, _AWAY):
                return False
            self._lose(len(rows), why=error)
            return True
        self._has_problem = False
        return True

    def _lose(self, many: int, *, why: Exception) -> None:
        self._lost += many
        if not self._has_problem:
            logger.warning("Bodies of requests are not kept (%s); the gauge bodies_dropped counts", type(why).__name__)
        self._has_problem = True


def _yield() -> None:
    """Lets requests go first: a thread that computes gives way by itself only every five milliseconds."""
    time.sleep(0)


def _row(waiting: _Waiting, *, asked: Kept, answered: Kept) -> RequestBody:
    return RequestBody(
        id=waiting.request_id,
        project_id=waiting.project_id,
        at=ids.started_at(waiting.request_id),
        request=asked.text,
        answer=answered.text,
        request_is_cut=asked.is_cut,
        answer_is_cut=answered.is_cut,
    )


def _insert(rows: Sequence[RequestBody]) -> None:
    """Of projects that are still there, and still have them kept: others switched it off meanwhile."""
    with transaction.atomic():
        among = Project.objects.filter(pk__in={row.project_id for row in rows}, stores_bodies=True)
        wanted = set(among.values_list("pk", flat=True))
        fresh = [row for row in rows if row.project_id in wanted]
        RequestBody.objects.bulk_create(fresh, ignore_conflicts=True)  # tried again, some may be there


def find(request_id: UUID, *, among: QuerySet[RequestBody], wait_s: float = 0.0) -> RequestBody | None:
    """A request's body, out of those `among`; looked for again while it may still be on its way, as its row is."""
    return ledger.once_there(lambda: among.filter(pk=request_id).first(), request_id=request_id, wait_s=wait_s)
