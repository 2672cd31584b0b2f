"""Accounts filled from the truth: the ledger's rows, settled lines not drained yet, caps of what is open."""

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from django.db import OperationalError

from analytics import budget_book, drainer, ids, ledger, rebuilding, spending
from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import Line, Settle
from analytics.models import UsageRecord
from analytics.spool import Reader
from tests.unit.analytics.accounting import (
    account_of,
    balance,
    before_the_sum,
    costing,
    holding,
    make_budget,
    no_database,
    now,
    reserve,
)
from tests.unit.analytics.test_drainer import abandon, database_away

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def expected_noise(caplog):
    caplog.set_level(logging.CRITICAL, logger="analytics.drainer")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters.sqlite3"


@pytest.fixture
def store(path):
    store = SqliteStore(path, deadline_s=2)
    yield store
    store.close()


@pytest.fixture
def another(path):
    """The same counters in another process."""
    store = SqliteStore(path, deadline_s=2)
    yield store
    store.close()


def wanted(*, at=None):
    return rebuilding.targets(budget_book.load().all(), at=at or now())


@pytest.fixture
def rebuild(root):
    def rebuilds(store, *, at=None, replayed=lambda rows: None, wait=lambda seconds: None):
        return rebuilding.rebuild(
            store,
            wanted=wanted(at=at or now()),
            spool_root=root,
            announce_s=0,
            replayed=replayed,
            wait=wait,
        )

    return rebuilds


def settle(store, request_id, usd):
    return store.settle_now([Settle(request_id.hex, int(Decimal(usd) * 10**9))])[0].was_open


class TestWhatIsCounted:
    def test_rows_of_the_ledger_in_the_budgets_window(self, store, rebuild):
        at = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
        budget = make_budget("day")
        for when in (at - timedelta(hours=13), at - timedelta(hours=12), at):
            ledger.insert([costing("0.25", when)])
        budget.defined_at = at - timedelta(days=3)
        budget.save()
        assert rebuild(store, at=at)
        assert balance(store, budget, at=at) == (0.5, 0)

    def test_each_budget_counts_its_own(self, store, rebuild, ours, theirs):
        mine, project, everything = (
            make_budget(api_key=ours.key),
            make_budget(project=theirs.project),
            make_budget(),
        )
        ledger.insert([costing(1, key_id=ours.key.pk, project_id=ours.project.pk)])
        ledger.insert([costing(2, key_id=theirs.key.pk, project_id=theirs.project.pk)])
        ledger.insert([costing(4, key_id=None, project_id=ours.project.pk)])
        rebuild(store)
        assert [balance(store, budget) for budget in (mine, project, everything)] == [(1, 0), (2, 0), (7, 0)]

    def test_settled_lines_that_are_not_in_the_ledger_yet(self, store, rebuild, own):
        budget = make_budget()
        ledger.insert([costing(1)])
        own.settled(costing(2))
        rebuild(store)
        assert balance(store, budget) == (3, 0)

    def test_a_line_that_was_drained_but_still_stands_there_once(self, store, rebuild, own, root):
        budget = make_budget()
        own.settled(costing(2))
        drainer.drain(Reader(own.folder), root=root)
        assert UsageRecord.objects.count() == 1
        rebuild(store)
        assert balance(store, budget) == (2, 0)

    def test_the_cap_of_what_is_open(self, store, rebuild, own):
        budget = make_budget()
        own.opened(holding(3))
        rebuild(store)
        assert balance(store, budget) == (0, 3)

    def test_of_several_attempts_the_highest_cap(self, store, rebuild, own):
        budget, line = make_budget(), holding(3)
        own.opened(line)
        own.opened(msgspec.structs.replace(line, cap_usd=Decimal(5), attempts=2))
        rebuild(store)
        assert balance(store, budget) == (0, 5)

    def test_settled_over_open(self, store, rebuild, own):
        budget, line = make_budget(), holding(3)
        own.opened(line)
        own.settled(costing(1, id=line.id))
        rebuild(store)
        assert balance(store, budget) == (1, 0)

    def test_what_no_budget_asked_for_yet_at_its_estimate(self, store, rebuild, own):
        budget = make_budget()
        own.opened(msgspec.structs.replace(holding(0), cost_usd=Decimal(2)))
        rebuild(store)
        assert balance(store, budget) == (0, 2)

    def test_lines_of_others_and_of_other_windows_do_not(self, store, rebuild, own, ours):
        at = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
        budget = make_budget("hour", api_key=ours.key, age_s=0)
        budget.defined_at = at - timedelta(days=1)
        budget.save()
        early, within = (costing(0, when, key_id=ours.key.pk) for when in (at - timedelta(minutes=31), at))
        own.opened(holding(1, id=early.id, key_id=ours.key.pk))
        own.opened(holding(2, id=within.id, key_id=ours.key.pk))
        own.opened(holding(4, id=costing(0, at).id, key_id=ours.key.pk + 1))
        own.opened(holding(8, id=costing(0, at + timedelta(minutes=30)).id, key_id=ours.key.pk))
        rebuild(store, at=at)
        assert balance(store, budget, at=at) == (0, 2)

    def test_rounding_is_once_and_upwards(self, store, rebuild):
        budget = make_budget()
        ledger.insert([costing("0.0000000001") for _ in range(11)])
        rebuild(store)
        assert balance(store, budget) == (2e-9, 0)

    def test_what_another_machine_announced(self, store, rebuild, own):
        """The embedded store announces nothing: here it is given the lines of a process far away."""
        budget, known = make_budget(), holding(1)
        own.opened(known)
        store.announced = lambda token: {
            "far": [Line(known.id.hex, 1, 1, 2 * 10**9, False), Line(ids.new().hex, 1, 1, 4 * 10**9, True)]
        }
        rebuild(store)
        assert balance(store, budget) == (2, 4)


