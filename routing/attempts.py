"""Walks a plan: tries its models in order, within one deadline and one number of attempts, until one answers.

What a failure means for the next step stands in one table. Each attempt leaves a step in the trail. Deciding which
models are tried is `routing.plan`'s, calling one of them `providers.chat`'s.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from analytics.types import storable
from providers.deadlines import within
from providers.types import FailureCause, FailureKind, ProviderError
from routing.types import Candidate

T = TypeVar("T")

BACKOFF_S = 0.2
"""Mean pause before the same model is tried again; jittered from half to one and a half of it."""


@dataclass(frozen=True, slots=True)
class Consequence:
    """What a failure means for the next step. A rate limit is waited for only where no other model is left."""

    same_again: bool
    next_model: bool


CONSEQUENCES = {
    FailureKind.UNREACHABLE: Consequence(same_again=True, next_model=True),
    FailureKind.TIMEOUT: Consequence(same_again=True, next_model=True),
    FailureKind.SERVER_ERROR: Consequence(same_again=True, next_model=True),
    FailureKind.BAD_ANSWER: Consequence(same_again=True, next_model=True),
    FailureKind.RATE_LIMITED: Consequence(same_again=False, next_model=True),
    FailureKind.CREDENTIALS: Consequence(same_again=False, next_model=True),
    FailureKind.NOT_FOUND: Consequence(same_again=False, next_model=True),
    FailureKind.CONTEXT_TOO_LONG: Consequence(same_again=False, next_model=True),
    FailureKind.UNSUPPORTED: Consequence(same_again=False, next_model=True),
    FailureKind.REJECTED: Consequence(same_again=False, next_model=False),
    FailureKind.BROKEN_STREAM: Consequence(same_again=False, next_model=False),
}


SETTLED = frozenset(
    {
        FailureCause.PRIVATE_ADDRESS,
        FailureCause.METADATA_ADDRESS,
        FailureCause.UNUSABLE_ADDRESS,
        FailureCause.UNUSABLE_CREDENTIAL,
    }
)
"""Nobody was called: the same model again would fail the same way until a row or the environment changes."""

CLIENT_STATUS = {
    FailureKind.RATE_LIMITED: 429,
    FailureKind.CONTEXT_TOO_LONG: 400,
    FailureKind.UNSUPPORTED: 400,
    FailureKind.TIMEOUT: 504,
}
"""What a client gets when this was the last failure; a rejection keeps its own status, all else is 502."""


class Step(msgspec.Struct, frozen=True):
    """What one attempt did."""

    provider: str
    model: str
    layer: str
    outcome: str
    """`ok`, or the kind of failure."""
    status: int | None
    message: str
    started_ms: float
    """Since the request's start."""
    duration_ms: float


@dataclass(slots=True)
class Clock:
    """The wall clock of one request: one deadline over everything it does."""

    deadline_s: float
    started: float = field(default_factory=time.monotonic)

    def elapsed_ms(self) -> float:
        return (time.monotonic() - self.started) * 1000

    def left_s(self) -> float:
        return self.started + self.deadline_s - time.monotonic()


class AttemptsError(Exception):
    """No model answered. `error` is the last failure; `is_deadline` when time ran out rather than models."""

    def __init__(self, error: ProviderError | None, *, candidate: Candidate | None, is_deadline: bool) -> None:
        super().__init__(error.message if error else "the deadline passed before any attempt")
        self.error = error
        self.candidate = candidate
        self.is_deadline = is_deadline

    @property
    def client_status(self) -> int:
        """What the client gets when this is the end."""
        if self.error is None or self.is_deadline:
            return 504
        if self.error.kind is FailureKind.REJECTED:
            return self.error.status or 400
        return CLIENT_STATUS.get(self.error.kind, 502)

    @property
    def candidate_name(self) -> str:
        return self.candidate.model.qualified_name if self.candidate else "none"


class NotAfforded(Exception):
    """Raised by `before`: this model is passed over, another may be cheaper."""


