"""What would become of a request, and what moves if layers began at other scores: two plans side by side, and the
latest requests entering anew. Changes nothing and calls nobody."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

import msgspec

from analytics import ids
from analytics.queries.judged import Judged
from analytics.types import Caller
from providers.types import ChatRequest
from routing import dry_run, plan
from routing.decision import Decision
from routing.types import Layer, Snapshot, Wishes

Thresholds = Mapping[str, float]
"""From which score on requests enter a layer, by its name."""


class Explored(msgspec.Struct, frozen=True):
    now: Decision
    then: Decision | None
    """With the thresholds that were tried; None where they are those in force."""


class Moved(msgspec.Struct, frozen=True):
    """Requests that would enter another layer."""

    before: str
    after: str
    requests: int
    cost_usd: Decimal
    """What they cost where they were answered."""


def decide(
    request: ChatRequest, *, wishes: Wishes, caller: Caller, snapshot: Snapshot, thresholds: Thresholds
) -> Explored:
    """Raises: need.NeedError, decision.DecisionError."""
    request_id, tried = ids.new(), with_thresholds(snapshot, thresholds)
    now, then = (
        dry_run.decide(request, wishes=wishes, caller=caller, snapshot=config, request_id=request_id)
        for config in (snapshot, tried)
    )
    return Explored(now, None if tried.layers == snapshot.layers else then)


def with_thresholds(snapshot: Snapshot, thresholds: Thresholds) -> Snapshot:
    layers = tuple(replace(layer, from_score=_of(layer, thresholds)) for layer in snapshot.layers)
    return replace(snapshot, layers=layers)


def moved(judged: Iterable[Judged], *, layers: tuple[Layer, ...], thresholds: Thresholds) -> list[Moved]:
    """Of these requests those that would enter elsewhere, the most first."""
    tried = tuple(replace(layer, from_score=_of(layer, thresholds)) for layer in layers)
    numbers: Counter[tuple[str, str]] = Counter()
    costs: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for one in judged:
        way = plan.entered_by(one.score, layers=layers), plan.entered_by(one.score, layers=tried)
        if way[0] != way[1]:
            numbers[way] += 1
            costs[way] += one.cost_usd or 0
    return [Moved(*way, requests=number, cost_usd=costs[way]) for way, number in numbers.most_common()]


def _of(layer: Layer, thresholds: Thresholds) -> float:
    return thresholds.get(layer.name, layer.from_score)
