"""Lost accounts are filled, and processes of several machines tell one another what they hold."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from analytics import budget_book, ids, ledger
from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import Settle
from analytics.spool import Spool
from tests.unit.analytics.accounting import (
    balance,
    costing,
    holding,
    make_budget,
    no_database,
    now,
    reserve,
)
from tests.unit.analytics.keeping.conftest import look_again, look_until

pytestmark = pytest.mark.django_db


class FarStore(SqliteStore):
    """Processes of several machines announce to it, as to a store that is not on one of them."""

    is_local = False

    def __init__(self, path, **options):
        super().__init__(path, **options)
        self.lines = {}

    def announce(self, token, *, source, lines):
        if self.pulse().rebuilding == token:
            self.lines.setdefault(token, {})[source] = list(lines)

    def announced(self, token):
        return self.lines.get(token, {})


class TestAccounts:
    def test_are_filled_at_the_start(self, kept, store):
        budget = make_budget()
        ledger.insert([costing(1)])
        kept.look()
        assert (balance(store, budget), kept.problem) == ((1, 0), "")

    def test_are_filled_again_when_the_counters_were_deleted(self, kept, store, path, own):
        budget, line = make_budget(), holding(3)
        kept.look()
        assert reserve(store, line.id, budget, usd=3)
        own.opened(line)
        own.settled(costing(1))
        path.unlink()
        assert not reserve(store, ids.new(), budget, usd=1)
        kept.look()
        assert balance(store, budget) == (1, 3)

    def test_of_a_new_budget_are_filled_shortly_before_it_is_enforced(self, kept, store):
        kept.look()
        budget = make_budget(age_s=1.3)
        made = now()
        look_until(kept, lambda: balance(store, budget) is not None)
        assert timedelta(seconds=0.15) < now() - made < timedelta(seconds=2)

    def test_that_a_request_misses_are_filled_at_once(self, kept, store, path):
        budget = make_budget()
        kept.look()
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("DELETE FROM accounts")
        kept.look()
        assert balance(store, budget) is None
        kept.wants_rebuild()
        kept.look()
        assert balance(store, budget) == (0, 0)

    def test_that_are_known_to_be_there_are_not_asked_for_again(self, kept, store, monkeypatch):
        make_budget()
        kept.look()
        look_again(kept)
        asked = []
        usual = store.missing
        monkeypatch.setattr(store, "missing", lambda some: asked.append(len(some)) or usual(some))
        look_again(kept)
        assert asked == []
        new = make_budget(age_s=5)
        kept.look()
        assert (set(asked), balance(store, new)) == ({1}, (0, 0))
        kept.wants_rebuild()
        kept.look()
        assert asked[-1] == 2

    def test_of_a_budget_that_is_no_more_are_not_asked_for(self, make_keeper, store):
        make_budget()
        kept = make_keeper(store)
        kept.look()
        gone = make_budget()
        old = budget_book.load()
        kept = make_keeper(store, book=lambda: old)
        gone.delete()
        began = []
        store.begin = lambda *args, **options: began.append(args)
        kept.look()
        assert began == []

    def test_wait_for_the_database_with_ever_longer_pauses(self, kept, store):
        budget = make_budget()
        with no_database():
            kept.look()
            paused_s = kept._pause_s
            kept._fill_at = 0.0
            kept.look()
        assert (balance(store, budget), kept._pause_s) == (None, 2 * paused_s)
        assert "accounts: gone" in kept.problem
        look_again(kept)
        assert (balance(store, budget), kept.problem) == ((0, 0), "")

    def test_are_left_to_whoever_is_at_it(self, kept, store):
        budget = make_budget()
        assert store.begin("another", ttl_ms=60_000)
        kept.look()
        assert balance(store, budget) is None


class TestAnnouncing:
    @pytest.fixture
    def far(self, path):
        store = FarStore(path, deadline_s=0.1)
        yield store
        store.close()

    def test_what_is_open_and_settled_is_told_to_who_rebuilds(self, far, make_keeper, own):
        line, settled = holding(3), costing(1)
        own.opened(line)
        own.settled(settled)
        kept = make_keeper(far)
        assert far.begin("another", ttl_ms=60_000)
        kept.look()
        (announced,) = far.announced("another").values()
        assert {(one.id, one.nano_usd, one.is_open) for one in announced} == {
            (line.id.hex, 3 * 10**9, True),
            (settled.id.hex, 10**9, False),
        }

    def test_what_is_opened_while_a_rebuild_is_under_way_is_told_too(self, far, make_keeper, own):
        kept = make_keeper(far)
        assert far.begin("another", ttl_ms=60_000)
        kept.look()
        line = holding(4)
        own.opened(line)
        kept.look()
        ((announced,),) = far.announced("another").values()
        assert announced.id == line.id.hex

    def test_what_was_announced_too_late_is_held_all_the_same(self, far, make_keeper, own, tmp_path):
        budget, line = make_budget(), holding(3)
        own.opened(line)
        elsewhere = Spool(tmp_path / "elsewhere")
        other = make_keeper(far, spool=elsewhere, spool_root=tmp_path / "elsewhere")
        other.look()
        assert balance(far, budget) == (0, 0)
        kept = make_keeper(far)
        for _ in range(2):
            kept.look()
            assert balance(far, budget) == (0, 3)
        ledger.insert([costing(1, id=line.id)])
        look_again(kept)
        elsewhere.close()
        assert balance(far, budget) == (1, 0)

    def test_what_the_counters_have_settled_is_not_held_again(self, far, make_keeper, own):
        budget, line = make_budget(), holding(3)
        kept = make_keeper(far)
        kept.look()
        assert reserve(far, line.id, budget, usd=3)
        own.opened(line)
        kept._adopted_since_ms = None
        usual = far.unknown

        def settles_meanwhile(ids):
            own.settled(costing(1, id=line.id))
            far.settle_now([Settle(line.id.hex, nano_usd=10**9)])
            return usual(ids)

        far.unknown = settles_meanwhile
        kept.look()
        assert balance(far, budget) == (1, 0)

    def test_a_rebuild_counts_what_others_announced_in_the_meantime(self, far, make_keeper, own, tmp_path):
        budget = make_budget()
        elsewhere = Spool(tmp_path / "elsewhere")
        elsewhere.opened(holding(3))
        other = make_keeper(far, spool=elsewhere, spool_root=tmp_path / "elsewhere")
        kept = make_keeper(far)
        kept._stopping.wait = lambda seconds: other.look()
        own.settled(costing(1))
        kept.look()
        elsewhere.close()
        assert balance(far, budget) == (1, 3)
