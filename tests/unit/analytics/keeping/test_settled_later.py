"""What was left is settled: by the store that was away, by lapsed reservations, by processes that died."""

import pytest

from analytics import drainer, ids, ledger, limits
from analytics.counters.steps import Admit, Correct, Rate, Settle, Slots
from tests.unit.analytics.accounting import balance, costing, done, holding, make_budget, reserve
from tests.unit.analytics.keeping.conftest import busy, look_again
from tests.unit.analytics.test_drainer import abandon

pytestmark = pytest.mark.django_db


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

    def test_what_was_held_for_one_that_called_nobody_yet_is_given_back(self, kept, store, root):
        budget, noted = make_budget(), holding(0, attempts=0)
        kept.look()
        assert reserve(store, noted.id, budget, usd=4)
        abandon(root, opened=[noted])
        drainer.replay_abandoned(root, replayed=kept.replayed)
        kept.look()
        assert balance(store, budget) == (0, 0)

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
