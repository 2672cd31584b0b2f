"""A chat completion: the use case. Decide, try, answer, settle; the only place that knows this order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakSet

import msgspec

from analytics.models import Outcome
from analytics.spool import Spool, SpoolError
from analytics.types import Caller
from providers import chat as provider_chat
from providers.chat import OpenStream
from providers.deadlines import within
from providers.types import Answer, ChatRequest, FailureKind, ProviderError
from routing import attempts, decision
from routing.attempts import Answered, AttemptsError, Clock, Step
from routing.decision import Decision
from routing.entry import Bill, Entry
from routing.types import Candidate, DropReason, Snapshot, Wishes

T = TypeVar("T")

logger = logging.getLogger(__name__)

LACKS_ONLY_ITS_END = {FailureKind.UNREACHABLE, FailureKind.TIMEOUT}
"""After a finish reason: the connection broke or fell silent before `[DONE]`, which is not an error."""

_left: WeakSet[asyncio.Task[Any]] = WeakSet()
"""Tasks whose clients left. What a task is cancelled with does not say it: of two in one turn the first one counts."""
CLIENT_CLOSED = 499
"""The status a row gets when its client left; nobody ever receives it."""


def leave(task: asyncio.Task[Any]) -> None:
    """The client that `task` answers has left. Any other cancelling of it is ours, as when the server stops."""
    _left.add(task)
    task.cancel()


def has_left() -> bool:
    """Whether the client that the current task answers has left."""
    return asyncio.current_task() in _left


class ChatError(Exception):
    """Root of what keeps a planned request from being answered. `status` is the HTTP status it amounts to.

    ChatError
    ├── NothingToTry    the plan is empty; carries it, with the reason of every dropped model
    ├── NobodyAnswered  every attempt failed; carries the trail and the last failure
    └── NotRecordable   the spool cannot be written, so no upstream was called
    """

    def __init__(self, message: str, *, made: Decision, status: int) -> None:
        super().__init__(message)
        self.decision = made
        self.status = status


class NothingToTry(ChatError):
    def __init__(self, made: Decision) -> None:
        reasons = {dropped.reason for dropped in made.plan.dropped} - ENTERED_ELSEWHERE
        words = "; ".join(sorted(reason.value for reason in reasons)) or "none is set up"
        super().__init__(f"No model can be tried: {words}.", made=made, status=_status_of(reasons))


class NotRecordable(ChatError):
    def __init__(self, made: Decision) -> None:
        super().__init__("Usage cannot be recorded, so no model was called.", made=made, status=503)


class NobodyAnswered(ChatError):
    def __init__(self, made: Decision, *, trail: tuple[Step, ...], failure: AttemptsError) -> None:
        super().__init__(
            f"No model answered. {failure.candidate_name}: {failure}.", made=made, status=failure.client_status
        )
        self.trail = trail
        self.error = failure.error
        self.candidate = failure.candidate
        self.is_deadline = failure.is_deadline


ENTERED_ELSEWHERE = {DropReason.BELOW_ENTRY, DropReason.OUTSIDE_FENCE}
"""Reasons that say where a request entered, not what is wrong with it."""
OPERATORS = {DropReason.NO_CREDENTIAL, DropReason.PRICE_UNKNOWN}
"""Reasons that only the operator can mend. They say nothing about the request when another model is set up."""
_FORBIDDEN = {DropReason.LAYER_NOT_ALLOWED, DropReason.MODEL_NOT_ALLOWED}


def _status_of(reasons: set[DropReason]) -> int:
    """403, 402 or 400 where the caller can mend it; 503 where only the operator can."""
    callers = reasons - OPERATORS
    if not callers:
        return 503
    if callers <= _FORBIDDEN:
        return 403
    return 402 if callers <= _FORBIDDEN | {DropReason.TOO_DEAR} else 400


class Completed(msgspec.Struct, frozen=True):
    """A whole answer, settled."""

    decision: Decision
    candidate: Candidate
    answer: Answer
    bill: Bill
    attempts: int


async def complete(
    request: ChatRequest, *, wishes: Wishes, caller: Caller, snapshot: Snapshot, request_id: UUID, spool: Spool
) -> Completed:
    """Answers a request as a whole.

    Raises: NeedError, DecisionError, ChatError.
    """
    entry = _begin(request, wishes=wishes, caller=caller, snapshot=snapshot, request_id=request_id, spool=spool)
    answered = await _walk(entry, snapshot=snapshot, call=_completing(request))
    answer = answered.answer
    entry.first_token_ms = entry.clock.elapsed_ms()
    bill = entry.bill(answer.usage, content_chars=len(answer.body))
    entry.settle(Outcome.OK, status=200, bill=bill, finish_reason=answer.finish_reason)
    return Completed(entry.decision, answered.candidate, answer, bill, len(entry.trail))


async def stream(
    request: ChatRequest, *, wishes: Wishes, caller: Caller, snapshot: Snapshot, request_id: UUID, spool: Spool
) -> Streaming:
    """Starts a streamed answer; returns when its first content is here, until when another model may take over.

    Raises: NeedError, DecisionError, ChatError.
    """
    entry = _begin(request, wishes=wishes, caller=caller, snapshot=snapshot, request_id=request_id, spool=spool)
    answered = await _walk(entry, snapshot=snapshot, call=_streaming(request))
    entry.first_token_ms = entry.clock.elapsed_ms()
    return Streaming(entry, upstream=answered.answer, candidate=answered.candidate)


class Streaming:
    """A streamed answer under way. Iterate it to its end or close it: either settles the request."""

    def __init__(self, entry: Entry, *, upstream: OpenStream, candidate: Candidate) -> None:
        self.decision = entry.decision
        self.candidate = candidate
        self.attempts = len(entry.trail)
        self.warnings = upstream.warnings
        self.bill: Bill | None = None
        """Known once the last frame is out."""
        self.error: ProviderError | None = None
        """Set when the stream broke after content."""
        self._was_cancelled = False
        self._entry = entry
        self._upstream = upstream

    @property
    def is_ending(self) -> bool:
        """Whether the provider has said that no frame comes after the last one given."""
        return self._upstream.is_ending

    async def frames(self) -> AsyncIterator[bytes]:
        """The frames to relay, without the closing `[DONE]`; ends early, with `error` set, when the stream breaks."""
        try:
            while (frames := await self._next()) is not None:
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
        patience_s = min(self._entry.clock.left_s(), between_s)
        try:
            with within(patience_s):
                return await anext(self._upstream, None)
        except TimeoutError:
            why = f"nothing came for {between_s:g} s" if patience_s == between_s else "the request's deadline passed"
            raise ProviderError(FailureKind.TIMEOUT, why) from None

    def close(self, *, was_cancelled: bool = False) -> None:
        """Cuts the upstream and settles by what was used until now. Never waits; harmless when all is done.

        `was_cancelled` says it where `frames` did not see it: while a frame was being sent.
        """
        self._was_cancelled = self._was_cancelled or was_cancelled
        self._upstream.close()
        if self._entry.is_settled:
            return
        reader = self._upstream.reader
        self.bill = self._entry.bill(reader.usage, content_chars=reader.content_chars)
        if self.error is not None:
            outcome, status = Outcome.ERROR, 200
        elif reader.finish_reason and reader.is_done:
            outcome, status = Outcome.OK, 200
        elif self._was_cancelled:
            outcome, status = _how_cancelled()
        else:
            outcome, status = Outcome.CANCELLED, CLIENT_CLOSED
        self._entry.settle(
            outcome,
            status=status,
            bill=self.bill,
            finish_reason=reader.finish_reason,
            error_kind=self.error.kind.value if self.error else "",
            error_message=self.error.message if self.error else "",
        )


def _begin(
    request: ChatRequest, *, wishes: Wishes, caller: Caller, snapshot: Snapshot, request_id: UUID, spool: Spool
) -> Entry:
    made = decision.make(request, wishes=wishes, caller=caller, snapshot=snapshot, request_id=request_id)
    deadline_s = min(snapshot.policy.deadline_s, wishes.timeout_s or snapshot.policy.deadline_s)
    entry = Entry(caller, request, made, spool, Clock(deadline_s))
    if not made.plan.attempts:
        nothing = NothingToTry(made)
        entry.settle(Outcome.ERROR, status=nothing.status, error_kind="nothing_to_try", error_message=str(nothing))
        raise nothing
    return entry


async def _walk(entry: Entry, *, snapshot: Snapshot, call: Callable[[Candidate], Awaitable[T]]) -> Answered[T]:
    """Walks the plan and settles the request when nobody answers or nobody waits any more."""
    try:
        return await attempts.walk(
            entry.decision.plan.attempts,
            call=_noting(entry, call),
            clock=entry.clock,
            max_attempts=snapshot.policy.max_attempts,
            trail=entry.trail,
            before=entry.opened,
        )
    except AttemptsError as failure:
        kind = failure.error.kind.value if failure.error else "deadline"
        bill = entry.bill_without_answer()
        entry.settle(
            Outcome.ERROR, status=failure.client_status, bill=bill, error_kind=kind, error_message=str(failure)
        )
        raise NobodyAnswered(entry.decision, trail=tuple(entry.trail), failure=failure) from failure
    except SpoolError as error:
        entry.settle(Outcome.ERROR, status=503, error_kind="spool", error_message=str(error))
        raise NotRecordable(entry.decision) from error
    except Exception as error:
        bill = entry.bill_without_answer()
        entry.settle(Outcome.ERROR, status=500, bill=bill, error_kind="internal", error_message=type(error).__name__)
        raise
    except asyncio.CancelledError:
        outcome, status = _how_cancelled()
        entry.settle(outcome, status=status, bill=entry.bill_without_answer())
        raise


def _how_cancelled() -> tuple[Outcome, int]:
    return (Outcome.CANCELLED, CLIENT_CLOSED) if has_left() else (Outcome.INTERRUPTED, 503)


def _noting(entry: Entry, call: Callable[[Candidate], Awaitable[T]]) -> Callable[[Candidate], Awaitable[T]]:
    """`call`, whose failures are billed where the provider told what it had used."""

    async def noted(candidate: Candidate) -> T:
        try:
            return await call(candidate)
        except ProviderError as error:
            if error.usage is not None:
                entry.failed(error.usage)
            raise

    return noted


def _completing(request: ChatRequest) -> Callable[[Candidate], Awaitable[Answer]]:
    return lambda candidate: provider_chat.complete(request, model=candidate.model)


def _streaming(request: ChatRequest) -> Callable[[Candidate], Awaitable[OpenStream]]:
    return lambda candidate: provider_chat.stream(request, model=candidate.model)
