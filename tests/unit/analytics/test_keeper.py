"""The keeper's rounds: lost accounts are filled, what was left is settled, nothing ends the thread."""

import logging
import sqlite3
import time
from contextlib import closing, contextmanager
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from analytics import budget_book, drainer, ids, keeper, ledger, limits
from analytics.counters.sqlite_store import SqliteStore, unix_ms
from analytics.counters.steps import Admit, Correct, Rate, Settle, Slots
from analytics.lengths import DEFAULT, FEWEST, Lengths
from analytics.models import AuditEntry
from analytics.spool import Spool
from analytics.types import Book
from tests.unit.analytics.accounting import (
    account_of,
    balance,
    costing,
    done,
    holding,
    make_budget,
    no_database,
    now,
    reserve,
)
from tests.unit.analytics.test_drainer import abandon

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def expected_noise(caplog):
    for name in ("drainer", "keeper"):
        caplog.set_level(logging.CRITICAL, logger=f"analytics.{name}")


@pytest.fixture
def no_close(monkeypatch):
    """The keeper closes its thread's connection; here that is the one the test's transaction is open on."""
    monkeypatch.setattr(keeper, "connection", SimpleNamespace(close=lambda: None))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters.sqlite3"


class Clock:
    """The store's time: the real one, and what was added to it."""

    def __init__(self):
        self.ahead_ms = 0

    def __call__(self):
        return unix_ms() + self.ahead_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(path, clock):
    store = SqliteStore(path, deadline_s=0.1, clock=clock)
    yield store
    store.close()


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


@pytest.fixture
def make_keeper(own, root, no_close):
    def makes(store, **options):
        usual = {"spool": own, "spool_root": root, "book": _the_same(), "lengths": Lengths(), "announce_s": 0}
        return keeper.Keeper(store, **(usual | options))

    return makes


def _the_same():
    """A book as a snapshot has it: another value only when budgets have changed."""
    last = [budget_book.load()]

    def book():
        fresh = budget_book.load()
        if fresh != last[-1]:
            last.append(fresh)
        return last[-1]

    return book


@pytest.fixture
def kept(make_keeper, store):
    return make_keeper(store)


