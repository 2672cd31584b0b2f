"""Orders equals: which of several models that are as good as each other is tried first. Pure.

Equals are candidates of one layer that stand at the same place: of the same priority and relative cost, where those of
a priority that carry a weight all stand at the place of the cheapest of them. Whoever comes after the first serves when
the first fails, in the same proportions. Needs no store: a request's id draws, and a session is hashed. Which models
there are to order is `routing.plan`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from itertools import groupby
from math import log

from routing.types import Candidate

USUAL_WEIGHT = 1.0
"""Of a candidate whose row has none, among equals."""
_BITS = 52
"""Of a hash: as many as a float holds beside the half that keeps it from 0 and from 1."""


def ranked(candidates: Sequence[Candidate]) -> tuple[tuple[Candidate, ...], ...]:
    """Candidates of one layer by priority, then cost: equals together. The same for every request."""
    cheapest: dict[int, Decimal] = {}
    for one in candidates:
        if one.weight is not None:
            cheapest[one.priority] = min(one.relative_cost, cheapest.get(one.priority, one.relative_cost))

    def place(one: Candidate) -> tuple[int, Decimal]:
        return one.priority, one.relative_cost if one.weight is None else cheapest[one.priority]

    return tuple(tuple(equals) for _, equals in groupby(sorted(candidates, key=place), key=place))


def in_order(
    ranks: Iterable[Sequence[Candidate]], *, draw: float, session: str = "", outstanding: Mapping[int, int]
) -> list[Candidate]:
    """The order of trying. Equals by their session where the request names one, so that it stays with its model; else
    those with the fewest calls under way for their weight come first, and among these `draw` in [0, 1) decides.

    `outstanding`: calls under way, by model id; empty where they are not to count.
    """
    ordered: list[Candidate] = []
    for equals in ranks:
        if len(equals) == 1:
            ordered += equals
        elif session:
            ordered += by_session(equals, session=session)
        else:
            by_draw = drawn(equals, draw=draw)
            ordered += least_outstanding(by_draw, outstanding=outstanding) if outstanding else by_draw
    return ordered


def drawn(candidates: Sequence[Candidate], *, draw: float) -> list[Candidate]:
    """All of them, each next one drawn by weight; the part of `draw` left over from one draw serves for the next."""
    left, weights = list(candidates), [_weight(candidate) for candidate in candidates]
    ordered = []
    while len(left) > 1:
        mark = draw * sum(weights)
        index, last = 0, len(left) - 1
        while index < last and mark >= weights[index]:
            mark -= weights[index]
            index += 1
        draw = min(max(mark / weights.pop(index), 0.0), 0.999999)
        ordered.append(left.pop(index))
    return ordered + left


def least_outstanding(candidates: Sequence[Candidate], *, outstanding: Mapping[int, int]) -> list[Candidate]:
    """Those with the fewest calls under way first, divided by their weights; ties stay in the order given."""
    return sorted(candidates, key=lambda one: outstanding.get(one.model.id, 0) / _weight(one))


def by_session(candidates: Sequence[Candidate], *, session: str) -> list[Candidate]:
    """Weighted rendezvous hashing: each model draws -ln(h) / weight for the session, and the smallest comes first.

    Such draws are exponential with the weight as their rate, so each model is first for its share of the sessions; and
    since no draw depends on the other models, one that leaves moves only the sessions that were its own.
    """
    return sorted(candidates, key=lambda one: -log(_hashed(session, one.model.qualified_name)) / _weight(one))


def _hashed(session: str, name: str) -> float:
    """Evenly spread over (0, 1), without its ends; the same in every process and on every machine."""
    words = f"{session}\0{name}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(blake2b(words, digest_size=8).digest()) >> (64 - _BITS)
    return (number + 0.5) / (1 << _BITS)


def _weight(candidate: Candidate) -> float:
    return USUAL_WEIGHT if candidate.weight is None else candidate.weight
