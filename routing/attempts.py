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
from typing import Generic, Protocol, TypeVar

import msgspec

from providers.deadlines import within
from providers.types import FailureKind, ProviderError
from routing import trails
from routing.circuit import SETTLED
from routing.trails import Step
from routing.types import Candidate

T = TypeVar("T")

BACKOFF_S = 0.2
"""Mean pause before the same model is tried again; jittered from half to one and a half of it."""
WAIT_SPREAD = 0.1
"""How much longer than asked for is waited at most, as a share, by chance: many are told the same at once."""
LEAST_LEFT_S = 0.01
"""With less than this no attempt begins: the timer that ended the last one may have fired a little early."""


@dataclass(frozen=True, slots=True)
class Consequence:
    """What a failure means for the next step. A rate limit is waited for only where no other model is left: then each
    model that asked to wait is tried once more, if its wait is over before the deadline."""

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
    FailureKind.OVERLOADED: Consequence(same_again=False, next_model=True),
    FailureKind.REJECTED: Consequence(same_again=False, next_model=False),
    FailureKind.BROKEN_STREAM: Consequence(same_again=False, next_model=False),
}


CLIENT_STATUS = {
    FailureKind.RATE_LIMITED: 429,
    FailureKind.CONTEXT_TOO_LONG: 400,
    FailureKind.UNSUPPORTED: 400,
    FailureKind.TIMEOUT: 504,
    FailureKind.OVERLOADED: 503,
}
"""What a client gets when this was the last failure; a rejection keeps its own status, all else is 502."""
WAITS = frozenset({FailureKind.RATE_LIMITED, FailureKind.SERVER_ERROR})
"""Failures whose model is asked again where it says when, and no other is left."""
WAITED_FOR = frozenset({FailureKind.RATE_LIMITED, FailureKind.OVERLOADED})
"""Failures that say when to ask again, even when the deadline has passed by then."""


@dataclass(slots=True)
class Clock:
    """The wall clock of one request: one deadline over everything it does, its waits included."""

    deadline_s: float
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.now()

    def elapsed_ms(self) -> float:
        return (self.now() - self.started) * 1000

    def left_s(self) -> float:
        return self.started + self.deadline_s - self.now()


class AttemptsError(Exception):
    """No model answered. `error` is the last failure; `is_deadline` when time ran out rather than models. Where the
    last one was rate limited, `retry_after_s` is the shortest wait of all that asked for one, from now on."""

    def __init__(
        self,
        error: ProviderError | None,
        *,
        candidate: Candidate | None,
        is_deadline: bool,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(error.message if error else "the deadline passed before any attempt")
        self.error = error
        self.candidate = candidate
        self.is_deadline = is_deadline
        self.retry_after_s = retry_after_s

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


class PassedOver(Exception):
    """Raised by `before`: this model is not called now.

    PassedOver
    └── NotAfforded     another may be cheaper
    """


class NotAfforded(PassedOver): ...


class Watch(Protocol):
    """Hears how each attempt ended, for its model's health."""

    def answered(self, candidate: Candidate) -> None: ...

    def failed(self, candidate: Candidate, error: ProviderError) -> None: ...

    def left(self, candidate: Candidate) -> None:
        """It was cut by who asked, or by the request's own deadline: nobody knows how it would have ended."""

    def may_repeat(self, candidate: Candidate) -> bool:
        """Whether it may be called a second time, after a failure that may pass."""


class _Nobody:
    def answered(self, candidate: Candidate) -> None: ...

    def failed(self, candidate: Candidate, error: ProviderError) -> None: ...

    def left(self, candidate: Candidate) -> None: ...

    def may_repeat(self, candidate: Candidate) -> bool:
        return True


UNWATCHED: Watch = _Nobody()


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
    enter: Callable[[Candidate], Awaitable[float]] | None = None,
    watch: Watch = UNWATCHED,
) -> Answered[T]:
    """The first answer. `before` is told of each attempt just before it starts and may stop the walk by raising;
    `watch` hears how it ended, and `trail` grows by one step, whatever becomes of it. `enter` waits for a place at the
    candidate's provider, before `before` is told; it is asked only where the provider's row sets a limit.

    Raises: AttemptsError, PassedOver when no model was called and the last was passed over, and whatever else `before`
    raises.
    """
    walking = _Walk(call, clock, max_attempts, trail, before, enter, watch)
    answered = await walking.through(candidates)
    if answered is None:
        answered = await walking.again(candidates)
    if answered is None:
        raise walking.failure()
    return answered


