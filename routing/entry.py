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
from analytics.models import CostSource, Outcome
from analytics.spool import Spool
from analytics.types import Caller, Opened, UsageRow, storable
from providers.types import MOST_USD, ChatRequest, FailureKind, Usage
from routing import decision as decisions
from routing.attempts import Clock, Step
from routing.decision import Decision
from routing.types import Candidate

CHARS_PER_TOKEN = 4
"""Of text in an answer that ended without usage: what an estimate of its tokens divides by."""
_encode = msgspec.json.encode

DISPUTED_BELOW = Decimal("0.5")


class Bill(msgspec.Struct, frozen=True):
    """What a request cost, where the figure comes from, and the other figure where there are two."""

    usd: Decimal
    source: CostSource
    usage: Usage
    computed_usd: Decimal | None = None
    reported_usd: Decimal | None = None
    is_disputed: bool = False
    prices: dict[str, str] = {}


NOTHING = Bill(cost.ZERO, CostSource.NONE, Usage())
_NOBODY_CALLED = FailureKind.UNSUPPORTED.value
_TRUST = list(CostSource)
_COUNTED = (*(name for name in Usage.__struct_fields__ if name.endswith("_tokens")), "web_searches", "images")


def _together(bills: list[Bill]) -> Bill:
    """Several attempts of one request as one bill: as sure as the least sure of them, with the last one's prices, and
    with another figure only where each has it."""
    usages = [bill.usage for bill in bills]
    return Bill(
        sum((bill.usd for bill in bills), cost.ZERO),
        max((bill.source for bill in bills), key=_TRUST.index),
        Usage(**{name: sum(getattr(usage, name) for usage in usages) for name in _COUNTED}),
        _sum([bill.computed_usd for bill in bills]),
        _sum([bill.reported_usd for bill in bills]),
        any(bill.is_disputed for bill in bills),
        bills[-1].prices,
    )


def _sum(figures: list[Decimal | None]) -> Decimal | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known, cost.ZERO) if len(known) == len(figures) else None


