"""A process's way to its counters: what it does when they are away, and that nothing consumed is forgotten."""

import asyncio

import pytest

from analytics.counters.guard import MOST_SEEN, Guard
from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import Account, Admit, Balance, Correct, Rate, Rebuilt, Reserve, Settle, Slots
from analytics.counters.store import StoreAway
from analytics.lengths import Lengths
from tests.unit.routing.use_case import Heard

ACCOUNT = Account("b1", 1000, True, 0, 1 << 52, may_begin=False)
ADMIT = Admit("r", (Rate("k1:requests", 10, 1),), (Slots("k1:slots", 1),), 60_000, 60_000)
RESERVE = Reserve("r", (100,), (ACCOUNT,), 60_000)
SETTLE = Settle("r", 40, ("k1:slots",))


class Waiting(SqliteStore):
    """As a store over a network: steps wait, and may fail."""

    def __init__(self, path):
        super().__init__(path, deadline_s=5.0)
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False

    async def admit(self, step):
        admitted = await super().admit(step)
        await self._pass()
        return admitted

    async def reserve(self, step):
        reserved = await super().reserve(step)
        await self._pass()
        return reserved

    def settle(self, step):
        return asyncio.ensure_future(self._settle_in_time(step))

    async def _settle_in_time(self, step):
        await self._pass()
        return await super().settle(step)

    async def _pass(self):
        await self.gate.wait()
        if self.fails:
            raise StoreAway("on purpose")


@pytest.fixture
def heard():
    return Heard()


def whole(store):
    store.begin("first", ttl_ms=1000)
    store.finish("first", Rebuilt(((ACCOUNT.name, ACCOUNT.ends_ms, 0),), (), 1000))
    return store


def guarding(store, heard):
    return Guard(store, keeper=heard, lengths=Lengths())


@pytest.fixture
def store(tmp_path):
    return whole(SqliteStore(tmp_path / "counters.sqlite3", deadline_s=5.0))


@pytest.fixture
async def waiting(tmp_path):
    return whole(Waiting(tmp_path / "counters.sqlite3"))


class TestHere:
    async def test_steps_are_the_stores(self, store, heard):
        guard, told = guarding(store, heard), []
        assert (await guard.admit(ADMIT)).refused is None
        assert (await guard.reserve(RESERVE)).granted == 0
        guard.settle(SETTLE, told=told.append)
        await guard.aclose()
        assert store.balances(["b1"]) == {"b1": Balance(40, 0)}
        assert told[0].spent == (("b1", 40),)
        assert (guard.missed.admitted_unchecked, guard.missed.not_reserved) == (0, 0)

    async def test_missing_accounts_want_a_rebuild(self, tmp_path, heard):
        guard = guarding(SqliteStore(tmp_path / "empty.sqlite3", deadline_s=5.0), heard)
        assert (await guard.reserve(RESERVE)).missing == (0,)
        assert heard.rebuilds_wanted == 1

    async def test_a_store_that_waits_settles_in_the_background(self, waiting, heard):
        guard, told = guarding(waiting, heard), []
        await guard.reserve(RESERVE)
        waiting.gate.clear()
        guard.settle(SETTLE, told=told.append)
        assert told == []
        waiting.gate.set()
        await guard.aclose()
        assert (told[0].spent, waiting.balances(["b1"])) == ((("b1", 40),), {"b1": Balance(40, 0)})


class TestAway:
    async def test_limits_are_open_and_the_place_is_given_back_later(self, waiting, heard, caplog):
        guard = guarding(waiting, heard)
        waiting.fails = True
        assert await guard.admit(ADMIT) is None
        assert (guard.missed.admitted_unchecked, guard.is_here) == (1, False)
        assert heard.unsettled == [Settle("r", slots=("k1:slots",))]
        assert "The counters are away" in caplog.text

    async def test_money_is_not_reserved(self, waiting, heard):
        guard = guarding(waiting, heard)
        waiting.fails = True
        with pytest.raises(StoreAway):
            await guard.reserve(RESERVE)
        assert guard.missed.not_reserved == 1

    async def test_it_is_said_once_and_the_store_is_not_asked_again(self, waiting, heard, caplog):
        guard = guarding(waiting, heard)
        waiting.fails = True
        for _ in range(3):
            await guard.admit(ADMIT)
        waiting.gate.clear()  # would wait for ever
        assert await guard.admit(ADMIT) is None
        with pytest.raises(StoreAway):
            await guard.reserve(RESERVE)
        assert caplog.text.count("The counters are away") == 1
        assert (guard.missed.admitted_unchecked, guard.missed.not_reserved) == (4, 1)

    async def test_until_the_keeper_has_found_it_well(self, waiting, heard):
        guard = guarding(waiting, heard)
        waiting.fails = True
        await guard.admit(ADMIT)
        waiting.fails = False
        guard.hear(True)
        assert (await guard.admit(ADMIT)).refused is None

    async def test_the_keeper_may_find_it_away_first_and_that_is_said_too(self, waiting, heard, caplog):
        guard = Guard(waiting, keeper=heard, lengths=Lengths())
        guard.hear(False)
        guard.hear(False)
        assert caplog.text.count("The counters are away") == 1

    async def test_what_cannot_be_settled_is_settled_later(self, waiting, heard):
        guard = guarding(waiting, heard)
        waiting.fails = True
        guard.settle(SETTLE)
        await guard.aclose()
        guard.settle(SETTLE)
        assert (heard.unsettled, guard.is_here) == ([SETTLE, SETTLE], False)


class TestCancelled:
    async def test_while_it_waits_to_be_admitted_gives_its_place_back(self, waiting, heard):
        guard = guarding(waiting, heard)
        waiting.gate.clear()
        task = asyncio.create_task(guard.admit(ADMIT))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        waiting.gate.set()
        await guard.aclose()
        assert (await guard.admit(Admit("other", (), ADMIT.slots, 60_000, 60_000))).refused is None

    async def test_a_settlement_that_the_loops_end_cuts_off_is_handed_on(self, waiting, heard):
        guard = guarding(waiting, heard)
        waiting.gate.clear()
        guard.settle(SETTLE)
        await asyncio.sleep(0)
        (task,) = guard._settling
        task.cancel()
        await asyncio.wait([task])
        assert heard.unsettled == [SETTLE]

    async def test_closing_waits_no_longer_than_it_may(self, waiting, heard):
        guard = guarding(waiting, heard)
        waiting.gate.clear()
        guard.settle(Settle("r", corrections=(Correct("k1:requests", 0, -1),)))
        await guard.aclose(within_s=0.01)
        (task,) = guard._settling
        task.cancel()
        await asyncio.wait([task])


class TestWhatWasSeen:
    def test_is_a_hint_for_a_second(self, store, heard, monkeypatch):
        guard = guarding(store, heard)
        assert guard.spent("b1") is None
        monkeypatch.setattr("time.monotonic", lambda: 100.0)
        guard.saw("b1", spent=7)
        assert guard.spent("b1") == 7
        monkeypatch.setattr("time.monotonic", lambda: 101.0)
        assert guard.spent("b1") is None

    def test_does_not_grow_for_ever(self, store, heard):
        guard = guarding(store, heard)
        for number in range(MOST_SEEN + 1):
            guard.saw(f"b{number}", spent=1)
        assert (guard.spent("b0"), guard.spent(f"b{MOST_SEEN}")) == (None, 1)
