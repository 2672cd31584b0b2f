"""One request's entry in the ledger, from its first attempt to its settlement.

Gathers what becomes known on the way and writes it to the spool: an `opened` line before each attempt, one `settled`
line at the end, whatever the end is. Settling never waits and never raises, so that it can stand in any `finally`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from analytics import cost
from analytics.bodies import Bodies
from analytics.budgets import MOST_NANO, Degrades, Reached, Reservation
from analytics.counters.guard import Guard
from analytics.counters.steps import Settle, nano
from analytics.lengths import ANY_MODEL
from analytics.limits import NO_LEASE, Lease
from analytics.models import Outcome
from analytics.spool import Spool
from analytics.types import Caller, Opened, UsageRow, storable
from providers import places
from providers.dialects import caps
from providers.dialects.said import Said
from providers.places import Place
from providers.types import Capability, ChatRequest, FailureKind, Model, ProviderError, Usage
from routing import decision as decisions
from routing.attempts import Clock, NotAfforded
from routing.bills import CHARS_PER_TOKEN, NOTHING, UNSEEN_TOKENS, Bill, Priced, columns, together
from routing.counting import Counted
from routing.decision import Decision
from routing.outstanding import Call
from routing.plan import longest_answer, may_write_cache, most_used
from routing.trails import NOBODY_CALLED, Step, calls, fell_back
from routing.types import Candidate, Opening
from routing.watching import Watching

_encode = msgspec.json.encode
MAY_HAVE_COST = frozenset({FailureKind.TIMEOUT, FailureKind.BAD_ANSWER, FailureKind.BROKEN_STREAM})
"""Failures of a provider that may have been at work, and charge for what nobody got."""


class Cap(msgspec.Struct, frozen=True):
    """How long each answer may get, and what the attempt costs at most then."""

    usd: Decimal
    tokens: int
    is_told: bool
    """Whether the provider has to be told: neither the request nor the model says it already."""


@dataclass(slots=True)
class Entry:
    """Mutable while the request is under way; `settle` may be called more than once and counts once."""

    caller: Caller
    request: ChatRequest
    decision: Decision
    spool: Spool
    guard: Guard
    bodies: Bodies
    clock: Clock
    reservation: Reservation
    lease: Lease = NO_LEASE
    watching: Watching = field(default_factory=Watching)
    opening: Opening | None = None
    trail: list[Step] = field(default_factory=list)
    candidate: Candidate | None = None
    first_token_ms: float | None = None
    is_settled: bool = False
    place: Place | None = None
    """At the provider that is called, where its row sets a limit."""
    cap: Cap | None = None
    """Of the attempt under way, where a budget holds."""
    refused: Reached | None = None
    """The last budget that had no room for a model."""
    is_capped: bool = False
    """Whether the answer ended at a length that its budget had left for it."""
    said: bytes | Said | None = None
    """What was answered: the whole of it, or what was read of a stream."""
    _refused_caps: tuple[Decimal, Decimal] | None = None
    """The most and the least that its budgets had no room for."""
    _counted_usd: Decimal = cost.ZERO
    """What budgets count for attempts that failed."""
    _failed: list[Bill] = field(default_factory=list)
    """What failed attempts cost, by what their providers told."""
    _last_failed: int = 0
    """The number of the last of them."""
    _is_noted: bool = False
    """Whether the spool knows of it."""
    call: Call | None = None
    """The one under way, as others are balanced by it."""

    async def enter(self, candidate: Candidate) -> float:
        """Waits for a place at the candidate's provider, within its share of what is left until the request's deadline;
        says how long, in ms.

        Raises: ProviderError.
        """
        planned = self.decision.plan.attempts
        still_to_try = len(planned) - planned.index(candidate)
        self.place = await places.take(candidate.model.provider, within_s=self.clock.left_s() / still_to_try)
        return self.place.waited_s * 1000 if self.place is not None else 0.0

    async def let(self, candidate: Candidate) -> None:
        """An attempt is about to start: a model that is due is claimed, then it is `opened`.

        Raises: UnderProbe, and what `opened` raises. In each case it must not start.
        """
        try:
            await self.watching.let(candidate, plan=self.decision.plan, trail=self.trail, clock=self.clock)
            await self.opened(candidate)
        except Degrades:
            self.call_ended(was_called=False)
            self.watching.spared(candidate)
            raise
        except BaseException:
            self.call_ended(was_called=False)
            self.watching.left(candidate)
            raise

    async def opened(self, candidate: Candidate) -> None:
        """An attempt is about to start: its cap is held, then it is noted on the disk.

        Raises: NotAfforded, when a budget has no room for this model; Degrades, before the first attempt, when one asks
        for a lower layer; Unavailable; SpoolError. In each case it must not start.
        """
        if self.reservation.budgets:
            if not self._is_noted:
                self._note(candidate)
            self.cap = await self._held(candidate.model)
            worst_usd = self.cap.usd
        else:  # a budget that is made meanwhile will have to count it
            worst_usd = self._worst(candidate.model, tokens=longest_answer(candidate.model, need=self.decision.need))
        self.candidate = candidate
        bill = self._estimated(output_tokens=0, most=None)
        self.spool.opened(
            Opened(
                **self._asked(candidate),
                attempts=len(self.trail) + 1,
                input_tokens=bill.usage.input_tokens,
                cost_usd=bill.usd,
                cap_usd=self._counted_usd + worst_usd,
            )
        )

    def _note(self, candidate: Candidate) -> None:
        """That budgets are about to be asked: should the process be killed between their answer and the attempt, who
        replays its spool gives back what they hold, as nobody was called."""
        self.spool.opened(Opened(**self._asked(candidate), attempts=0, input_tokens=0, cost_usd=cost.ZERO))
        self._is_noted = True

    async def _held(self, model: Model) -> Cap:
        """The cap that its budgets have room for. Models that cost no less than one they had no room for, however
        long their answers, are not even asked for."""
        caps = self._caps(model)
        most, least = caps[0].usd, caps[-1].usd
        if self._refused_caps is not None and most >= self._refused_caps[0] and least >= self._refused_caps[1]:
            raise NotAfforded
        try:
            granted = await self.reservation.hold([cap.usd for cap in caps], beside=self._counted_usd)
        except Reached as reached:
            if isinstance(reached, Degrades) and not calls(self.trail):
                raise
            self.refused, self._refused_caps = reached, (most, least)
            raise NotAfforded from reached
        return caps[granted]

    def _caps(self, model: Model) -> list[Cap]:
        """As long as its answers may get, and as long as they usually get for this key."""
        need = self.decision.need
        longest = longest_answer(model, need=need)
        most = self._worst(model, tokens=longest)
        if not most or not self.reservation.refuses:
            return [Cap(most, longest, is_told=False)]
        is_said = need.max_output_tokens is not None or model.max_output_tokens is not None
        if need.has_other_limits or caps.named(model.provider.extra_body):
            is_said = False  # in words this provider may not know, or by its row, which knows nothing of this cap
        full = Cap(most, longest, is_told=not is_said)
        usual = self.guard.lengths.usual(key_id=self.caller.key_id, model_id=model.id)
        if usual >= longest:
            return [full]
        return [full, Cap(self._worst(model, tokens=usual), usual, is_told=True)]

    def _worst(self, model: Model, *, tokens: int) -> Decimal:
        """By the same prices as what it has cost in the end."""
        return self._priced(model).most(self._usage_of(model, output_tokens=tokens * self.decision.need.answers))

    @property
    def cap_tokens(self) -> int | None:
        """What the provider is told of the longest answer that may be; None: nothing."""
        return self.cap.tokens if self.cap is not None and self.cap.is_told else None

    def call_ended(self, *, was_called: bool = True) -> None:
        """The provider is not at work for it any more, or will not be. Harmless when it was told before."""
        if self.call is not None:
            self.call.end()
        place, self.place = self.place, None
        if place is not None:
            place.leave(was_called=was_called)

    def ended(self, finish_reason: str, *, usage: Usage | None) -> None:
        """The answer ended so: whether at a length its budget had left, and how long it was, for those to come."""
        is_cut = finish_reason == "length"
        self.is_capped = is_cut and self.cap_tokens is not None
        # What the client itself cut short says nothing of how long answers are.
        if usage is None or self.candidate is None or (is_cut and not self.is_capped):
            return
        if self.reservation.budgets:
            self._learn(usage, model_id=self.candidate.model.id)
        if self.lease.rates:
            self._learn(usage, model_id=ANY_MODEL)

    def _learn(self, usage: Usage, *, model_id: int) -> None:
        self.guard.lengths.learn(
            key_id=self.caller.key_id,
            model_id=model_id,
            tokens=usage.output_tokens,
            was_capped=self.is_capped,
            choices=self.decision.need.answers,
        )

    def settle(
        self,
        outcome: Outcome,
        *,
        status: int,
        bill: Bill = NOTHING,
        finish_reason: str = "",
        error_kind: str = "",
        error_message: str = "",
        duration_ms: float | None = None,
    ) -> None:
        """`duration_ms`: of a request that ended before it could be settled."""
        self.call_ended()
        if self.is_settled:
            return
        self.is_settled = True
        caller, decision = self.caller, self.decision
        if outcome is Outcome.ERROR and self.opening is not None and self.opening.has_begun:
            status = 200
        counted_usd = max(self._counted_usd + bill.counted_usd, bill.usd)
        self.spool.settled(
            UsageRow(
                **self._asked(self.candidate),
                started_at=decision.started_at,
                outcome=outcome.value,
                status=status,
                score=decision.score.value,
                attempts=len(self.trail),
                fell_back=fell_back(self.trail),
                decision=decisions.stored(decision),
                trail=msgspec.Raw(_encode(self.trail)),
                **columns(bill),
                budget_usd=counted_usd,
                is_capped=self.is_capped,
                duration_ms=self.clock.elapsed_ms() if duration_ms is None else duration_ms,
                first_token_ms=self.first_token_ms,
                finish_reason=storable(finish_reason, most=64),
                error_kind=error_kind,
                error_message=storable(error_message, most=500),
            )
        )
        self._give_back(counted_usd, used_tokens=bill.usage.total_tokens)
        if caller.stores_bodies:
            project_id = caller.project_id
            self.bodies.keep(decision.request_id, project_id=project_id, asked=self.request.fields, said=self.said)

    def _give_back(self, counted_usd: Decimal, *, used_tokens: int) -> None:
        """Settles with the counters, where they were asked for anything."""
        is_held = self.reservation.was_asked
        corrections = self.lease.corrections(used_tokens=used_tokens if self.trail else None)
        if not (is_held or self.lease.slots or corrections):
            return
        nano_usd = min(nano(counted_usd), MOST_NANO) if is_held else None
        step = Settle(self.decision.request_id.hex, nano_usd, self.lease.slots, corrections, self.guard.span_ms)
        self.guard.settle(step, told=self.reservation.settled if is_held else None)

    def failed(self, error: ProviderError | None) -> None:
        """The attempt under way has no answer; None: it was cut. What its provider told that it used is paid for; what
        it may charge beyond that is counted by budgets: of a stream that was cut or fell silent no more than may have
        been on its way, where its provider stops then; of a whole answer all, as its provider goes on writing."""
        self.call_ended()
        may_cost = error is None or (error.kind in MAY_HAVE_COST if error.may_cost is None else error.may_cost)
        usage = None if error is None else error.usage
        counted = cost.ZERO
        if usage is not None:
            bill = self._bill(usage, content_chars=0)
            self._failed.append(bill)
            self._last_failed = len(self.trail) + 1
            counted = bill.counted_usd
        if may_cost and (usage is None or usage.is_partial):
            is_left = self.request.is_stream and (error is None or error.kind is FailureKind.TIMEOUT)
            most = self._most(content_chars=0 if is_left and self._stops_when_left() else None)
            counted = max(counted, cost.rounded(self._priced().most(most)))
        self._counted_usd += counted

    def bill(
        self, usage: Usage | None, *, content_chars: int, counted: Counted | None = None, has_unseen: bool = False
    ) -> Bill:
        """What was consumed: by the provider's word where it gave one, else by our price, for what was counted or else
        by estimate. With what failed attempts are known to have cost. `has_unseen`: the provider may have written more
        than was read, and budgets count all that it may have."""
        own = self._bill(usage, content_chars=content_chars, counted=counted)
        if has_unseen:
            most_usd = cost.rounded(self._priced().most(self._most(content_chars=None)))
            own = msgspec.structs.replace(own, counted_usd=max(own.counted_usd, most_usd))
        if not self._failed:
            return own
        return msgspec.structs.replace(together([*self._failed, own]), counted_usd=own.counted_usd)

    def _bill(self, usage: Usage | None, *, content_chars: int, counted: Counted | None = None) -> Bill:
        if usage is not None and not usage.is_partial:
            return self._priced().told(usage, most=usage)
        if counted is not None:
            known = usage or Usage(input_tokens=counted.input_tokens + self._file_tokens())
            known = msgspec.structs.replace(known, output_tokens=counted.output_tokens)
            return self._priced().counted(known, most=self._most(content_chars=content_chars))
        told, most = -(-content_chars // CHARS_PER_TOKEN), self._most(content_chars=content_chars)
        if usage is None:
            return self._estimated(output_tokens=told, most=most)
        return self._priced().estimated(msgspec.structs.replace(usage, output_tokens=told), most=most)

    def _estimated(self, *, output_tokens: int, most: Usage | None) -> Bill:
        """Half the upper estimate of the input, which is what texts usually have, and the output given."""
        half = self.decision.need.input_tokens // 2 + self._file_tokens()
        return self._priced().estimated(Usage(input_tokens=half, output_tokens=output_tokens), most=most)

    def bill_without_answer(self) -> Bill:
        """What failed attempts are known to have cost. Of the last one an estimate, where nothing is known of it and it
        was cut off by us or timed out: its provider may have worked, and charge."""
        last = max(
            (number for number, step in enumerate(self.trail, 1) if step.outcome not in NOBODY_CALLED), default=0
        )
        is_unsure = bool(last) and self.trail[last - 1].outcome in ("cancelled", FailureKind.TIMEOUT.value)
        bills = list(self._failed)
        if is_unsure and self._last_failed != last:
            bills.append(self._estimated(output_tokens=0, most=None))
        # What budgets count for them was added up when each of them failed.
        return msgspec.structs.replace(together(bills), counted_usd=cost.ZERO) if bills else NOTHING

    def _most(self, *, content_chars: int | None) -> Usage:
        """The most that the attempt under way can have used, when so much text came of it; None: nobody knows, as
        where it may have thought unseen."""
        if self.candidate is None:
            return Usage()
        need, model = self.decision.need, self.candidate.model
        longest = self.cap.tokens if self.cap else longest_answer(model, need=need)
        longest *= need.answers
        if content_chars is None or Capability.REASONING in need.capabilities | model.capabilities:
            output = longest
        else:  # a character is a token at most, nearly always
            output = min(content_chars + UNSEEN_TOKENS * need.answers, longest)
        return self._usage_of(model, output_tokens=output)

    def _usage_of(self, model: Model, *, output_tokens: int) -> Usage:
        """The most, with so much output, at the prices that hold for it."""
        need = self.decision.need
        usage = most_used(model, need=need, output_tokens=output_tokens)
        return self._priced(model).at_dearest_input(usage) if may_write_cache(model, need=need) else usage

    def _stops_when_left(self) -> bool:
        return self.candidate is None or self.candidate.model.provider.stops_when_left

    def _file_tokens(self) -> int:
        return self.decision.need.files * self.candidate.model.max_input_tokens_per_file if self.candidate else 0

    def _priced(self, model: Model | None = None) -> Priced:
        """Of the model under way, unless another is given."""
        if model is None and self.candidate is not None:
            model = self.candidate.model
        return Priced(model, self.decision.stand_in, self.decision.started_at, self.decision.need.price_factor)

    def _asked(self, candidate: Candidate | None) -> dict[str, Any]:
        """The columns that `opened` and `settled` lines share: who asked for what, and who is to answer."""
        caller = self.caller
        model = candidate.model if candidate else None
        return {
            "id": self.decision.request_id,
            "project_id": caller.project_id,
            "project": caller.project,
            "key_id": caller.key_id,
            "key_name": caller.key_name,
            "requested_model": storable(self.request.model, most=200),
            "provider": model.provider.slug if model else "",
            "model_id": model.id if model else None,
            "model": model.name if model else "",
            "layer": candidate.layer if candidate else "",
            "is_stream": self.request.is_stream,
            "session": self.decision.need.session,
        }
