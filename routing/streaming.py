"""A streamed answer under way: relays its frames, knows how it ends, and settles the request then."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from math import inf
from time import monotonic
from typing import Any
from weakref import WeakSet

import msgspec

from analytics.models import Outcome
from analytics.types import storable
from providers.chat import OpenStream
from providers.deadlines import within
from providers.types import FailureKind, ProviderError
from routing import afterwards, counting
from routing.bills import Bill
from routing.counting import Counted
from routing.entry import Entry
from routing.trails import Step
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


class _Tally:
    count = 0


malformed_events = _Tally()
"""Events that could not be read and were left out, in all streams of this process."""


class _Ending(msgspec.Struct, frozen=True):
    """How a stream ended for its client."""

    outcome: Outcome
    status: int
    duration_ms: float
    error_kind: str = ""
    error_message: str = ""


class Streaming:
    """A streamed answer under way. Iterate it to its end or close it: either settles the request.

    `drains`: what its client leaves is read to its end.
    """

    def __init__(self, entry: Entry, *, upstream: OpenStream, candidate: Candidate, drains: bool = False) -> None:
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
        self._drains = drains
        self._ending: _Ending | None = None
        """Set when it is over for its client."""
        self._counting: asyncio.Task[None] | None = None
        self._counted: Counted | None = None

    @property
    def trail(self) -> Sequence[Step]:
        """What its attempts did; the last one's end once the last frame is out."""
        return self._entry.trail

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

    @property
    def is_cut(self) -> bool:
        """Whether a limit ended the answer."""
        return self._upstream.reader.finish_reason == "length"

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
                if error.kind is not FailureKind.TIMEOUT or self.left_s > 0:  # else it was the request that ran out
                    self._entry.watching.broke(self.candidate, error)
        except Exception as error:
            logger.exception("A stream broke in the gateway itself")
            self.error = ProviderError(FailureKind.BROKEN_STREAM, f"the gateway failed ({type(error).__name__})")
        except asyncio.CancelledError:
            self._was_cancelled = True
            raise
        finally:
            self.close()
        if self._counting is not None:  # its client waits for the cost
            await asyncio.shield(self._counting)

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
        """Ends the stream and has it settled by what was used. Never waits; harmless when all is done. Where the policy
        says so, what a client left is read to its end; what its provider did not tell is counted: both go on when this
        returns, and the request is settled then.

        `was_cancelled` says it where `frames` did not see it: while a frame was being sent.
        """
        self._was_cancelled = self._was_cancelled or was_cancelled
        if self._ending is not None:
            return
        self._taken(monotonic())
        self._ending = self._ended()
        if self._drains and self._ending.outcome is Outcome.CANCELLED and has_left() and self.left_s > 0:
            afterwards.start(self._drain(), then=self._settle, is_cut=True)
            return
        self._end_call()
        if self._is_to_be_counted():
            self._counting = afterwards.start(self._count(), then=self._settle)
        else:
            self._settle()

    async def _drain(self) -> None:
        """Reads what is left of a stream without a client, within its deadlines, for the usage at its end."""
        # A provider that breaks off, and the gateway's own stop, end it early.
        with contextlib.suppress(ProviderError, asyncio.CancelledError):
            while await self._next() is not None:
                pass
        self._end_call()
        if self._is_to_be_counted():
            await self._count()

    def _end_call(self) -> None:
        self._upstream.close()
        self._entry.call_ended()

    def _is_to_be_counted(self) -> bool:
        reader = self._upstream.reader
        return counting.is_wanted(reader.usage) and reader.said.chars > 0

    async def _count(self) -> None:
        reader = self._upstream.reader
        self._counted = await counting.count(self._entry.request, said=reader.said.text, usage=reader.usage)

    def _ended(self) -> _Ending:
        reader = self._upstream.reader
        duration_ms = self._entry.clock.elapsed_ms()
        if self.error is not None:
            return _Ending(Outcome.ERROR, 200, duration_ms, self.error.kind.value, self.error.message)
        if reader.finish_reason and reader.is_done:
            return _Ending(Outcome.OK, 200, duration_ms)
        if self.left_s <= 0 and not has_left():
            message = f"{DEADLINE_PASSED} while the client did not read"
            return _Ending(Outcome.CANCELLED, CLIENT_CLOSED, duration_ms, "deadline", message)
        outcome, status = how_cancelled() if self._was_cancelled else (Outcome.CANCELLED, CLIENT_CLOSED)
        return _Ending(outcome, status, duration_ms)

    def _note_in_trail(self, ending: _Ending, *, malformed: int) -> None:
        """What became of the attempt after its first content."""
        step = self._entry.trail[-1]
        if ending.outcome is Outcome.ERROR:
            told = storable(ending.error_message, most=500)
            step = msgspec.structs.replace(step, outcome=ending.error_kind, message=told)
        if malformed:
            malformed_events.count += malformed
            step = msgspec.structs.replace(step, malformed=malformed)
        self._entry.trail[-1] = step

    def _settle(self) -> None:
        ending, reader = self._ending, self._upstream.reader
        if ending is None or self._entry.is_settled:
            return
        self._end_call()  # of a drain that was cut before it began
        self._note_in_trail(ending, malformed=reader.malformed)
        self._entry.ended(reader.finish_reason, usage=reader.usage if reader.is_done else None)
        self._entry.said = reader.said
        self.bill = self._entry.bill(
            reader.usage, content_chars=reader.said.chars, counted=self._counted, has_unseen=self._has_unseen()
        )
        self._entry.settle(
            ending.outcome,
            status=ending.status,
            bill=self.bill,
            finish_reason=reader.finish_reason,
            error_kind=ending.error_kind,
            error_message=ending.error_message,
            duration_ms=ending.duration_ms,
        )
