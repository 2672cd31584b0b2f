"""Steps of one turn of the loop: which of them share a transaction, and what becomes of them when it fails."""

import asyncio

import pytest

from analytics.counters.sqlite_turns import AT_ONCE, Turns
from analytics.counters.store import StoreAway


class Transactions:
    """Stands for the store's: counts them, and hands each work its number."""

    def __init__(self):
        self.count = 0
        self.fails_with = None

    def __call__(self, work):
        self.count += 1
        if self.fails_with is not None:
            raise self.fails_with
        return work(self.count)


@pytest.fixture
def transactions():
    return Transactions()


@pytest.fixture
def turns(transactions):
    return Turns(transactions)


def number(opened):
    return opened


async def test_steps_asked_for_in_one_turn_share_a_transaction(turns):
    assert await asyncio.gather(*(turns.take(number) for _ in range(10))) == [1] * 10


async def test_those_of_the_next_turn_have_their_own(turns):
    assert [await turns.take(number), await turns.take(number)] == [1, 2]


async def test_they_are_taken_in_the_order_they_were_asked_for(turns):
    taken = []
    steps = [turns.take(lambda _, place=place: taken.append(place)) for place in range(200)]
    await asyncio.gather(*steps)
    assert taken == list(range(200))


async def test_one_asked_for_by_another_waits_for_the_next_turn(turns):
    steps = []
    first = turns.take(lambda opened: steps.append(turns.take(number)) or opened)
    assert (await first, await steps[0]) == (1, 2)


async def test_no_transaction_holds_others_up_for_long(turns):
    answers = await asyncio.gather(*(turns.take(number) for _ in range(2 * AT_ONCE + 1)))
    assert [answers.count(transaction) for transaction in (1, 2, 3)] == [AT_ONCE, AT_ONCE, 1]


async def test_one_that_was_given_up_is_not_taken(turns):
    taken = []
    given_up, kept = turns.take(taken.append), turns.take(taken.append)
    given_up.cancel()
    await kept
    assert taken == [1]


async def test_where_all_were_given_up_nothing_happens(turns, transactions):
    turns.take(number).cancel()
    await asyncio.sleep(0)
    assert transactions.count == 0


async def test_an_outage_is_told_to_each(turns, transactions):
    transactions.fails_with = StoreAway("locked")
    found = await asyncio.gather(turns.take(number), turns.take(number), return_exceptions=True)
    assert [str(error) for error in found] == ["locked"] * 2
    assert found[0] is not found[1]


async def test_one_steps_own_fault_spares_the_others(turns):
    found = await asyncio.gather(turns.take(number), turns.take(lambda _: 1 // 0), return_exceptions=True)
    assert isinstance(found[1], ZeroDivisionError)
    assert found[0] == 2  # the first transaction came to nothing


def test_steps_of_a_loop_that_ended_are_forgotten(turns):
    loop = asyncio.new_event_loop()

    def leave_one():
        turns.take(number)
        loop.stop()

    loop.call_soon(leave_one)
    loop.run_forever()
    loop.close()

    async def take_one():
        return await turns.take(number)

    assert asyncio.run(take_one()) == 1
