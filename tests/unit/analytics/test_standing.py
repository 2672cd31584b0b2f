"""How budgets stand: spent and held in the window they are in, and nothing invented where nobody knows."""

from datetime import timedelta
from decimal import Decimal

import pytest

from analytics import accounts, budget_book, standing
from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import Rebuilt, Settle, nano
from analytics.ids import new
from analytics.models import Budget
from analytics.standing import Standing
from tests.unit.analytics.accounting import account_of, make_budget, now, reserve

pytestmark = pytest.mark.django_db


@pytest.fixture
def store(settings, tmp_path):
    """The counters that a server of this installation uses, whole."""
    settings.COUNTERS_FILE = tmp_path / "counters.sqlite3"
    store = SqliteStore(settings.COUNTERS_FILE)
    store.begin("t", ttl_ms=1000)
    store.finish("t", Rebuilt((), (), 1000))
    yield store
    store.close()


@pytest.fixture
def row(store):
    """A total budget that starts after the counters were made whole."""
    return make_budget(starts_at=now() + timedelta(seconds=1))


def of(row):
    """Two seconds from now: with it the budget of the fixture has begun."""
    return standing.of([row], at=now() + timedelta(seconds=2))[row.pk]


def test_what_was_settled_is_spent_and_what_is_open_is_held(store, row):
    first, second = new(), new()
    assert reserve(store, first, row, usd="2")
    store.settle_now([Settle(first.hex, nano(Decimal("0.25")))])
    assert reserve(store, second, row, usd="3")
    assert of(row) == Standing(Decimal("0.25"), Decimal(3), row.starts_at, None)


def test_one_that_nobody_has_used_stands_at_nothing(row):
    assert (of(row).spent_usd, of(row).held_usd) == (0, 0)


def test_the_window_is_the_one_it_is_in(store):
    row = make_budget("month", age_s=200_000)
    span = accounts.span(budget_book.frozen(row), at=now() + timedelta(seconds=2))
    assert (of(row).window_starts_at, of(row).window_ends_at) == (span.start, span.end)


def test_what_waits_for_a_rebuild_is_not_told_as_nothing(store):
    """The store came up after the window began: who knows what was spent before."""
    assert of(make_budget("total", age_s=3600)).spent_usd is None


def test_without_counters_amounts_are_unknown_and_windows_are_not(settings, tmp_path):
    settings.COUNTERS_FILE = tmp_path / "a file" / "counters.sqlite3"
    settings.COUNTERS_FILE.parent.write_text("in the way")
    found = of(make_budget("day"))
    assert (found.spent_usd, found.held_usd) == (None, None)
    assert found.window_starts_at is not None


@pytest.mark.parametrize(
    "dates", [{"starts_at": timedelta(hours=1)}, {"starts_at": -timedelta(hours=2), "ends_at": -timedelta(hours=1)}]
)
def test_one_whose_dates_do_not_hold_has_no_window(store, dates):
    assert of(make_budget(**{name: now() + by for name, by in dates.items()})) == standing.UNKNOWN


def test_a_disabled_one_counts_nothing(store, row):
    reserve(store, new(), row, usd="3")
    Budget.objects.update(enabled=False)
    row.refresh_from_db()
    assert (of(row).spent_usd, of(row).window_starts_at) == (None, row.starts_at)


def test_the_counters_are_opened_and_asked_once_for_all(store, monkeypatch):
    rows = [make_budget(window) for window in ("hour", "day", "week", "month")]
    asked = []

    class Asked(SqliteStore):
        def balances(self, names):
            asked.append(list(names))
            return super().balances(names)

    monkeypatch.setattr(standing, "open_store", lambda: Asked(store._file._path))
    standing.of(rows)
    assert asked == [[account_of(row).name for row in rows]]


def test_without_rows_nothing_is_opened(monkeypatch):
    monkeypatch.delattr(standing, "open_store")
    assert standing.of([]) == {}
