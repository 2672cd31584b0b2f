"""What the same tokens would have cost otherwise: always at the premium layer, or at a fixed mix of two models.

`analytics` knows no layers: who asks names the models to compare with, and their prices. Approximate by nature, and in
three ways by its source, sums: prices are those of the smallest requests (no tiers), a model that is dearer would have
been as wordy, and requests that failed do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from analytics import cost, rates
from analytics.queries import spans, sums
from analytics.queries.filters import Dimension, Filters
from analytics.queries.spans import Span
from analytics.queries.sums import Totals
from analytics.series import StatusClass
from providers.types import Price, Unit

_ANSWERED_CHAT = Filters(statuses=frozenset({StatusClass.OK.value}), kinds=frozenset({"chat"}))


class Reference(msgspec.Struct, frozen=True):
    """A model to compare with: the first priced one of a layer."""

    layer: str
    model: str
    """As `provider/id`."""
    prices: Sequence[Price]


class AlwaysPremium(msgspec.Struct, frozen=True, kw_only=True):
    """Every request answered by one model."""

    label: str
    cost_usd: Decimal | None = None
    saved_usd: Decimal | None = None
    saved_share: float | None = None
    """Of what it would have cost."""
    reason: str = ""
    """Why there is no figure."""


class StaticMix(msgspec.Struct, frozen=True, kw_only=True):
    """Requests given to two models by a fixed share that costs the same: what it saves is nothing, by construction.
    What there is to compare is the share of premium answers that the same money buys."""

    label: str
    premium_share: float | None = None
    """Of requests, at the same cost; 1 where the gateway spent as much as the premium model alone, or more."""
    gateway_premium_share: float | None = None
    """Of the requests that were answered: how many the premium layer answered."""
    saved_usd: Decimal = cost.ZERO
    reason: str = ""


class Savings(msgspec.Struct, frozen=True, kw_only=True):
    span: Span
    requests: int
    """Answered ones."""
    cost_usd: Decimal
    """What they cost."""
    always_premium: AlwaysPremium
    static_mix: StaticMix


def savings(span: Span, filters: Filters, *, premium: Reference | None, cheapest: Reference | None) -> Savings:
    """What was spent on answered chats in the span beside what else they might have cost. Raises: SpanProblem."""
    parts = _parts(span, [one for one in (premium, cheapest) if one])
    edges = (span.covered.start, *(at for at, _ in parts[1:]), span.covered.end)
    found = sums.read(edges, filters.within(_ANSWERED_CHAT), [Dimension.LAYER], at=span.at)
    used = [sums.together(told for (step, _), told in found.items() if step == number) for number in range(len(parts))]
    whole = sums.together(used)
    moments = [moment for _, moment in parts]
    dear, cheap = (_Priced(one, _cost(used, one, moments)) if one else None for one in (premium, cheapest))
    at_premium = sum(told.requests for (_, (layer,)), told in found.items() if premium and layer == premium.layer)
    return Savings(
        span=span.covered,
        requests=whole.requests,
        cost_usd=whole.cost_usd,
        always_premium=_always_premium(whole, dear),
        static_mix=_static_mix(whole, dear, cheap, at_premium=at_premium),
    )


class _Priced(msgspec.Struct, frozen=True):
    """What all that was used would have cost at a reference."""

    reference: Reference
    usd: Decimal | None


def _parts(span: Span, references: Iterable[Reference]) -> list[tuple[datetime, datetime]]:
    """Stretches in which no price changes: where each begins in the roll-ups, and since when its prices hold."""
    covered = span.covered
    changes = {price.valid_from for one in references for price in one.prices}
    found = {covered.start: covered.start}
    for change in sorted(changes):
        edge = spans.outward(change, at=span.at, is_end=False)
        if covered.start <= edge < covered.end and change < covered.end:
            found[edge] = max(change, covered.start)
    return sorted(found.items())


def _cost(used: Sequence[Totals], reference: Reference, moments: Sequence[datetime]) -> Decimal | None:
    """None where a unit that was used has no known price."""
    parts = [_usd(told, reference.prices, at=at) for told, at in zip(used, moments, strict=True)]
    known = [part for part in parts if part is not None]
    return cost.rounded(sum(known, cost.ZERO)) if len(known) == len(parts) else None


def _usd(told: Totals, prices: Sequence[Price], *, at: datetime) -> Decimal | None:
    held = rates.in_force(prices, input_tokens=0, at=at)
    usd = cost.ZERO
    for unit, quantity in _quantities(told).items():
        if unit in held:
            usd += held[unit].usd * quantity
        elif quantity and unit not in cost.FREE_UNLESS_PRICED:
            return None
    return usd


def _quantities(told: Totals) -> dict[Unit, int]:
    return {
        Unit.INPUT: told.input_tokens,
        Unit.CACHED_INPUT: told.cached_input_tokens,
        Unit.CACHE_WRITE_5M: told.cache_write_5m_tokens,
        Unit.CACHE_WRITE_1H: told.cache_write_1h_tokens,
        Unit.OUTPUT: told.output_tokens,
        Unit.REQUEST: told.requests,
        Unit.WEB_SEARCH: told.web_searches,
        Unit.IMAGE: told.images,
    }


def _always_premium(whole: Totals, dear: _Priced | None) -> AlwaysPremium:
    if dear is None:
        return AlwaysPremium(label="every request answered by the premium layer's model", reason=_NO_REFERENCE)
    premium, usd = dear.reference, dear.usd
    label = f"every request answered by {premium.model} of {premium.layer}, same tokens"
    if usd is None:
        return AlwaysPremium(label=label, reason=f"{premium.model} had no price for all that was used.")
    saved = usd - whole.cost_usd
    return AlwaysPremium(label=label, cost_usd=usd, saved_usd=saved, saved_share=float(saved / usd) if usd else None)


_NO_REFERENCE = "No layer has a model with a known price."


def _static_mix(whole: Totals, dear: _Priced | None, cheap: _Priced | None, *, at_premium: int) -> StaticMix:
    if dear is None or cheap is None:
        return StaticMix(label="requests given to two models by a fixed share", reason=_NO_REFERENCE)
    label = (
        f"requests given to {cheap.reference.model} of {cheap.reference.layer} and {dear.reference.model} of "
        f"{dear.reference.layer} by a fixed share that costs the same"
    )
    if dear.usd is None or cheap.usd is None:
        return StaticMix(label=label, reason="One of the two had no price for all that was used.")
    if dear.usd <= cheap.usd:
        reason = "Nothing was answered." if not whole.requests else "The premium model costs no more than the other."
        return StaticMix(label=label, reason=reason)
    share = float((whole.cost_usd - cheap.usd) / (dear.usd - cheap.usd))
    return StaticMix(
        label=label, premium_share=min(max(share, 0.0), 1.0), gateway_premium_share=at_premium / whole.requests
    )
