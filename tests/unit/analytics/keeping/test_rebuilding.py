"""Accounts filled from the truth: the ledger's rows, settled lines not drained yet, caps of what is open."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from django.db import OperationalError

from analytics import budget_book, drainer, ids, ledger, rebuilding
from analytics.counters.steps import Line
from analytics.models import UsageRecord
from analytics.spool import Reader
from tests.unit.analytics.accounting import account_of, balance, costing, holding, make_budget, now, reserve
from tests.unit.analytics.keeping.conftest import wanted
from tests.unit.analytics.test_drainer import abandon, database_away

pytestmark = pytest.mark.django_db


@pytest.fixture
def deadline_s():
    """Nothing keeps the store waiting here."""
    return 2


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


def test_a_sum_is_asked_for_once_for_each_scope_and_span(store, rebuild, ours, django_assert_num_queries):
    for _ in range(3):
        make_budget()
    make_budget(api_key=ours.key)
    make_budget("day", api_key=ours.key, age_s=10 * 86_400)
    with django_assert_num_queries(1 + 3 * 3):  # before and after each it is read how far back the ledger reaches
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
