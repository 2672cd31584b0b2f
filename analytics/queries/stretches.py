"""Which roll-ups the steps of a span are added up from, with the fewest rows. Pure.

A day of Berlin is no sum of UTC days, but it is one UTC day, with two hours of the evening before and without those of
its own: sums can be taken off again. So an edge of a long step goes to the nearest UTC midnight, and what lies between
counts for the one step and against the other. Short steps are tiled as they are (`analytics.queries.spans.pieces`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

from analytics.queries.spans import Piece, pieces
from analytics.series import DAY, ceiling, floor

LONG = timedelta(hours=22)
"""Steps that go to midnight."""
MOST_EDGES = 200
"""Each edge is a stretch of its own to look up: with more of them one long stretch is read sooner."""
Shares = tuple[tuple[int, int], ...]
"""Of which steps what is read is a part: the step's number, and 1, or -1 where it is taken off."""


class Stretch(msgspec.Struct, frozen=True):
    start: datetime
    end: datetime
    shares: Shares


def stretches(edges: Sequence[datetime], *, at: datetime) -> dict[timedelta, list[Stretch]]:
    """By length of roll-up, in order and apart. What lies after `at` is not there yet: a span that ends there may read
    the whole of its last day."""
    last = edges[-1] if edges[-1] < at else ceiling(edges[-1], DAY)
    steps = pairwise((*edges[:-1], last))
    goes_to_midnight = len(edges) <= MOST_EDGES
    wanted: dict[timedelta, list[tuple[Piece, int, int]]] = {}
    for number, (start, end) in enumerate(steps):
        whole = _by_midnights(start, end) if goes_to_midnight and end - start >= LONG else _tiled(start, end)
        for piece, sign in whole:
            wanted.setdefault(piece.length, []).append((piece, number, sign))
    return {length: _apart(found) for length, found in wanted.items()}


def _tiled(start: datetime, end: datetime) -> list[tuple[Piece, int]]:
    return [(piece, 1) for piece in pieces(start, end)]


def _by_midnights(start: datetime, end: datetime) -> list[tuple[Piece, int]]:
    first, last = _nearest_midnight(start), _nearest_midnight(end)
    days = [(Piece(DAY, first, last), 1)] if first < last else []
    return [*days, *_signed(start, first), *_signed(last, end)]


def _signed(start: datetime, end: datetime) -> list[tuple[Piece, int]]:
    """From the one moment to the other: taken off where it goes back in time."""
    if start <= end:
        return _tiled(start, end)
    return [(piece, -1) for piece in pieces(end, start)]


def _nearest_midnight(moment: datetime) -> datetime:
    return floor(moment + DAY / 2, DAY)


def _apart(wanted: Iterable[tuple[Piece, int, int]]) -> list[Stretch]:
    """Stretches that overlap cut where they do, each with all its shares; neighbours of the same shares as one."""
    asked = list(wanted)
    cuts = sorted({moment for piece, _, _ in asked for moment in (piece.start, piece.end)})
    shares: list[dict[int, int]] = [{} for _ in cuts]
    for piece, number, sign in asked:
        for place in range(bisect_left(cuts, piece.start), bisect_left(cuts, piece.end)):
            shares[place][number] = shares[place].get(number, 0) + sign
    found: list[Stretch] = []
    for (start, end), parts in zip(pairwise(cuts), shares, strict=False):
        told = tuple((number, sign) for number, sign in sorted(parts.items()) if sign)
        if told and found and found[-1].end == start and found[-1].shares == told:
            found[-1] = Stretch(found[-1].start, end, told)
        elif told:
            found.append(Stretch(start, end, told))
    return found