class TestWhichAccounts:
    def test_only_those_that_are_lacking_are_written(self, store, rebuild, own):
        old = make_budget()
        rebuild(store)
        assert reserve(store, ids.new(), old, usd=7)
        new = make_budget(age_s=5)
        rebuilt = rebuild(store)
        assert [name for name, _, _ in rebuilt.spent] == [account_of(new).name]
        assert balance(store, old) == (0, 7)

    def test_a_budget_that_is_settling_in_has_its_account_before_it_is_enforced(self, store, rebuild):
        make_budget(age_s=1)
        late = make_budget(age_s=1.6)
        rebuilt = rebuild(store)
        assert [name for name, _, _ in rebuilt.spent] == [account_of(late).name]

    def test_disabled_and_ended_budgets_have_none(self, store, rebuild):
        make_budget(enabled=False)
        make_budget(ends_at=now() - timedelta(hours=1))
        make_budget(starts_at=now() + timedelta(hours=1))
        assert rebuild(store).spent == ()

    def test_a_window_that_has_just_ended_is_filled_for_those_who_are_slow_to_begin(self, store, rebuild):
        at = datetime(2026, 11, 20, 12, 0, 10, tzinfo=UTC)
        budget = make_budget("hour")
        budget.defined_at = at - timedelta(days=1)
        budget.save()
        before = at - timedelta(seconds=20)
        ledger.insert([costing(1, before), costing(2, at)])
        rebuild(store, at=at)
        assert (balance(store, budget, at=before), balance(store, budget, at=at)) == ((1, 0), (2, 0))

    def test_also_of_a_budget_made_since_then(self, store, rebuild):
        """A request that was long in coming counts in the window it started in, and is held to it."""
        at = datetime(2026, 11, 20, 12, 0, 10, tzinfo=UTC)
        budget = make_budget("hour")
        budget.defined_at = at - timedelta(seconds=5)
        budget.save()
        ledger.insert([costing(1, at - timedelta(seconds=30))])
        rebuild(store, at=at)
        assert balance(store, budget, at=at - timedelta(seconds=30)) == (1, 0)

    def test_without_budgets_the_store_is_made_whole(self, store, rebuild):
        assert store.pulse().whole_since_ms is None
        assert rebuild(store)
        assert store.pulse().whole_since_ms is not None


