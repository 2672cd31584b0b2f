"""A rebuild while others count on: nothing is lost or counted twice, and one that fails or lasts too long stops."""

import pytest
from django.db import OperationalError

from analytics import drainer, ids, ledger, rebuilding, spending
from analytics.counters.sqlite_store import SqliteStore
from analytics.models import UsageRecord
from analytics.spool import Reader
from tests.unit.analytics.accounting import balance, before_the_sum, costing, holding, make_budget, no_database, reserve
from tests.unit.analytics.keeping.conftest import settle, wanted

pytestmark = pytest.mark.django_db


@pytest.fixture
def deadline_s():
    """Nothing keeps the store waiting here."""
    return 2


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
