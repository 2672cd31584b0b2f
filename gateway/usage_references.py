"""Which models savings are told against: the first priced one of the highest layer, and of the lowest. Of those that
the asking key may use, so that a report names no others."""

from __future__ import annotations

from collections.abc import Iterable

from analytics import cost, ids
from analytics.queries.savings import Reference
from analytics.types import Caller
from providers.types import Unit
from routing import listing
from routing.types import Candidate, Layer, Snapshot


def premium_and_cheapest(
    snapshot: Snapshot, *, caller: Caller | None, at: float
) -> tuple[Reference | None, Reference | None]:
    """The second is None where there is one layer with priced models alone."""
    layers = listing.layers(snapshot, caller=caller)
    premium = _first(reversed(layers), at=at)
    cheapest = _first(layers, at=at)
    return premium, None if premium and cheapest and premium.layer == cheapest.layer else cheapest


def _first(layers: Iterable[Layer], *, at: float) -> Reference | None:
    for layer in layers:
        for candidate in layer.candidates:
            if _is_priced(candidate, at=at):
                return Reference(layer.name, candidate.model.qualified_name, candidate.model.prices)
    return None


def _is_priced(candidate: Candidate, *, at: float) -> bool:
    return {Unit.INPUT, Unit.OUTPUT} <= cost.per_million(candidate.model.prices, at=ids.moment(at)).keys()