class TestMeanwhile:
    def test_a_row_drained_between_the_reading_and_the_sum_counts_once(self, store, rebuild, own, root):
        budget, line = make_budget(), holding(3)
        own.settled(costing(2))
        own.opened(line)

        def drain():
            own.settled(costing(1, id=line.id))
            drainer.drain(Reader(own.folder), root=root)

        with before_the_sum(drain):
            rebuild(store)
        assert UsageRecord.objects.count() == 2
        assert balance(store, budget) == (2, 3)
        assert settle(store, line.id, 1)
        assert balance(store, budget) == (3, 0)

    def test_a_request_settled_during_the_rebuild_is_open_no_more(self, store, another, rebuild, own):
        budget, line = make_budget(), holding(3)
        own.opened(line)
        with before_the_sum(lambda: settle(another, line.id, "0.5")):
            rebuild(store)
        assert balance(store, budget) == (0.5, 0)

    def test_one_whose_last_line_was_deleted_under_us_costs_what_the_ledger_says(self, store, rebuild, own):
        budget, line = make_budget(), holding(3)
        own.opened(line)
        ledger.insert([costing(1, id=line.id)])
        rebuilt = rebuild(store)
        assert (balance(store, budget), rebuilt.held) == ((1, 0), ())

    def test_a_new_budget_takes_in_what_is_open(self, store, rebuild, own, ours):
        old, line = make_budget(), holding(3, key_id=ours.key.pk, project_id=ours.project.pk)
        rebuild(store)
        assert reserve(store, line.id, old, usd=3)
        own.opened(line)
        own.settled(costing(1, key_id=ours.key.pk))
        new = make_budget(api_key=ours.key, age_s=5)
        assert not reserve(store, ids.new(), old, new, usd=1)
        rebuild(store)
        assert (balance(store, old), balance(store, new)) == ((0, 3), (1, 3))
        assert settle(store, line.id, 2)
        assert (balance(store, old), balance(store, new)) == ((2, 0), (3, 0))

    def test_of_two_processes_one_rebuilds(self, store, another, rebuild):
        budget = make_budget()
        ledger.insert([costing(1)])
        others = []
        assert rebuild(store, wait=lambda seconds: others.append(rebuild(another)))
        assert others == [None]
        assert balance(another, budget) == (1, 0)

    def test_counters_deleted_in_the_middle_are_rebuilt_the_next_time(self, store, path, rebuild):
        budget = make_budget()
        ledger.insert([costing(1)])
        assert rebuild(store, wait=lambda seconds: path.unlink()) is None
        assert balance(store, budget) is None
        assert rebuild(store)
        assert balance(store, budget) == (1, 0)

    def test_a_living_process_keeps_every_line(self, store, rebuild, own, small_segments):
        make_budget()
        lines = [costing(1) for _ in range(12)]
        for line in lines:
            own.settled(line)
        before = sorted(own.folder.iterdir())
        rebuild(store)
        assert sorted(own.folder.iterdir()) == before


class TestDeadProcesses:
    def test_are_replayed_first(self, store, rebuild, root):
        budget, line = make_budget(), holding(3)
        folder = abandon(root, opened=[line], settled=[costing(1)])
        told = []
        rebuild(store, replayed=told.extend)
        assert not folder.exists()
        assert {row.id for row in told} == set(UsageRecord.objects.values_list("id", flat=True))
        assert balance(store, budget) == (4, 0)

    def test_what_cannot_be_replayed_yet_is_open(self, store, rebuild, root):
        budget = make_budget()
        abandon(root, opened=[holding(3)])
        with database_away():
            rebuild(store)
        assert balance(store, budget) == (0, 3)

    def test_what_was_replayed_without_anybody_being_told_costs_what_the_ledger_says(self, store, rebuild, root):
        budget = make_budget()
        abandon(root, opened=[holding(3)])

        def away(rows):
            raise OperationalError("gone")

        rebuild(store, replayed=away)
        assert UsageRecord.objects.get().budget_usd == 3
        assert balance(store, budget) == (3, 0)