@contextmanager
def busy(path):
    """Somebody holds the counters' file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield


def look_again(kept):
    """A round in which everything is due."""
    kept._due_at = {"seed": float("inf")}
    kept._fill_at = 0.0
    kept.look()


def look_until(kept, condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        kept.look()


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


class TestSettlingWhatWasLeft:
    def test_a_settlement_waits_until_the_store_takes_it(self, kept, store, path):
        budget, id = make_budget(), ids.new()
        kept.look()
        reserve(store, id, budget, usd=3)
        kept.later(Settle(id.hex, nano_usd=10**9))
        with busy(path):
            kept.look()
            assert (kept.is_here, len(kept._later)) == (False, 1)
        kept.look()
        assert (kept.is_here, balance(store, budget)) == (True, (1, 0))

    def test_its_rates_are_not_corrected_twice(self, kept, store):
        rate = Rate("k1:tokens", 100, 60)
        bucket = done(store.admit(Admit("a", (rate,), (), 60_000, 60_000))).bucket
        step = Settle("a", nano_usd=1, corrections=(Correct("k1:tokens", bucket, -50),))
        kept.later(step)
        kept.later(Settle("a", corrections=step.corrections))
        kept.look()
        again = done(store.admit(Admit("b", (Rate("k1:tokens", 100, 0),), (), 60_000, 60_000)))
        assert again.states[0].used == 60

    def test_a_lapsed_reservation_costs_what_the_ledger_says(self, kept, store, clock):
        budget, id = make_budget(), ids.new()
        kept.look()
        reserve(store, id, budget, usd=3)
        clock.ahead_ms += 61_000
        look_again(kept)
        assert balance(store, budget) == (3, 0)
        ledger.insert([costing("0.5", id=id)])
        look_again(kept)
        assert balance(store, budget) == (0.5, 0)

    def test_what_a_rebuild_took_for_open_is_settled_when_its_row_comes(self, kept, store, own):
        """Not each such request settles: one of before the budget was made holds nothing that it knows of."""
        line = holding(0)
        own.opened(line)
        budget = make_budget()
        kept.look()
        ledger.insert([costing(2, id=line.id)])
        look_again(kept)
        assert (balance(store, budget), kept._held) == ((2, 0), {})

    def test_stopping_settles_what_waits(self, kept, store, path):
        budget, id = make_budget(), ids.new()
        kept.look()
        reserve(store, id, budget, usd=3)
        kept.later(Settle(id.hex, nano_usd=10**9))
        kept.run = lambda: None
        kept.start()
        with busy(path):
            assert not kept.stop(timeout_s=5)
        assert kept.stop(timeout_s=5)
        assert balance(store, budget) == (1, 0)


class TestDeadProcesses:
    def test_what_they_held_is_settled_and_their_places_are_free(self, kept, store, root):
        budget, line, row = make_budget(), holding(3, key_id=7), costing(1, key_id=7)
        kept.look()
        places = (Slots("k7:slots", 2), Slots("p1:slots", 2))
        for id in (line.id, row.id):
            assert reserve(store, id, budget, usd=4)
            assert done(store.admit(Admit(id.hex, (), places, 60_000, 600_000))).refused is None
        abandon(root, opened=[line], settled=[row])
        drainer.replay_abandoned(root, replayed=kept.replayed)
        kept.look()
        assert balance(store, budget) == (4, 0)
        for id in ("a", "b"):
            assert done(store.admit(Admit(id, (), places, 60_000, 600_000))).refused is None

    def test_one_that_was_settled_in_memory_costs_what_the_ledger_says(self, kept, store, root):
        budget, line = make_budget(), holding(3)
        kept.look()
        reserve(store, line.id, budget, usd=3)
        ledger.insert([costing("0.5", id=line.id)])
        abandon(root, opened=[line])
        drainer.replay_abandoned(root, replayed=kept.replayed)
        kept.look()
        assert balance(store, budget) == (0.5, 0)

    def test_of_the_owners_own_requests_the_project_alone_has_places(self):
        assert limits.slots_of(None, 1) == ("p1:slots",)
        assert limits.slots_of(7, 1) == ("k7:slots", "p1:slots")


class TestAudit:
    def tell(self, kept, row, *, spent="1.5"):
        budget = budget_book.frozen(row)
        kept.reached(account_of(row).name, budget, int(Decimal(spent) * 10**9))

    def test_a_budget_that_was_reached_is_noted(self, kept, ours):
        self.tell(kept, make_budget("day", limit="1.5", api_key=ours.key, severity="critical"))
        kept.look()
        entry = AuditEntry.objects.get(action="budget.reached")
        assert (entry.actor, entry.severity, entry.project_id) == ("system", "critical", ours.project.pk)
        assert entry.target == "key first"
        assert entry.after | {"budget": 0} == {
            "budget": 0,
            "window": "day",
            "limit_usd": "1.5",
            "spent_usd": "1.5",
            "action": "refuse",
        }

    def test_once_whoever_notices(self, make_keeper, store):
        row = make_budget()
        for _ in range(2):
            kept = make_keeper(store)
            for _ in range(2):
                self.tell(kept, row)
            kept.look()
        assert AuditEntry.objects.filter(action="budget.reached").count() == 1

    def test_also_when_the_database_was_away(self, kept):
        kept.look()
        self.tell(kept, make_budget())
        with no_database():
            kept.look()
        kept.look()
        assert AuditEntry.objects.filter(action="budget.reached").count() == 1


class TestRounds:
    def test_the_guard_hears_of_every_pulse(self, make_keeper, store, path):
        heard = []
        kept = make_keeper(store, on_pulse=heard.append)
        kept.look()
        with busy(path):
            kept.look()
        kept.look()
        assert heard == [True, False, True]

    def test_each_problem_is_told_once_until_it_is_mended(self, kept, path, caplog):
        caplog.set_level(logging.ERROR, logger="analytics.keeper")
        kept.look()
        with busy(path):
            for _ in range(3):
                kept.look()
            assert "the counters" in kept.problem
        kept.look()
        assert (len(caplog.records), kept.problem) == (1, "")

    def test_what_nobody_thought_of_stops_nothing_else(self, make_keeper, store, caplog):
        caplog.set_level(logging.ERROR, logger="analytics.keeper")

        def odd(is_here):
            raise RuntimeError("odd")

        budget = make_budget()
        kept = make_keeper(store, on_pulse=odd)
        kept.look()
        assert balance(store, budget) == (0, 0)
        assert [record.exc_info[0] for record in caplog.records] == [RuntimeError]

    def test_lengths_are_learned_from_the_ledger_once(self, make_keeper, store):
        ledger.insert([costing(0, model_id=3, output_tokens=64) for _ in range(FEWEST - 1)])
        known = Lengths()
        kept = make_keeper(store, lengths=known)
        with no_database():
            kept.look()
        kept._due_at.clear()
        for _ in range(3):
            kept.look()
        assert known.usual(key_id=1, model_id=3) == DEFAULT
        known.learn(key_id=1, model_id=3, tokens=64, was_capped=False)
        assert known.usual(key_id=1, model_id=3) == 64


class TestTheThread:
    @pytest.fixture
    def no_close(self):
        """Its connections are its own here: they see nothing of the test's transaction."""

    def test_of_two_processes_one_makes_the_store_whole_and_both_stop(self, make_keeper, path, store):
        another = SqliteStore(path, deadline_s=2)
        threads = [make_keeper(one, every_s=0.001, book=Book) for one in (store, another)]
        for thread in threads:
            thread.start()
        for thread in threads:
            assert thread.has_looked.wait(10)
        until = time.monotonic() + 10
        while store.pulse().whole_since_ms is None and time.monotonic() < until:
            time.sleep(0.005)
        for thread in threads:
            assert thread.stop(timeout_s=10)
            assert (thread.is_alive(), thread.is_here, thread.problem) == (False, True, "")
        another.close()
        assert store.pulse().whole_since_ms is not None

    def test_it_outlives_a_store_that_is_away(self, make_keeper, store, path):
        thread = make_keeper(store, every_s=0.001, book=Book)
        with busy(path):
            thread.start()
            assert thread.has_looked.wait(10)
            assert not thread.is_here
        until = time.monotonic() + 10
        while not thread.is_here and time.monotonic() < until:
            time.sleep(0.005)
        assert thread.stop(timeout_s=10)
        assert thread.is_here
