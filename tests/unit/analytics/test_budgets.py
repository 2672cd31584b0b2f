"""What budgets hold for a request, all in one step, and what they say no with."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from analytics import accounts, budgets
from analytics.accounts import KNOWN_AFTER
from analytics.budgets import Degrades, Reached, Unavailable
from analytics.counters.guard import Guard
from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import NO_END, Balance, Rebuilt, Settle, nano
from analytics.counters.store import StoreAway
from analytics.lengths import Lengths
from analytics.types import BudgetAction, NearEdge, Window
from tests.unit.routing.use_case import Heard, budget

NOW = datetime.now(UTC)
ZERO = Decimal(0)
NOTE, DEGRADE = BudgetAction.NOTE, BudgetAction.DEGRADE


class Store(SqliteStore):
    """Whose reservations fail when they are told to."""

    fails = False

    async def reserve(self, step):
        if self.fails:
            raise StoreAway("on purpose")
        return await super().reserve(step)


class Held:
    """A reservation by some budgets, with a store that knows what was spent of each."""

    def __init__(self, root):
        self.store = Store(root / "counters.sqlite3", deadline_s=5.0)
        self.heard = Heard()
        self.guard = Guard(self.store, keeper=self.heard, lengths=Lengths())

    def by(self, *found, spent="0", known=None, request_id="r"):
        self.names = [accounts.account(one, at=NOW).name for one in found]
        self.store.begin("t", ttl_ms=60_000)
        told = tuple((name, NO_END, nano(Decimal(spent))) for name in (self.names if known is None else known))
        self.store.finish("t", Rebuilt(told, (), 1000))
        return self.again(*found, request_id=request_id)

    def again(self, *found, request_id):
        return budgets.reservation(self.guard, found, request_id=request_id, at=NOW, ttl_s=60.0, now=NOW)

    def balances(self):
        found = self.store.balances(self.names)
        return [found.get(name) for name in self.names]


@pytest.fixture
def held(tmp_path):
    return Held(tmp_path)


async def hold(reservation, *caps, beside="0"):
    return await reservation.hold([Decimal(cap) for cap in caps], beside=Decimal(beside))


async def reached(reservation, *caps, kind=Reached, beside="0"):
    with pytest.raises(kind) as caught:
        await hold(reservation, *caps, beside=beside)
    return caught.value


class TestHold:
    async def test_holds_the_first_cap_that_fits(self, held):
        reservation = held.by(budget("1"))
        assert await hold(reservation, "2", "0.5") == 1
        assert held.balances() == [Balance(0, nano(Decimal("0.5")))]
        assert reservation.cap == nano(Decimal("0.5"))

    async def test_holds_it_in_all_of_several(self, held):
        await hold(held.by(budget("1", id=1), budget("2", id=2), budget("3", id=3)), "0.5")
        assert held.balances() == [Balance(0, 5 * 10**8)] * 3

    async def test_tops_up_beside_what_earlier_attempts_may_have_cost(self, held):
        reservation = held.by(budget("1"))
        await hold(reservation, "0.4")
        await hold(reservation, "0.3", beside="0.4")
        assert held.balances() == [Balance(0, 7 * 10**8)]

    async def test_never_lowers_what_is_held(self, held):
        reservation = held.by(budget("1"))
        await hold(reservation, "0.4")
        await hold(reservation, "0.1")
        assert (held.balances(), reservation.cap) == ([Balance(0, 4 * 10**8)], 4 * 10**8)

    async def test_what_should_cost_nothing_is_known_and_charged_if_it_does_cost(self, held):
        reservation = held.by(budget("1"), spent="1")
        assert await hold(reservation, "0") == 0
        assert held.balances() == [Balance(10**9, 0)]
        (settled,) = held.store.settle_now([Settle("r", 3)])
        assert (len(settled.spent), held.balances()) == (1, [Balance(10**9 + 3, 0)])

    async def test_what_should_cost_nothing_leaves_what_is_held_as_it_is(self, held):
        reservation = held.by(budget("1"))
        await hold(reservation, "0.4")
        assert await hold(reservation, "0", beside="0.4") == 0
        assert held.balances() == [Balance(0, 4 * 10**8)]

    async def test_what_should_cost_nothing_goes_on_whatever_the_counters_say(self, held):
        assert await hold(held.by(budget("1"), known=()), "0") == 0
        reservation = held.again(budget("1"), request_id="other")
        held.store.fails = True
        assert await hold(reservation, "0", beside="5") == 0
        assert reservation.was_asked  # nobody knows whether it is known there

    async def test_what_should_cost_nothing_is_charged_where_accounts_are_and_not_where_one_is_missing(self, held):
        here, missing = budget("1", id=1), budget("1", id=2)
        await hold(held.by(here, missing, known=[accounts.account(here, at=NOW).name]), "0")
        held.store.settle_now([Settle("r", 3)])
        assert held.balances() == [Balance(3, 0), None]

    async def test_without_budgets_nobody_is_asked(self, held):
        reservation = held.by()
        assert (await hold(reservation, "5"), reservation.was_asked) == (0, False)

    @pytest.mark.parametrize("action", [NOTE, BudgetAction.REFUSE])
    async def test_numbers_beyond_all_sense_overflow_nothing(self, held, action):
        reservation = held.by(budget("1000000", action=action))
        assert await hold(reservation, "1e33", "0.1") == (0 if action is NOTE else 1)


class TestReached:
    async def test_by_what_was_spent(self, held):
        error = await reached(held.by(budget("1"), spent="0.8"), "2", "0.3")
        assert (error.is_held, error.spent_usd, error.open_usd) == (False, Decimal("0.8"), 0)
        assert held.heard.reached_budgets == [1]

    async def test_held_by_open_requests(self, held):
        first = held.by(budget("1"), spent="0.4")
        await hold(first, "0.4")
        error = await reached(held.again(budget("1"), request_id="other"), "0.3")
        assert (error.is_held, error.open_usd) == (True, Decimal("0.4"))
        assert held.heard.reached_budgets == []

    async def test_by_the_tightest_and_then_by_none(self, held):
        error = await reached(held.by(budget("5", id=1), budget("1", id=2), budget("9", id=3)), "2")
        assert error.budget.id == 2
        assert all(balance.open == 0 for balance in held.balances())

    async def test_one_that_denies_takes_no_smaller_cap(self, held):
        error = await reached(held.by(budget("1", near_edge=NearEdge.DENY)), "2", "0.5")
        assert (error.is_too_dear, held.heard.reached_budgets) == (True, [])

    async def test_refuses_until_its_windows_end_in_its_zone(self, held):
        kolkata = budget("1", window=Window.DAY, zone="Asia/Kolkata")
        error = await reached(held.by(kolkata, spent="1"), "0.5")
        local = datetime.fromtimestamp(error.until_ms / 1000, UTC) + timedelta(hours=5, minutes=30)
        assert (local.hour, local.minute, error.until_ms > NOW.timestamp() * 1000) == (0, 0, True)

    async def test_a_total_one_has_no_end(self, held):
        assert (await reached(held.by(budget("1"), spent="1"), "0.5")).until_ms == NO_END

    async def test_degrades_where_that_is_its_action(self, held):
        error = await reached(held.by(budget("1", action=DEGRADE, layer="L0"), spent="1"), "0.5", kind=Degrades)
        assert error.budget.layer == "L0"

    async def test_refusing_comes_before_degrading(self, held):
        two = (budget("1", id=1, action=DEGRADE, layer="L0"), budget("1", id=2))
        assert not isinstance(await reached(held.by(*two, spent="1"), "0.5"), Degrades)

    async def test_a_lifted_one_counts_and_refuses_no_more(self, held):
        degrading = budget("1", action=DEGRADE, layer="L0")
        reservation = held.by(degrading, spent="1")
        assert reservation.refuses
        reservation.lift(degrading)
        assert await hold(reservation, "0.5") == 0
        assert (held.balances(), reservation.refuses) == ([Balance(10**9, 5 * 10**8)], False)

    async def test_one_that_notes_refuses_nothing_and_is_told(self, held):
        reservation = held.by(budget("1", action=NOTE), spent="1")
        assert (await hold(reservation, "0.5"), reservation.refuses) == (0, False)
        assert held.heard.reached_budgets == [1]


class TestUnavailable:
    async def test_when_the_store_is_away(self, held):
        reservation = held.by(budget("1"))
        held.store.fails = True
        await reached(reservation, "0.5", kind=Unavailable)
        assert reservation.was_asked  # nobody knows whether it is held

    async def test_when_an_account_is_missing(self, held):
        await reached(held.by(budget("1"), known=()), "0.5", kind=Unavailable)
        assert held.heard.rebuilds_wanted == 1

    async def test_not_for_those_that_only_note(self, held):
        reservation = held.by(budget("1", action=NOTE))
        held.store.fails = True
        assert await hold(reservation, "0.5") == 0

    async def test_not_where_the_missing_ones_only_note(self, held):
        refusing, noting = budget("1", id=1), budget("1", id=2, action=NOTE)
        reservation = held.by(noting, refusing, known=[accounts.account(refusing, at=NOW).name])
        assert await hold(reservation, "2", "0.5") == 1
        assert held.balances() == [None, Balance(0, 5 * 10**8)]
        assert held.heard.rebuilds_wanted == 1

    async def test_not_for_one_that_settles_in_and_which_counts_the_request_once_it_is_there(self, held):
        settling = budget("1", defined_at=NOW - KNOWN_AFTER)
        reservation = held.by(settling, known=())
        assert await hold(reservation, "5") == 0
        held.by(settling)
        assert held.balances() == [Balance(0, 5 * 10**9)]

    async def test_not_where_all_that_there_is_only_notes_and_is_missing(self, held):
        assert await hold(held.by(budget("1", action=NOTE), known=()), "0.5") == 0


class TestNearTheEnd:
    async def test_nobody_knows_what_is_left_before_it_was_seen(self, held):
        assert held.by(budget("1"), spent="1").left_usd() is None

    @pytest.mark.parametrize(("spent", "left"), [("0.94", None), ("0.96", Decimal("0.04")), ("1.5", ZERO)])
    async def test_the_last_twentieth_is_told(self, held, spent, left):
        reservation = held.by(budget("1"), spent=spent)
        await reached(reservation, "2")
        assert reservation.left_usd() == left

    async def test_of_several_the_least(self, held):
        reservation = held.by(budget("1", id=1), budget("1.01", id=2), spent="0.99")
        await reached(reservation, "2")
        assert reservation.nearest().budget.id == 1

    async def test_those_that_do_not_refuse_are_none(self, held):
        reservation = held.by(budget("1", action=NOTE), spent="1")
        await hold(reservation, "0.5")
        assert reservation.left_usd() is None


class TestSettled:
    async def test_a_budget_that_it_took_to_its_limit_is_told(self, held):
        reservation = held.by(budget("1", id=1, action=NOTE), budget("9", id=2))
        await hold(reservation, "1")
        (settled,) = held.store.settle_now([Settle("r", 10**9)])
        reservation.settled(settled)
        assert held.heard.reached_budgets == [1]
        assert held.guard.spent(held.names[1]) == 10**9


class TestWhichHold:
    @pytest.mark.parametrize(
        "dates",
        [
            {"starts_at": NOW + timedelta(days=1)},
            {"ends_at": NOW - timedelta(days=1)},
            {"defined_at": NOW - KNOWN_AFTER + timedelta(microseconds=1)},
        ],
        ids=["not yet", "no more", "not known everywhere yet"],
    )
    def test_only_those_in_force(self, held, dates):
        reservation = budgets.reservation(
            held.guard, [budget("1", id=1), budget("1", id=2, **dates)], request_id="r", at=NOW, ttl_s=1.0, now=NOW
        )
        assert [one.id for one in reservation.budgets] == [1]

    @pytest.mark.parametrize(("age_s", "is_settling"), [(1, True), (5.9, True), (6, False)])
    def test_one_made_while_the_body_came_is_judged_by_the_time_of_planning(self, held, age_s, is_settling):
        late = NOW + timedelta(seconds=20)
        new = budget("1", defined_at=late - timedelta(seconds=age_s))
        reservation = budgets.reservation(held.guard, [new], request_id="r", at=NOW, ttl_s=1.0, now=late)
        assert reservation.budgets == (new,)
        expected = msgspec.structs.replace(accounts.account(new, at=NOW), may_miss=is_settling)
        assert reservation.accounts == (expected,)

    def test_planning_is_now(self, held):
        long_in_coming = NOW - timedelta(seconds=20)
        new = budget("1", defined_at=NOW - timedelta(seconds=10))
        reservation = budgets.reservation(held.guard, [new], request_id="r", at=long_in_coming, ttl_s=1.0)
        assert (reservation.budgets, [one.may_miss for one in reservation.accounts]) == ((new,), [False])
