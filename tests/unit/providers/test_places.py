"""Places at a provider: so many calls at once, the rest in order, and no place lost, whatever is cancelled when."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers import places
from providers.types import FailureKind, ProviderError
from tests.unit.routing.test_plan import ACME

LONG_S = 30.0


@pytest.fixture(autouse=True)
def nobody_there(monkeypatch):
    monkeypatch.setattr(places, "_desks", {})


def limited(most=1, *, queued=100):
    return replace(ACME, max_concurrent=most, max_queued=queued)


async def take(provider, *, within_s=LONG_S):
    return await places.take(provider, within_s=within_s)


async def come_round():
    for _ in range(3):
        await asyncio.sleep(0)


class Guests:
    """Tasks that each want a place, and in which order they got one."""

    def __init__(self, provider):
        self.provider = provider
        self.tasks = []
        self.let_in = []

    async def add(self, *, within_s=LONG_S):
        self.tasks.append(asyncio.create_task(self._want(len(self.tasks), within_s)))
        await come_round()

    async def _want(self, number, within_s):
        place = await take(self.provider, within_s=within_s)
        self.let_in.append(number)
        return place

    async def leave(self, number):
        self.tasks[number].result().leave()
        await come_round()


async def refused(provider, *, within_s=LONG_S):
    with pytest.raises(ProviderError) as caught:
        await take(provider, within_s=within_s)
    assert caught.value.kind is FailureKind.OVERLOADED
    return caught.value


class TestWithoutALimit:
    async def test_nobody_is_counted(self):
        assert await take(ACME) is None
        assert (places.under_way(), places.waiting()) == ({}, {})


class TestTheOrder:
    async def test_as_many_as_there_are_places_are_let_in_at_once(self):
        guests = Guests(limited(2))
        for _ in range(3):
            await guests.add()
        assert guests.let_in == [0, 1]
        assert (places.under_way(), places.waiting()) == ({"acme": 2}, {"acme": 1})

    async def test_who_came_first_is_let_in_first(self):
        guests = Guests(limited())
        for _ in range(4):
            await guests.add()
        for number in range(3):
            await guests.leave(number)
            assert guests.let_in == list(range(number + 2))

    async def test_nobody_overtakes_who_was_let_in_but_does_not_know_yet(self):
        guests = Guests(limited())
        await guests.add()
        await guests.add()
        guests.tasks[0].result().leave()
        await guests.add()  # in the same turn
        assert guests.let_in == [0, 1]

    async def test_a_place_is_left_once(self):
        guests = Guests(limited())
        await guests.add()
        await guests.add()
        await guests.add()
        await guests.leave(0)
        await guests.leave(0)
        assert (guests.let_in, places.under_way()) == ([0, 1], {"acme": 1})


class TestRefusals:
    async def test_a_full_queue(self):
        guests = Guests(limited(queued=1))
        await guests.add()
        await guests.add()
        assert "queue is full" in (await refused(guests.provider)).message

    async def test_without_a_queue_whoever_finds_no_place(self):
        guests = Guests(limited(queued=0))
        await guests.add()
        await refused(guests.provider)
        await guests.leave(0)
        assert await take(guests.provider) is not None

    async def test_a_wait_that_took_too_long(self):
        guests = Guests(limited())
        await guests.add()
        async with asyncio.timeout(5):
            await refused(guests.provider, within_s=0.02)
        assert places.waiting() == {"acme": 0}
        await guests.leave(0)
        assert places.under_way() == {"acme": 0}

    async def test_a_wait_that_would_take_too_long_as_calls_have_been(self, monkeypatch):
        now = 1000.0
        monkeypatch.setattr(places, "monotonic", lambda: now)
        guests = Guests(limited(2))
        await guests.add()
        now += 8.0
        await guests.leave(0)
        for _ in range(3):
            await guests.add()
        # One waits already: of calls that take 8 s, two at once, the second in the queue waits for 8 s.
        failure = await refused(guests.provider, within_s=7.9)
        assert (failure.retry_after_s, places.waiting()) == (8.0, {"acme": 1})
        await guests.add(within_s=8.1)
        assert places.waiting() == {"acme": 2}


class TestCancelling:
    async def test_one_that_waits_leaves_the_queue(self):
        guests = Guests(limited())
        for _ in range(3):
            await guests.add()
        guests.tasks[1].cancel()
        await come_round()
        assert places.waiting() == {"acme": 1}
        await guests.leave(0)
        assert guests.let_in == [0, 2]

    async def test_one_that_is_cancelled_in_the_turn_in_which_it_is_let_in_gives_its_place_on(self):
        guests = Guests(limited())
        for _ in range(3):
            await guests.add()
        guests.tasks[0].result().leave()
        guests.tasks[1].cancel()
        await come_round()
        assert guests.let_in == [0, 2]

    async def test_one_that_is_let_in_in_the_turn_in_which_it_was_cancelled_is_passed_over(self):
        guests = Guests(limited())
        for _ in range(3):
            await guests.add()
        guests.tasks[1].cancel()
        guests.tasks[0].result().leave()
        await come_round()
        assert guests.let_in == [0, 2]


class TestALimitThatChanges:
    async def test_one_that_is_raised_lets_in_who_waits(self):
        guests = Guests(limited())
        await guests.add()
        await guests.add()
        guests.provider = limited(3)
        await guests.add()
        assert sorted(guests.let_in) == [0, 1, 2]
        assert places.under_way() == {"acme": 3}

    async def test_one_that_is_lowered_holds_once_enough_have_left(self):
        guests = Guests(limited(2))
        await guests.add()
        await guests.add()
        guests.provider = limited(1)
        await guests.add()
        await guests.leave(0)
        assert guests.let_in == [0, 1]
        await guests.leave(1)
        assert guests.let_in == [0, 1, 2]


class TestShares:
    async def test_each_worker_lets_in_its_share_rounded_up(self, monkeypatch):
        monkeypatch.setattr(places, "_workers", 1)
        places.share_among(4)
        guests = Guests(limited(5, queued=4))
        for _ in range(3):
            await guests.add()
        assert (guests.let_in, places.waiting()) == ([0, 1], {"acme": 1})
        assert "queue is full" in (await refused(guests.provider)).message


@settings(max_examples=60, deadline=None)
@given(
    most=st.integers(1, 3),
    steps=st.lists(st.tuples(st.sampled_from(["come", "leave", "cancel", "turn"]), st.integers(0, 9)), max_size=40),
)
def test_whatever_comes_no_place_is_lost_and_none_is_given_twice(most, steps):
    async def play():
        places._desks.clear()
        guests = Guests(limited(most))
        for step, number in steps:
            if step == "come":
                guests.tasks.append(asyncio.create_task(guests._want(len(guests.tasks), LONG_S)))
            elif step == "turn":
                await asyncio.sleep(0)
            elif number < len(guests.tasks):
                task = guests.tasks[number]
                if step == "cancel":
                    task.cancel()
                elif task.done() and not task.cancelled():
                    task.result().leave()
            assert sum(places.under_way().values()) <= most
        await come_round()
        if sum(places.waiting().values()):  # nobody waits while a place is free
            assert sum(places.under_way().values()) == most
        for task in guests.tasks:
            await come_round()
            if task.done() and not task.cancelled():
                task.result().leave()
        await come_round()
        while waiting := [task for task in guests.tasks if not task.done()]:
            waiting[0].cancel()
            await come_round()
            for task in guests.tasks:
                if task.done() and not task.cancelled():
                    task.result().leave()
        assert sum(places.under_way().values()) == sum(places.waiting().values()) == 0

    asyncio.run(play())
