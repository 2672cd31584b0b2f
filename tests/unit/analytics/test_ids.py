"""Request ids: the time and the draw of a request are read from its id."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from analytics import ids


def made_of(*, milliseconds=0, low=0):
    return UUID(int=milliseconds << 80 | 7 << 76 | 0b10 << 62 | low)


def test_a_new_id_is_a_uuid_of_version_7():
    new = ids.new()
    assert isinstance(new, UUID)
    assert (new.version, new.variant) == (7, made_of().variant)


def test_its_time_is_the_millisecond_it_was_made_in():
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    assert before <= ids.started_at(ids.new()) <= datetime.now(UTC)


def test_later_ids_sort_later():
    made = [ids.new() for _ in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == 1000


@pytest.mark.parametrize(
    "moment", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)]
)
def test_the_time_is_exact_to_the_millisecond(moment):
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert ids.started_at(made_of(milliseconds=milliseconds, low=12345)) == moment


def test_the_same_id_always_draws_the_same():
    request_id = ids.new()
    assert ids.draw(request_id) == ids.draw(UUID(str(request_id)))


@pytest.mark.parametrize("low", [0, 1, (1 << 62) - 1])
def test_a_draw_is_at_least_0_and_below_1(low):
    assert 0 <= ids.draw(made_of(low=low)) < 1


def test_draws_are_spread_evenly():
    count = 20_000
    tenths = Counter(int(ids.draw(ids.new()) * 10) for _ in range(count))
    assert set(tenths) == set(range(10))
    assert all(abs(found - count / 10) < count / 40 for found in tenths.values())


def test_requests_of_one_moment_draw_independently_of_each_other():
    draws = [ids.draw(ids.new()) for _ in range(1000)]
    steps = [abs(after - before) for before, after in zip(draws, draws[1:], strict=False)]
    assert sum(steps) / len(steps) == pytest.approx(1 / 3, abs=0.05)


def test_a_unix_time_becomes_an_aware_datetime():
    assert ids.moment(1_750_000_000.5) == datetime(2025, 6, 15, 15, 6, 40, 500_000, tzinfo=UTC)
