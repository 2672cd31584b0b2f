"""One connection for many callers: order, exactness, a caller who leaves, a loop that is busy."""

import asyncio
import logging
import time
from contextlib import suppress

import pytest

from analytics.counters.redis_store import RedisStore
from analytics.counters.steps import Balance, Correct, Line, Settle
from analytics.counters.store import StoreAway
from tests.unit.analytics.counters.stores import SPAN_MS, account, admit, make_whole, place, reserve, settle

DEADLINE_S = 0.1


@pytest.fixture
async def store(redis_server, clock):
    store = RedisStore(redis_server.url, deadline_s=5, clock=clock)
    make_whole(store)
    clock.ms += 60_000
    yield store
    await store.aclose()
    store.close()


@pytest.fixture
async def impatient(redis_server, clock):
    """Connected."""
    store = RedisStore(redis_server.url, deadline_s=DEADLINE_S, clock=clock)
    for _ in range(50):
        with suppress(StoreAway):
            await store.admit(admit("warm", limit=100))
            break
    yield store
    await store.aclose()
    store.close()


async def test_a_thousand_steps_at_once_keep_count(store):
    answers = await asyncio.gather(*(store.admit(admit(f"r{n}", limit=700)) for n in range(1_000)))
    assert [answer.refused for answer in answers] == [None] * 700 + [0] * 300
    assert [answer.states[0].used for answer in answers[:700]] == list(range(1, 701))


async def test_a_thousand_reservations_at_once_stay_within_the_limit(store):
    answers = await asyncio.gather(*(store.reserve(reserve(f"r{n}", 7, 3)) for n in range(1_000)))
    granted = sum((7, 3)[answer.granted] for answer in answers if answer.granted is not None)
    assert (granted, store.balances(["b1"])) == (98, {"b1": Balance(0, 98)})


async def test_a_place_given_back_is_there_for_the_next_that_asks(store):
    """The order of a process's steps is the order they were asked in, without waiting for answers."""
    await store.admit(place("r0"))
    steps = []
    for n in range(200):
        steps.append(asyncio.ensure_future(store.settle(Settle(f"r{n}", slots=("k1:slots",)))))
        steps.append(asyncio.ensure_future(store.admit(place(f"r{n + 1}"))))
        if n % 7 == 0:
            await asyncio.sleep(0)
    answers = await asyncio.gather(*steps)
    assert [admitted.refused for admitted in answers[1::2]] == [None] * 200


async def test_a_caller_that_leaves_disturbs_no_other(store):
    steps = [asyncio.ensure_future(store.admit(admit(f"r{n}", limit=100))) for n in range(20)]
    await asyncio.sleep(0)
    for step in steps[::3]:
        step.cancel()
    answers = await asyncio.gather(*steps, return_exceptions=True)
    kept = [answer for place, answer in enumerate(answers) if place % 3]
    assert all(answer.refused is None for answer in kept)
    assert (await store.admit(admit("last", limit=100))).refused is None


async def test_a_loop_that_was_busy_takes_no_redis_for_away(impatient):
    for n in range(3):
        step = asyncio.ensure_future(impatient.admit(admit(f"r{n}", limit=100)))
        await asyncio.sleep(0)
        time.sleep(DEADLINE_S + 0.03)  # noqa: ASYNC251
        assert (await step).refused is None


