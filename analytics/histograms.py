"""Durations counted into 40 classes that widen with their length, so that counts of any two spans of time add up. Pure.

The first class holds up to 5 ms, each next one reaches 1.36 times as far, the 39th ends at about 10 minutes and the
last one holds all that is longer. A quantile read from them lies within its class: off by 36 % at most, and by far less
where many durations share a class, as it is placed between the class's ends by how many lie below.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

COUNTERS = 40
_FIRST_MS, _GROWTH = 5.0, 1.36
BOUNDS_MS = tuple(round(_FIRST_MS * _GROWTH**number, 3) for number in range(COUNTERS - 1))
"""The longest duration of each class but the last, which has none."""
_EDGES_MS = (BOUNDS_MS[0] / _GROWTH, *BOUNDS_MS, BOUNDS_MS[-1] * _GROWTH)


def place(duration_ms: float) -> int:
    """The class of a duration: 0 to 39."""
    return bisect_left(BOUNDS_MS, duration_ms)


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Milliseconds that `share` (0 to 1) of the counted durations do not exceed; None where there are none.

    Within a class durations are taken to lie evenly on a logarithmic scale, as the classes do.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, below = share * total, 0
    for count, (low, high) in zip(counts, pairwise(_EDGES_MS), strict=True):
        if count and below + count >= wanted:
            return float(low * (high / low) ** (max(wanted - below, 0.0) / count))
        below += count
    return _EDGES_MS[-1]
