"""A chat completion: the use case. Decide, try, answer, settle; the only place that knows this order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from uuid import UUID

import msgspec

from analytics.budgets import BudgetError, Degrades, Reached
from analytics.limits import Quota
from analytics.models import Outcome
from analytics.spool import SpoolError
from analytics.types import Caller
from providers import chat as provider_chat
from providers.chat import OpenStream
from providers.dialects import said
from providers.types import Answer, ChatRequest, ProviderError
from routing import admission, afterwards, attempts, counting, decision, outstanding
from routing.admission import Asked, Parts
from routing.attempts import Answered, AttemptsError, NotAfforded, PassedOver
from routing.bills import Bill
from routing.counting import Counted
from routing.decision import Decision
from routing.entry import Entry
from routing.streaming import Streaming, how_cancelled
from routing.trails import Step
from routing.types import Candidate, DropReason, Opening, Snapshot, WhenClientLeaves, Wishes

T = TypeVar("T")


class ChatError(Exception):
    """Root of what keeps a planned request from being answered. `status` is the HTTP status it amounts to.

    ChatError
    ├── NothingToTry    the plan is empty; carries it, with the reason of every dropped model
    ├── OverBudget      a budget has no room for any model that could be tried
    ├── MoneyUnknown    nobody knows what budgets have left, so no upstream was called
    ├── NobodyAnswered  every attempt failed; carries the trail and the last failure
    └── NotRecordable   the spool cannot be written, so no upstream was called
    """

    trail: tuple[Step, ...] = ()
    """What the attempts did that were made before."""

    def __init__(self, message: str, *, made: Decision, status: int) -> None:
        super().__init__(message)
        self.decision = made
        self.status = status


class NothingToTry(ChatError):
    def __init__(self, made: Decision) -> None:
        reasons = {dropped.reason for dropped in made.plan.dropped} - ENTERED_ELSEWHERE
        words = "; ".join(sorted(reason.value for reason in reasons)) or "none is set up"
        super().__init__(f"No model can be tried: {words}.", made=made, status=_status_of(reasons))


class OverBudget(ChatError):
    def __init__(self, made: Decision, *, reached: Reached) -> None:
        super().__init__("A budget is reached.", made=made, status=402)
        self.reached = reached


class MoneyUnknown(ChatError):
    def __init__(self, made: Decision) -> None:
        super().__init__(
            "What budgets have left cannot be looked up, so no model was called; try again in a moment.",
            made=made,
            status=503,
        )


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
        self.retry_after_s = failure.retry_after_s


ENTERED_ELSEWHERE = {DropReason.BELOW_ENTRY, DropReason.OUTSIDE_FENCE}
"""Reasons that say where a request entered, not what is wrong with it."""
OPERATORS = {DropReason.NO_CREDENTIAL, DropReason.PRICE_UNKNOWN, DropReason.CIRCUIT_OPEN}
"""Reasons that only the operator can mend. They say nothing about the request when another model is set up."""
_FORBIDDEN = {DropReason.LAYER_NOT_ALLOWED, DropReason.MODEL_NOT_ALLOWED}
_TOO_MUCH = {DropReason.TOO_DEAR, DropReason.OVER_BUDGET, DropReason.DEGRADED}


def _status_of(reasons: set[DropReason]) -> int:
    """403, 402 or 400 where the caller can mend it; 503 where only the operator can."""
    callers = reasons - OPERATORS
    if not callers:
        return 503
    if callers <= _FORBIDDEN:
        return 403
    return 402 if callers <= _FORBIDDEN | _TOO_MUCH else 400


class Completed(msgspec.Struct, frozen=True):
    """A whole answer, settled."""

    decision: Decision
    candidate: Candidate
    answer: Answer
    bill: Bill
    attempts: int
    quotas: tuple[Quota, ...]
    is_capped: bool
    """Whether it ended at a length that its budget had left for it."""


async def complete(
    request: ChatRequest, *, wishes: Wishes, caller: Caller, snapshot: Snapshot, request_id: UUID, parts: Parts
) -> Completed:
    """Answers a request as a whole.

    Raises: NeedError, DecisionError, LimitReached, ChatError.
    """
    asked = Asked(request, wishes, caller, snapshot, request_id)
    entry = await admission.begin(asked, parts=parts)
    answered = await _answer(entry, asked=asked, call=_completing(request, entry=entry))
    answer = answered.answer
    entry.call_ended()
    entry.ended(answer.finish_reason, usage=answer.usage)
    bill = await _settled(entry, answer=answer)
    return Completed(
        entry.decision,
        answered.candidate,
        answer,
        bill,
        len(entry.trail),
        entry.lease.quotas,
        entry.is_capped,
    )


async def _settled(entry: Entry, *, answer: Answer) -> Bill:
    """Settles a whole answer. What its provider did not tell is counted first, even if the client leaves meanwhile."""
    if not counting.is_wanted(answer.usage):
        return _settle(entry, answer=answer, counted=None)
    found: list[Counted | None] = [None]
    bills: list[Bill] = []

    async def count() -> None:
        found[0] = await counting.count(entry.request, said=partial(said.of_answer, answer.body), usage=answer.usage)

    counted = afterwards.start(count(), then=lambda: bills.append(_settle(entry, answer=answer, counted=found[0])))
    if counted is not None:
        await asyncio.shield(counted)
    return bills[0]


def _settle(entry: Entry, *, answer: Answer, counted: Counted | None) -> Bill:
    entry.said = answer.body
    bill = entry.bill(answer.usage, content_chars=len(answer.body), counted=counted)
    entry.settle(Outcome.OK, status=200, bill=bill, finish_reason=answer.finish_reason)
    return bill


async def stream(
    request: ChatRequest,
    *,
    wishes: Wishes,
    caller: Caller,
    snapshot: Snapshot,
    request_id: UUID,
    parts: Parts,
    opening: Opening | None = None,
) -> Streaming:
    """Starts a streamed answer; returns when its first content is here, until when another model may take over.
    `opening` tells whether the client was answered before that, as the row of a failure says.

    Raises: NeedError, DecisionError, LimitReached, ChatError.
    """
    asked = Asked(request, wishes, caller, snapshot, request_id)
    entry = await admission.begin(asked, parts=parts)
    entry.opening = opening
    answered = await _answer(entry, asked=asked, call=_streaming(request, entry=entry))
    entry.first_token_ms = entry.clock.elapsed_ms()
    drains = snapshot.policy.when_client_leaves is WhenClientLeaves.DRAIN
    return Streaming(entry, upstream=answered.answer, candidate=answered.candidate, drains=drains)


async def _answer(entry: Entry, *, asked: Asked, call: Callable[[Candidate], Awaitable[T]]) -> Answered[T]:
    """Tries what was planned, and gives back what it claimed and did not try."""
    try:
        return await _answer_within_budgets(entry, asked=asked, call=call)
    finally:
        entry.watching.end()


async def _answer_within_budgets(
    entry: Entry, *, asked: Asked, call: Callable[[Candidate], Awaitable[T]]
) -> Answered[T]:
    """Plans again, no higher than it allows, for a budget that asks for a lower layer."""
    while True:
        if not entry.decision.plan.attempts:
            raise _nothing(entry)
        try:
            return await _walk(entry, call=call)
        except Degrades as reached:
            entry.refused = reached
            entry.reservation.lift(reached.budget)
            known = entry.decision.live.ceiling
            allowed = (reached.budget.layer,) if known is None else (known, reached.budget.layer)
            ceiling = decision.lowest(allowed, snapshot=asked.snapshot)
            left_usd = entry.reservation.left_usd()
            entry.decision = asked.decide(
                entry.decision.need, left_usd=left_usd, ceiling=ceiling, circuits=entry.watching.circuits
            )
            entry.clock.deadline_s = entry.decision.bounds.deadline_s


def _nothing(entry: Entry) -> ChatError:
    """Settles a request whose plan is empty, and says why it is."""
    made = entry.decision
    nothing: ChatError = NothingToTry(made)
    reached = entry.refused or entry.reservation.nearest()
    if nothing.status == 402 and reached is not None and _is_for_budget(made):
        nothing = OverBudget(made, reached=reached)
    entry.settle(Outcome.ERROR, status=nothing.status, error_kind="nothing_to_try", error_message=str(nothing))
    return nothing


def _is_for_budget(made: Decision) -> bool:
    return any(dropped.reason in (DropReason.OVER_BUDGET, DropReason.DEGRADED) for dropped in made.plan.dropped)


async def _walk(entry: Entry, *, call: Callable[[Candidate], Awaitable[T]]) -> Answered[T]:
    """Walks the plan and settles the request when nobody answers or nobody waits any more."""
    try:
        return await attempts.walk(
            entry.decision.plan.attempts,
            call=_noting(entry, call),
            clock=entry.clock,
            max_attempts=entry.decision.bounds.max_attempts,
            trail=entry.trail,
            before=entry.let,
            enter=entry.enter,
            watch=entry.watching,
        )
    except Degrades:
        raise
    except AttemptsError as failure:
        kind = failure.error.kind.value if failure.error else "deadline"
        bill = entry.bill_without_answer()
        entry.settle(
            Outcome.ERROR, status=failure.client_status, bill=bill, error_kind=kind, error_message=str(failure)
        )
        raise NobodyAnswered(entry.decision, trail=tuple(entry.trail), failure=failure) from failure
    except Exception as error:
        refusal = _refusal(entry, error)
        kind, status = (refusal[0], refusal[1].status) if refusal else ("internal", 500)
        message = str(error) if refusal else type(error).__name__
        bill = entry.bill_without_answer()
        entry.settle(Outcome.ERROR, status=status, bill=bill, error_kind=kind, error_message=message)
        if refusal is None:
            raise
        refusal[1].trail = tuple(entry.trail)
        raise refusal[1] from error
    except asyncio.CancelledError:
        outcome, status = how_cancelled()
        entry.settle(outcome, status=status, bill=entry.bill_without_answer())
        raise


def _refusal(entry: Entry, error: Exception) -> tuple[str, ChatError] | None:
    """What kept a model from being called, as the ledger and as the client hears of it."""
    if isinstance(error, NotAfforded) and entry.refused is not None:
        return "budget", OverBudget(entry.decision, reached=entry.refused)
    if isinstance(error, BudgetError):
        return "budget_unavailable", MoneyUnknown(entry.decision)
    if isinstance(error, SpoolError):
        return "spool", NotRecordable(entry.decision)
    if isinstance(error, PassedOver):
        return "nothing_to_try", NothingToTry(entry.decision)
    return None


def _noting(entry: Entry, call: Callable[[Candidate], Awaitable[T]]) -> Callable[[Candidate], Awaitable[T]]:
    """`call`, whose failures are billed by what the provider told that it had used, and counted by what it may have."""

    async def noted(candidate: Candidate) -> T:
        entry.call = outstanding.Call(candidate.model.id)
        try:
            return await call(candidate)
        except ProviderError as error:
            entry.failed(error)
            raise
        except BaseException:  # cut, or a mistake of ours: who knows how far it came
            entry.failed(None)
            raise

    return noted


def _completing(request: ChatRequest, *, entry: Entry) -> Callable[[Candidate], Awaitable[Answer]]:
    return lambda candidate: provider_chat.complete(request, model=candidate.model, cap_tokens=entry.cap_tokens)


def _streaming(request: ChatRequest, *, entry: Entry) -> Callable[[Candidate], Awaitable[OpenStream]]:
    return lambda candidate: provider_chat.stream(request, model=candidate.model, cap_tokens=entry.cap_tokens)
