"""What one attempt cost, or may cost: the provider's word, else our price, else our count, else an estimate. Pure.

Two figures stand beside each other: the cost the ledger reports, and what budgets count, which is never less: the
higher one where a provider's figure is disputed, the most it can be where nobody told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from analytics import cost
from analytics.models import CostSource
from analytics.rates import Used
from providers.types import MOST_USD, Model, Usage

CHARS_PER_TOKEN = 4
"""Of text in an answer without usage, where its tokens cannot be counted: what an estimate of them divides by."""
UNSEEN_TOKENS = 32
"""What a provider may have written and not yet sent when its stream was cut."""
DISPUTED_BELOW = Decimal("0.5")


class Bill(msgspec.Struct, frozen=True):
    """What a request cost, where the figure comes from, and the other figure where there are two."""

    usd: Decimal
    source: CostSource
    usage: Usage
    computed_usd: Decimal | None = None
    reported_usd: Decimal | None = None
    is_disputed: bool = False
    prices: dict[str, Used] = {}
    counted_usd: Decimal = cost.ZERO
    """What budgets count."""


NOTHING = Bill(cost.ZERO, CostSource.NONE, Usage())
_TRUST = list(CostSource)
_COUNTED = (*(name for name in Usage.__struct_fields__ if name.endswith("_tokens")), "web_searches", "images")


class Priced(msgspec.Struct, frozen=True):
    """Whose prices hold for an attempt."""

    model: Model | None
    """None: nobody was called."""
    stand_in: Model | None
    """Whose price is taken for a model that has none: the dearest there is, never a silent zero."""
    at: datetime
    factor: Decimal = cost.ONCE
    """How often the list price a token may cost (`routing.price_factors`)."""

    def told(self, usage: Usage, *, most: Usage) -> Bill:
        """By the provider's usage, and by its own figure where it gave one. `most`: when no price is known either."""
        computed = self._computed(usage)
        reported = usage.reported_cost_usd
        if reported is not None and reported > MOST_USD:
            reported = None
        if reported is not None:
            # The factor is the most that may be charged: a provider that charges its list price is no liar.
            disputed = computed.usd is not None and reported * self.factor < computed.usd * DISPUTED_BELOW
            usd, source = reported, CostSource.PROVIDER
        elif computed.usd is not None:
            disputed, usd, source = False, computed.usd, CostSource.PRICE
        else:
            return self.estimated(usage, most=most)
        usd = cost.rounded(usd)
        priced = None if computed.usd is None else cost.rounded(computed.usd)
        return Bill(
            usd,
            source,
            usage,
            priced,
            None if reported is None else cost.rounded(reported),
            disputed,
            computed.used,
            max(usd, priced) if disputed and priced is not None else usd,
        )

    def counted(self, usage: Usage, *, most: Usage) -> Bill:
        """By tokens that we counted, as far as the provider did not tell them. As for `estimated`, and no more than
        that when the model has no price of its own."""
        is_priced = self._computed(usage).usd is not None
        bill = self.estimated(usage, most=most)
        return msgspec.structs.replace(bill, source=CostSource.COUNTED) if is_priced else bill

    def estimated(self, usage: Usage, *, most: Usage | None) -> Bill:
        """By the model's own price, else by the dearest one there is. `most`: what it can have been, for budgets."""
        computed = self._standing_in(usage)
        usd = cost.rounded(computed.usd or cost.ZERO)
        counted = usd if most is None else max(usd, cost.rounded(self.most(most)))
        return Bill(usd, CostSource.ESTIMATE, usage, None, prices=computed.used, counted_usd=counted)

    def most(self, usage: Usage) -> Decimal:
        """Of answers of any length that a client may have asked for, so it has an end."""
        usd: Decimal | None = cost.ZERO
        if self.model is not None:
            usd = cost.most(usage, self.model.prices, at=self.at, factor=self.factor)
            if usd is None and self.stand_in is not None:
                usd = cost.most(usage, self.stand_in.prices, at=self.at, factor=self.factor)
        return min(usd or cost.ZERO, MOST_USD)

    def at_dearest_input(self, usage: Usage) -> Usage:
        """With all its input in the bucket that costs most by the same prices."""
        model = self.stand_in if self._computed(usage).usd is None else self.model
        return usage if model is None else cost.at_dearest_input(usage, model.prices, at=self.at)

    def _standing_in(self, usage: Usage) -> cost.Computed:
        computed = self._computed(usage)
        if computed.usd is None and self.stand_in is not None:
            return cost.compute(usage, self.stand_in.prices, at=self.at, factor=self.factor)
        return computed

    def _computed(self, usage: Usage) -> cost.Computed:
        if self.model is None:
            return cost.Computed(cost.ZERO, {})
        return cost.compute(usage, self.model.prices, at=self.at, factor=self.factor)


def together(bills: Sequence[Bill]) -> Bill:
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
        sum((bill.counted_usd for bill in bills), cost.ZERO),
    )


def _sum(figures: list[Decimal | None]) -> Decimal | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known, cost.ZERO) if len(known) == len(figures) else None


def columns(bill: Bill) -> dict[str, Any]:
    """The columns of a row that say what was used, and what it cost."""
    usage = bill.usage
    return {
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_5m_tokens": usage.cache_write_5m_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "web_searches": usage.web_searches,
        "images": usage.images,
        "cost_usd": bill.usd,
        "cost_source": bill.source.value,
        "computed_cost_usd": bill.computed_usd,
        "reported_cost_usd": bill.reported_usd,
        "is_disputed": bill.is_disputed,
        "prices": msgspec.Raw(msgspec.json.encode(bill.prices)),
    }