async def test_what_arrived_while_the_loop_was_busy_counts(impatient):
    """Busy for little longer than the deadline: the timer is hardly late, but the answer is there."""
    step = asyncio.ensure_future(impatient.admit(admit("r1", limit=100)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(DEADLINE_S + 0.01)  # noqa: ASYNC251
    assert (await step).refused is None


def test_another_loop_gets_a_connection_of_its_own(redis_server, clock):
    store = RedisStore(redis_server.url, deadline_s=5, clock=clock)

    async def use():
        try:
            return (await store.admit(admit(limit=100))).states[0].used
        finally:
            await store.aclose()

    assert [asyncio.run(use()), asyncio.run(use())] == [1, 2]
    store.close()


async def test_a_store_that_was_closed_opens_again(store):
    await store.aclose()
    store.close()
    assert (await store.admit(admit())).refused is None
    assert store.pulse().whole_since_ms is not None


async def test_a_unix_socket_does_as_well(redis_server, clock):
    store = RedisStore(redis_server.socket_url, deadline_s=5, clock=clock)
    assert (await store.admit(admit())).refused is None
    assert store.pulse().rebuilding == ""
    await store.aclose()
    store.close()


async def test_plain_calls_come_from_several_threads(store):
    steps = [[settle(f"r{n}.{m}", 1) for m in range(20)] for n in range(8)]
    for batch in steps:
        for step in batch:
            await store.reserve(reserve(step.id, 2, accounts=[account(limit=None)]))
    await asyncio.gather(*(asyncio.to_thread(store.settle_now, batch) for batch in steps))
    assert store.balances(["b1"]) == {"b1": Balance(160, 0)}


def test_what_processes_announce_is_there_for_the_rebuild_alone(store):
    lines = [Line("r1", 1, None, 40, True), Line("r2", 1, 7, 2**52, False)]
    store.announce("t", source="early", lines=lines)
    store.begin("t", ttl_ms=5_000)
    store.announce("t", source="a", lines=lines)
    store.announce("t", source="b", lines=[])
    store.announce("another", source="c", lines=lines)
    assert store.announced("t") == {"a": lines, "b": []}
    assert store.announced("another") == {}


async def test_without_a_clock_of_ours_redis_has_one(redis_server):
    store = RedisStore(redis_server.url, deadline_s=5)
    before = int(time.time() * 1000)
    make_whole(store)
    assert before - 1_000 <= (store.pulse().whole_since_ms or 0) <= int(time.time() * 1000) + 1_000
    state = (await store.admit(admit(span_ms=60_000))).states[0]
    assert 60_000 <= state.reset_ms <= 61_000
    await store.aclose()
    store.close()


async def test_every_key_carries_one_hash_tag_and_limits_expire(store, redis_server):
    await store.admit(admit(slots=place().slots))
    await store.reserve(reserve())
    with redis_server.client() as client:
        names = client.keys("*")
        assert names
        assert all(name.startswith(b"{agw}:") for name in names)
        assert all(client.pttl(name) > 0 for name in names if b":rate:" in name or b":slot:" in name)


async def test_a_rate_whose_tokens_are_all_given_back_leaves_nothing_behind(redis_server, store, clock):
    for n in range(300):  # a budget refuses each of them
        admitted = await store.admit(admit(f"r{n}", cost=5))
        given_back = Correct("k1:requests", admitted.bucket, -5)
        await store.settle(Settle(f"r{n}", corrections=(given_back,), span_ms=SPAN_MS))
        clock.ms += 100
    with redis_server.client() as client:
        assert client.keys("*:rate:*") == []


@pytest.mark.parametrize("given_back", [4, 5])
async def test_a_rate_that_is_used_holds_no_more_buckets_than_its_window(redis_server, store, clock, given_back):
    for n in range(400):
        admitted = await store.admit(admit(f"r{n}", limit=10_000, cost=5))
        some = Correct("k1:requests", admitted.bucket, -given_back if n % 50 else 0)
        await store.settle(Settle(f"r{n}", corrections=(some,), span_ms=SPAN_MS))
        clock.ms += 100
    with redis_server.client() as client:
        (key,) = client.keys("*:rate:*")
        assert client.hlen(key) <= 128 + 2 + len(["t", "o", "n"])


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru"])
async def test_a_redis_that_may_evict_counters_is_warned_of_once(redis_server, clock, caplog, policy):
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", policy)
        try:
            store = RedisStore(redis_server.url, deadline_s=5, clock=clock)
            with caplog.at_level(logging.WARNING):
                store.pulse()
                await store.admit(admit())
                await store.aclose()
                store.close()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert [record.message for record in caplog.records if f"maxmemory-policy {policy}" in record.message] != []
    assert len(caplog.records) == 1