@dataclass(slots=True)
class Entry:
    """Mutable while the request is under way; `settle` may be called more than once and counts once."""

    caller: Caller
    request: ChatRequest
    decision: Decision
    spool: Spool
    clock: Clock
    trail: list[Step] = field(default_factory=list)
    candidate: Candidate | None = None
    first_token_ms: float | None = None
    is_settled: bool = False
    _failed: list[Bill] = field(default_factory=list)
    """What failed attempts cost, by what their providers told."""
    _last_failed: int = 0
    """The number of the last of them."""

    def opened(self, candidate: Candidate) -> None:
        """An attempt is about to start. Raises: SpoolError, and then it must not start."""
        self.candidate = candidate
        bill = self.estimate(output_tokens=0)
        self.spool.opened(
            Opened(
                **self._asked(), attempts=len(self.trail) + 1, input_tokens=bill.usage.input_tokens, cost_usd=bill.usd
            )
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
    ) -> None:
        if self.is_settled:
            return
        self.is_settled = True
        usage, decision = bill.usage, self.decision
        self.spool.settled(
            UsageRow(
                **self._asked(),
                started_at=decision.started_at,
                outcome=outcome.value,
                status=status,
                score=decision.score.value,
                attempts=len(self.trail),
                fell_back=self._fell_back(),
                decision=decisions.stored(decision),
                trail=msgspec.Raw(_encode(self.trail)),
                input_tokens=usage.input_tokens,
                cached_input_tokens=usage.cached_input_tokens,
                cache_write_5m_tokens=usage.cache_write_5m_tokens,
                cache_write_1h_tokens=usage.cache_write_1h_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                web_searches=usage.web_searches,
                images=usage.images,
                cost_usd=bill.usd,
                cost_source=bill.source.value,
                computed_cost_usd=bill.computed_usd,
                reported_cost_usd=bill.reported_usd,
                is_disputed=bill.is_disputed,
                prices=msgspec.Raw(_encode(bill.prices)),
                duration_ms=self.clock.elapsed_ms(),
                first_token_ms=self.first_token_ms,
                finish_reason=storable(finish_reason, most=64),
                error_kind=error_kind,
                error_message=storable(error_message, most=500),
            )
        )

    def failed(self, usage: Usage) -> None:
        """The attempt under way has no answer, but its provider told what it used: the request pays for that too."""
        self._failed.append(self._bill(usage, content_chars=0))
        self._last_failed = len(self.trail) + 1

    def bill(self, usage: Usage | None, *, content_chars: int) -> Bill:
        """What was consumed: by the provider's word where it gave one, else by our price, else by estimate. With what
        failed attempts are known to have cost."""
        return self._with_failed(self._bill(usage, content_chars=content_chars))

    def _bill(self, usage: Usage | None, *, content_chars: int) -> Bill:
        if usage is None:
            return self.estimate(output_tokens=-(-content_chars // CHARS_PER_TOKEN))
        if usage.is_partial:
            told = -(-content_chars // CHARS_PER_TOKEN)
            return self._estimated(msgspec.structs.replace(usage, output_tokens=told))
        computed = self._computed(usage)
        reported = usage.reported_cost_usd
        if reported is not None and reported > MOST_USD:
            reported = None
        if reported is not None:
            disputed = computed.usd is not None and reported < computed.usd * DISPUTED_BELOW
            usd, source = reported, CostSource.PROVIDER
        elif computed.usd is not None:
            disputed, usd, source = False, computed.usd, CostSource.PRICE
        else:
            return self._estimated(usage)
        return Bill(
            cost.rounded(usd),
            source,
            usage,
            None if computed.usd is None else cost.rounded(computed.usd),
            None if reported is None else cost.rounded(reported),
            disputed,
            computed.used,
        )

    def estimate(self, *, output_tokens: int) -> Bill:
        """Half the upper estimate of the input, which is what texts usually have, and the output given."""
        need, model = self.decision.need, self.candidate.model if self.candidate else None
        files = need.files * model.max_input_tokens_per_file if model else 0
        return self._estimated(Usage(input_tokens=need.input_tokens // 2 + files, output_tokens=output_tokens))

    def bill_without_answer(self) -> Bill:
        """What failed attempts are known to have cost. Of the last one an estimate, where nothing is known of it and it
        was cut off by us or timed out: its provider may have worked, and charge."""
        last = max((number for number, step in enumerate(self.trail, 1) if step.outcome != _NOBODY_CALLED), default=0)
        is_unsure = bool(last) and self.trail[last - 1].outcome in ("cancelled", FailureKind.TIMEOUT.value)
        if is_unsure and self._last_failed != last:
            return self._with_failed(self.estimate(output_tokens=0))
        return self._with_failed(NOTHING)

    def _with_failed(self, bill: Bill) -> Bill:
        if not self._failed:
            return bill
        return _together(self._failed if bill is NOTHING else [*self._failed, bill])

    def _estimated(self, usage: Usage) -> Bill:
        """By the model's own price, else by the dearest one there is: never a silent zero."""
        computed = self._computed(usage)
        if computed.usd is None and self.decision.stand_in is not None:
            computed = cost.compute(usage, self.decision.stand_in.prices, at=self.decision.started_at)
        return Bill(cost.rounded(computed.usd or cost.ZERO), CostSource.ESTIMATE, usage, None, prices=computed.used)

    def _computed(self, usage: Usage) -> cost.Computed:
        if self.candidate is None:
            return cost.Computed(cost.ZERO, {})
        return cost.compute(usage, self.candidate.model.prices, at=self.decision.started_at)

    def _fell_back(self) -> bool:
        if not self.trail:
            return False
        first, last = self.trail[0], self.trail[-1]
        return (first.provider, first.model) != (last.provider, last.model)

    def _asked(self) -> dict[str, Any]:
        """The columns that `opened` and `settled` lines share: who asked for what, and who is to answer."""
        caller, candidate = self.caller, self.candidate
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
            "session": storable(self.decision.need.session, most=200),
        }
