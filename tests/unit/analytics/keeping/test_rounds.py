"""The keeper's rounds: nothing ends them, each problem is told once, budgets that were reached are noted."""

import logging
import time
from decimal import Decimal

import pytest

from analytics import budget_book, ledger
from analytics.counters.sqlite_store import SqliteStore
from analytics.lengths import DEFAULT, FEWEST, Lengths
from analytics.models import AuditEntry
from analytics.types import Book
from tests.unit.analytics.accounting import (
    account_of,
    balance,
    costing,
    make_budget,
    no_database,
)
from tests.unit.analytics.keeping.conftest import busy

pytestmark = pytest.mark.django_db


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
