"""What the attempts of a request did, one step each: for its row, its error and its headers."""

from __future__ import annotations

import msgspec

from analytics.types import storable
from providers.types import FailureKind
from routing.types import Candidate

NOBODY_CALLED = frozenset({FailureKind.UNSUPPORTED, FailureKind.OVERLOADED})
"""Failures of steps that cost nothing and are no attempts: of a dialect without words, and for want of a place."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
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
    """Of a stream until its first content."""
    waited_ms: float = 0.0
    """Before that, for a place at the provider."""
    malformed: int = 0
    """Events of a stream that could not be read and were left out."""


def step(
    candidate: Candidate,
    outcome: str,
    *,
    status: int | None = None,
    message: str,
    times_ms: tuple[float, float, float],
) -> Step:
    """`times_ms`: when it started, how long it took, and how long a place was waited for before."""
    model, (started_ms, duration_ms, waited_ms) = candidate.model, times_ms
    return Step(
        model.provider.slug,
        model.name,
        candidate.layer,
        outcome,
        status,
        storable(message, most=500),
        round(started_ms, 3),
        round(duration_ms, 3),
        round(waited_ms, 3),
    )


def calls(trail: list[Step]) -> int:
    """Attempts that may have cost something."""
    return sum(step.outcome not in NOBODY_CALLED for step in trail)


def fell_back(trail: list[Step]) -> bool:
    """Whether the last step was another model's than the first."""
    if not trail:
        return False
    first, last = trail[0], trail[-1]
    return (first.provider, first.model) != (last.provider, last.model)
