from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import histograms
from analytics.histograms import BOUNDS_MS, COUNTERS


def counts_of(durations: list[float]) -> list[int]:
    counts = [0] * COUNTERS
    for duration in durations:
        counts[histograms.place(duration)] += 1
    return counts


def test_there_are_forty_classes_that_end_beyond_ten_minutes() -> None:
    assert len(BOUNDS_MS) == COUNTERS - 1
    assert BOUNDS_MS[0] == 5
    assert 580_000 < BOUNDS_MS[-1] < 620_000


@pytest.mark.parametrize(
    ("duration_ms", "number"),
    [(0.0, 0), (5.0, 0), (5.001, 1), (6.8, 1), (6.801, 2), (BOUNDS_MS[-1], 38), (1e9, 39)],
)
def test_a_class_holds_its_longest_duration(duration_ms: float, number: int) -> None:
    assert histograms.place(duration_ms) == number


def test_nothing_counted_has_no_quantile() -> None:
    assert histograms.quantile([0] * COUNTERS, 0.5) is None


@given(
    st.lists(st.floats(min_value=4, max_value=500_000), min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99])
)
def test_a_quantile_lies_within_the_class_of_the_true_one(durations: list[float], share: float) -> None:
    durations.sort()
    true = durations[min(math.ceil(len(durations) * share), len(durations)) - 1]
    told = histograms.quantile(counts_of(durations), share)
    assert told is not None
    assert true / 1.361 <= told <= true * 1.361


def test_many_durations_of_one_class_are_told_apart_by_their_number() -> None:
    counts = [0] * COUNTERS
    counts[10] = 100
    tenth, half, ninth = (histograms.quantile(counts, share) for share in (0.1, 0.5, 0.9))
    assert tenth is not None and half is not None and ninth is not None
    assert BOUNDS_MS[9] < tenth < half < ninth < BOUNDS_MS[10]