class Answered(msgspec.Struct, Generic[T], frozen=True):
    candidate: Candidate
    answer: T


async def walk(
    candidates: tuple[Candidate, ...],
    *,
    call: Callable[[Candidate], Awaitable[T]],
    clock: Clock,
    max_attempts: int,
    trail: list[Step],
    before: Callable[[Candidate], Awaitable[None]],
) -> Answered[T]:
    """The first answer. `before` is told of each attempt just before it starts and may stop the walk by raising;
    `trail` grows by one step an attempt, whatever becomes of it.

    Raises: AttemptsError, NotAfforded when no model was called and the last was passed over, and whatever else `before`
    raises.
    """
    error: ProviderError | None = None
    passed: NotAfforded | None = None
    last: Candidate | None = None  # whose failure `error` is
    for candidate in candidates:
        if error is not None and not _may_take_over(candidate, error=error, failed=last):
            continue
        for is_again in (False, True):
            if _calls(trail) >= max_attempts or clock.left_s() <= 0:
                break
            try:
                await before(candidate)
            except NotAfforded as refusal:
                passed = refusal
                break
            try:
                return Answered(candidate, await _attempt(candidate, call=call, clock=clock, trail=trail))
            except ProviderError as failure:
                if error is not None and failure.kind is FailureKind.UNSUPPORTED:
                    break  # what a model said that was called tells more
                error, last = failure, candidate
            pause_s = None if is_again else _pause_s(error, is_last=candidate is candidates[-1])
            if pause_s is None or pause_s >= clock.left_s() or _calls(trail) >= max_attempts:
                break
            await asyncio.sleep(pause_s)
        if error is not None and not CONSEQUENCES[error.kind].next_model:
            break
    if error is None and passed is not None and not trail:
        raise passed
    raise AttemptsError(error, candidate=last, is_deadline=clock.left_s() <= 0)


def _calls(trail: list[Step]) -> int:
    """Attempts that may have cost something: one whose dialect cannot say the request called nobody."""
    return sum(step.outcome != FailureKind.UNSUPPORTED for step in trail)


def _pause_s(error: ProviderError, *, is_last: bool) -> float | None:
    """How long to wait before the same model is tried again, in seconds; None when it is not."""
    if error.kind is FailureKind.RATE_LIMITED:
        return error.retry_after_s if is_last else None
    if not CONSEQUENCES[error.kind].same_again or error.cause in SETTLED:
        return None
    return BACKOFF_S * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret


async def _attempt(
    candidate: Candidate, *, call: Callable[[Candidate], Awaitable[T]], clock: Clock, trail: list[Step]
) -> T:
    started_ms = clock.elapsed_ms()
    outcome, status, message = "cancelled", None, ""
    try:
        with within(min(clock.left_s(), _patience_s(candidate))):
            answer = await call(candidate)
        outcome, status = "ok", 200
        return answer
    except TimeoutError:
        outcome, message = FailureKind.TIMEOUT.value, "did not answer in time"
        raise ProviderError(FailureKind.TIMEOUT, message) from None
    except ProviderError as error:
        outcome, status, message = error.kind.value, error.status, error.message
        raise
    finally:
        trail.append(
            Step(
                candidate.model.provider.slug,
                candidate.model.name,
                candidate.layer,
                outcome,
                status,
                storable(message, most=500),
                round(started_ms, 3),
                round(clock.elapsed_ms() - started_ms, 3),
            )
        )


def _patience_s(candidate: Candidate) -> float:
    timeouts = candidate.model.provider.timeouts
    return timeouts.connect_s + timeouts.headers_s + timeouts.first_content_s


def _may_take_over(candidate: Candidate, *, error: ProviderError, failed: Candidate | None) -> bool:
    """After «context too long» only a model with a larger window is worth a try."""
    if error.kind is not FailureKind.CONTEXT_TOO_LONG or failed is None:
        return True
    mine, theirs = candidate.model.context_tokens, failed.model.context_tokens
    return mine is not None and theirs is not None and mine > theirs