class TestFailing:
    def test_without_a_database_nothing_is_written_and_the_mark_goes(self, store, another, rebuild, root):
        budget = make_budget()
        ledger.insert([costing(1)])
        known = wanted()
        with no_database(), pytest.raises(OperationalError):
            rebuilding.rebuild(
                store,
                wanted=known,
                spool_root=root,
                announce_s=0,
                replayed=lambda rows: None,
            )
        assert (balance(store, budget), store.pulse().rebuilding) == (None, "")
        assert rebuild(another)
        assert balance(store, budget) == (1, 0)

    def test_one_that_took_too_long_writes_nothing(self, path, root):
        clock = [1_000_000]
        store = SqliteStore(path, deadline_s=2, clock=lambda: clock[0])
        make_budget()
        rebuilt = rebuilding.rebuild(
            store,
            wanted=wanted(),
            spool_root=root,
            announce_s=1,
            replayed=lambda rows: None,
            ttl_ms=30_000,
            wait=lambda seconds: clock.__setitem__(0, clock[0] + 30_001),
        )
        assert rebuilt is None
        assert store.pulse().whole_since_ms is None
        store.close()


class TestItsTime:
    """A clock of the store's on which each sum takes four seconds."""

    @pytest.fixture
    def slow(self, path, root, monkeypatch):
        clock = [1_000_000]
        store = SqliteStore(path, deadline_s=2, clock=lambda: clock[0])
        usual = spending.spent

        def spent(*args, **named):
            clock[0] += 4_000
            return usual(*args, **named)

        monkeypatch.setattr(spending, "spent", spent)
        yield lambda ttl_ms: rebuilding.rebuild(
            store,
            wanted=wanted(),
            spool_root=root,
            announce_s=0,
            replayed=lambda rows: None,
            ttl_ms=ttl_ms,
            wait=lambda seconds: None,
        )
        store.close()

    @pytest.fixture(autouse=True)
    def two_sums(self, ours):
        make_budget()
        make_budget(api_key=ours.key)

    def test_is_as_long_as_all_its_sums_take(self, slow):
        assert len(slow(5_000).spent) == 2

    def test_is_over_when_one_sum_takes_longer(self, slow):
        assert slow(3_000) is None


def test_a_sum_is_asked_for_once_for_each_scope_and_span(store, rebuild, ours, django_assert_num_queries):
    for _ in range(3):
        make_budget()
    make_budget(api_key=ours.key)
    make_budget("day", api_key=ours.key, age_s=10 * 86_400)
    with django_assert_num_queries(1 + 3):
        rebuild(store)


def test_a_store_is_asked_for_some_hundred_accounts_at_a_time(store, rebuild):
    make_budget()
    (target,) = wanted()
    asked = []

    def missing(some):
        asked.append(len(some))
        return some[:1]

    store.missing = missing
    assert len(rebuilding.lacking(store, [target] * 1_100)) == 1_100
    assert asked == [500, 500, 100]


@pytest.mark.parametrize(
    ("age_s", "window", "minute", "is_kept"),
    [(86_400, "hour", 30, True), (30, "total", 30, False), (86_400, "hour", 0, False), (86_400, "total", 0, True)],
    ids=["within its window", "just made", "its window has just begun", "without an end"],
)
def test_accounts_are_the_same_until_a_window_ends(age_s, window, minute, is_kept):
    at = datetime(2026, 11, 20, 12, minute, 20, tzinfo=UTC)
    budget = make_budget(window)
    budget.defined_at = at - timedelta(seconds=age_s)
    until = rebuilding.same_until(budget_book.frozen(budget), at=at)
    assert (until > at) is is_kept
    if is_kept and window == "hour":
        assert until == datetime(2026, 11, 20, 13, tzinfo=UTC) - rebuilding.FILLED_AHEAD