@dataclass(slots=True)
class _Walk(Generic[T]):
    """One walk under way, and what the models tried so far have said."""

    call: Callable[[Candidate], Awaitable[T]]
    clock: Clock
    max_attempts: int
    trail: list[Step]
    before: Callable[[Candidate], Awaitable[None]]
    enter: Callable[[Candidate], Awaitable[float]] | None
    watch: Watch
    error: ProviderError | None = None
    failed: Candidate | None = None
    """Whose failure `error` is."""
    passed: PassedOver | None = None
    too_long_for: Candidate | None = None
    """The largest window that the request did not fit."""
    waits: dict[int, float] = field(default_factory=dict)
    """When the wait is over that a model asked for, by its id; on the walk's clock."""

    async def through(self, candidates: tuple[Candidate, ...]) -> Answered[T] | None:
        """Each of them once, and once more where its failure may pass."""
        for candidate in candidates:
            if (answered := await self._try(candidate)) is not None or not self._may_go_on():
                return answered
        return None

    async def again(self, candidates: tuple[Candidate, ...]) -> Answered[T] | None:
        """No other model is left: each that asked to wait once more when its wait is over, the shortest wait first."""
        waiting = [candidate for candidate in candidates if candidate.model.id in self.waits]
        while waiting and self._may_go_on():
            candidate = min(waiting, key=lambda one: self.waits[one.model.id])
            waiting.remove(candidate)  # what it asks for now is the client's to wait for
            if not self._may_take_over(candidate):
                continue
            wait_s = max(0.0, self.waits[candidate.model.id] - self.clock.now())
            longer_s = random.uniform(1.0, 1.0 + WAIT_SPREAD) * wait_s  # noqa: S311 - jitter, not a secret
            if not await self._paused(longer_s if longer_s < self.clock.left_s() else wait_s):
                return None
            if (answered := await self._try(candidate)) is not None:
                return answered
        return None

    def failure(self) -> Exception:
        """What the walk without an answer ends with."""
        if self.error is None and self.passed is not None and not self.trail:
            return self.passed
        waits_s = [max(0.0, over_at - self.clock.now()) for over_at in self.waits.values()]
        kind = self.error.kind if self.error is not None else None
        retry_after_s = self.error.retry_after_s if self.error is not None else None
        return AttemptsError(
            self.error,
            candidate=self.failed,
            is_deadline=self.clock.left_s() <= LEAST_LEFT_S and kind not in WAITED_FOR,
            retry_after_s=min(waits_s, default=None) if kind is FailureKind.RATE_LIMITED else retry_after_s,
        )

    def _may_go_on(self) -> bool:
        return self.error is None or CONSEQUENCES[self.error.kind].next_model

    def _may_attempt(self) -> bool:
        return trails.calls(self.trail) < self.max_attempts and self.clock.left_s() > LEAST_LEFT_S

    async def _try(self, candidate: Candidate) -> Answered[T] | None:
        if not self._may_take_over(candidate):
            return None
        for is_again in (False, True):
            if not self._may_attempt():
                return None
            try:
                return Answered(candidate, await self._attempt(candidate))
            except PassedOver as refusal:
                self.passed = refusal
                return None
            except ProviderError as error:
                self._note(error, candidate=candidate)
                may_repeat = not is_again and _may_pass(error) and self.watch.may_repeat(candidate)
                if not may_repeat or not await self._paused(_backoff_s()):
                    return None
        return None

    async def _attempt(self, candidate: Candidate) -> T:
        """Raises: ProviderError, PassedOver."""
        waited_ms = 0.0
        if self.enter is not None and candidate.model.provider.max_concurrent is not None:
            waited_ms = await _entered(candidate, enter=self.enter, clock=self.clock, trail=self.trail)
        await self.before(candidate)
        return await _attempt(
            candidate, call=self.call, clock=self.clock, trail=self.trail, waited_ms=waited_ms, watch=self.watch
        )

    def _note(self, error: ProviderError, *, candidate: Candidate) -> None:
        self.waits.pop(candidate.model.id, None)  # it was waited for: the next one holds, if it asks for one
        if self.error is not None and error.kind is FailureKind.UNSUPPORTED:
            return  # what a model said that was called tells more
        self.error, self.failed = error, candidate
        if error.kind is FailureKind.CONTEXT_TOO_LONG:
            self.too_long_for = candidate
        if error.kind in WAITS and error.retry_after_s is not None:
            self.waits[candidate.model.id] = self.clock.now() + error.retry_after_s

    async def _paused(self, pause_s: float) -> bool:
        """Waits, where another attempt is allowed and may begin before the deadline then."""
        if not self._may_attempt() or pause_s >= self.clock.left_s():
            return False
        await self.clock.sleep(max(0.0, pause_s))
        return True

    def _may_take_over(self, candidate: Candidate) -> bool:
        """After «context too long» only a model with a larger window is worth a try."""
        if self.too_long_for is None:
            return True
        mine, theirs = candidate.model.context_tokens, self.too_long_for.model.context_tokens
        return mine is not None and theirs is not None and mine > theirs


