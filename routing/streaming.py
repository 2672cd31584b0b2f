"""A streamed answer under way: relays its frames, knows how it ends, and settles the request then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from math import inf
from time import monotonic
from typing import Any
from weakref import WeakSet

from analytics.models import Outcome
from providers.chat import OpenStream
from providers.deadlines import within
from providers.types import FailureKind, ProviderError
from routing.bills import Bill
from routing.entry import Entry
from routing.types import Candidate

logger = logging.getLogger(__name__)

LACKS_ONLY_ITS_END = {FailureKind.UNREACHABLE, FailureKind.TIMEOUT}
"""After a finish reason: the connection broke or fell silent before `[DONE]`, which is not an error."""

_left: WeakSet[asyncio.Task[Any]] = WeakSet()
"""Tasks whose clients left. What a task is cancelled with does not say it: of two in one turn the first one counts."""
CLIENT_CLOSED = 499
"""The status a row gets when its client left; nobody ever receives it."""
DEADLINE_PASSED = "the request's deadline passed"
SLOW_AFTER_S = 0.1
"""For how long in all a client may be waited for. What a vendor writes meanwhile stands unread in buffers: at 300
tokens a second no more than `bills.UNSEEN_TOKENS`, which are counted as on their way."""
LEAST_WAIT_S = 0.01
"""Less is no waiting: a frame that the socket takes at once needs as much on a busy machine."""


def leave(task: asyncio.Task[Any]) -> None:
    """The client that `task` answers has left. Any other cancelling of it is ours, as when the server stops."""
    _left.add(task)
    task.cancel()


def has_left() -> bool:
    """Whether the client that the current task answers has left."""
    return asyncio.current_task() in _left


def how_cancelled() -> tuple[Outcome, int]:
    """What a request ends as whose task was cancelled: its client left, or the gateway stops."""
    return (Outcome.CANCELLED, CLIENT_CLOSED) if has_left() else (Outcome.INTERRUPTED, 503)


class Streaming:
    """A streamed answer under way. Iterate it to its end or close it: either settles the request."""

    def __init__(self, entry: Entry, *, upstream: OpenStream, candidate: Candidate) -> None:
        self.decision = entry.decision
        self.candidate = candidate
        self.attempts = len(entry.trail)
        self.quotas = entry.lease.quotas
        self.warnings = upstream.warnings
        self.bill: Bill | None = None
        """Known once the last frame is out."""
        self.error: ProviderError | None = None
        """Set when the stream broke after content."""
        self._was_cancelled = False
        self._given_at = monotonic()
        """When the client was given what it has not taken yet, its headers first; `inf` while it waits for us."""
        self._waited_s = 0.0
        """For the client, in all."""
        self._entry = entry
        self._upstream = upstream

    @property
    def is_capped(self) -> bool:
        """Whether it ended at a length that its budget had left for it."""
        return self._entry.is_capped

    @property
    def is_ending(self) -> bool:
        """Whether the provider has said that no frame comes after the last one given."""
        return self._upstream.is_ending

    @property
    def left_s(self) -> float:
        """Until the request's deadline: below 0 when it has passed."""
        return self._entry.clock.left_s()

    async def frames(self) -> AsyncIterator[bytes]:
        """The frames to relay, without the closing `[DONE]`; ends early, with `error` set, when the stream breaks."""
        try:
            while (frames := await self._next()) is not None:
                self._given_at = monotonic()
                yield frames
        except ProviderError as error:
            if self._upstream.reader.finish_reason and error.kind in LACKS_ONLY_ITS_END:
                self._upstream.reader.is_done = True
            else:
                self.error = error
        except Exception as error:
            logger.exception("A stream broke in the gateway itself")
            self.error = ProviderError(FailureKind.BROKEN_STREAM, f"the gateway failed ({type(error).__name__})")
        except asyncio.CancelledError:
            self._was_cancelled = True
            raise
        finally:
            self.close()

    async def _next(self) -> bytes | None:
        between_s = self.candidate.model.provider.timeouts.between_frames_s
        clock, now = self._entry.clock, monotonic()
        self._taken(now)
        patience_s = min(clock.started + clock.deadline_s - now, between_s)
        if patience_s <= 0:  # what is here already would not be waited for, however slowly the client takes it
            raise ProviderError(FailureKind.TIMEOUT, DEADLINE_PASSED)
        try:
            with within(patience_s):
                return await anext(self._upstream, None)
        except TimeoutError:
            why = f"nothing came for {between_s:g} s" if patience_s == between_s else DEADLINE_PASSED
            raise ProviderError(FailureKind.TIMEOUT, why) from None

    def _taken(self, now: float) -> None:
        """The client took what it was given."""
        waited_s, self._given_at = now - self._given_at, inf
        if waited_s > LEAST_WAIT_S:
            self._waited_s += waited_s

    def _has_unseen(self) -> bool:
        """Whether the provider may write more than was read of it: it was left or cut before it had ended, and its
        client was waited for, or the provider goes on."""
        reader = self._upstream.reader
        has_ended = reader.finish_reason and (reader.is_done or self._entry.decision.need.answers == 1)
        stops = self.candidate.model.provider.stops_when_left and self._waited_s <= SLOW_AFTER_S
        return not has_ended and not stops

    def close(self, *, was_cancelled: bool = False) -> None:
        """Cuts the upstream and settles by what was used until now. Never waits; harmless when all is done.

        `was_cancelled` says it where `frames` did not see it: while a frame was being sent.
        """
        self._was_cancelled = self._was_cancelled or was_cancelled
        self._upstream.close()
        if self._entry.is_settled:
            return
        self._taken(monotonic())
        reader = self._upstream.reader
        self._entry.ended(reader.finish_reason, usage=reader.usage if reader.is_done else None)
        self.bill = self._entry.bill(reader.usage, content_chars=reader.content_chars, has_unseen=self._has_unseen())
        kind, message = (self.error.kind.value, self.error.message) if self.error else ("", "")
        if self.error is not None:
            outcome, status = Outcome.ERROR, 200
        elif reader.finish_reason and reader.is_done:
            outcome, status = Outcome.OK, 200
        elif self.left_s <= 0 and not has_left():
            outcome, status = Outcome.CANCELLED, CLIENT_CLOSED
            kind, message = "deadline", f"{DEADLINE_PASSED} while the client did not read"
        elif self._was_cancelled:
            outcome, status = how_cancelled()
        else:
            outcome, status = Outcome.CANCELLED, CLIENT_CLOSED
        self._entry.settle(
            outcome,
            status=status,
            bill=self.bill,
            finish_reason=reader.finish_reason,
            error_kind=kind,
            error_message=message,
        )