def _may_pass(error: ProviderError) -> bool:
    """Whether the same model may do better in a moment."""
    is_soon = error.retry_after_s is None or error.retry_after_s <= BACKOFF_S
    return CONSEQUENCES[error.kind].same_again and error.cause not in SETTLED and is_soon


def _backoff_s() -> float:
    return BACKOFF_S * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret


async def _entered(
    candidate: Candidate, *, enter: Callable[[Candidate], Awaitable[float]], clock: Clock, trail: list[Step]
) -> float:
    """How long a place at the provider was waited for, in ms; a wait in vain is a step of its own."""
    started_ms = clock.elapsed_ms()
    try:
        return await enter(candidate)
    except ProviderError as error:
        waited_ms = clock.elapsed_ms() - started_ms
        trail.append(
            trails.step(candidate, error.kind.value, message=error.message, times_ms=(started_ms, waited_ms, waited_ms))
        )
        raise


async def _attempt(
    candidate: Candidate,
    *,
    call: Callable[[Candidate], Awaitable[T]],
    clock: Clock,
    trail: list[Step],
    waited_ms: float,
    watch: Watch,
) -> T:
    started_ms, left_s, patience_s = clock.elapsed_ms(), clock.left_s(), patience_of(candidate)
    outcome, status, message = "cancelled", None, ""
    failure: ProviderError | None = None
    try:
        with within(min(left_s, patience_s)):
            answer = await call(candidate)
        outcome, status = "ok", 200
        watch.answered(candidate)
        return answer
    except TimeoutError:
        outcome, message = FailureKind.TIMEOUT.value, "did not answer in time"
        late = ProviderError(FailureKind.TIMEOUT, message)
        failure = late if left_s >= patience_s else None  # what was in a hurry says nothing of the model
        raise late from None
    except ProviderError as error:
        failure, outcome, status, message = error, error.kind.value, error.status, error.message
        raise
    finally:
        if failure is not None:
            watch.failed(candidate, failure)
        elif outcome != "ok":
            watch.left(candidate)
        times_ms = (started_ms, clock.elapsed_ms() - started_ms, waited_ms)
        trail.append(trails.step(candidate, outcome, status=status, message=message, times_ms=times_ms))


def patience_of(candidate: Candidate) -> float:
    """Seconds that a model is waited for, where the request's deadline leaves them."""
    timeouts = candidate.model.provider.timeouts
    return timeouts.connect_s + timeouts.headers_s + timeouts.first_content_s
