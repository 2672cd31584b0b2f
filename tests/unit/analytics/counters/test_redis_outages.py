"""Redis slow, paused, killed, emptied, restored: no step hangs, none tells the password, none believes an old dump."""

import asyncio
import time

import pytest

from analytics.counters.redis_store import RedisStore
from analytics.counters.steps import NO_END, Balance, Held, Pulse, Rebuilt
from analytics.counters.store import StoreAway
from tests.redis_server import running, slowed
from tests.unit.analytics.counters.stores import account, admit, make_whole, reserve, settle

DEADLINE_S = 0.15
"""Above the 50 ms of the real thing: the machine that runs the tests may be busy."""
AT_ONCE_S = 1.0
"""Far below any wait for a connection or a retry."""


@pytest.fixture(scope="module")
def own_server():
    """Not shared: it is killed and restarted."""
    with running() as server:
        yield server


@pytest.fixture
def server(own_server):
    own_server.resume() if own_server.is_running else own_server.start()
    own_server.flush()
    return own_server


@pytest.fixture
async def opened(clock):
    """Opens stores by their URL."""
    stores = []

    def opens(url, **options):
        stores.append(RedisStore(url, clock=clock, **{"deadline_s": DEADLINE_S, **options}))
        return stores[-1]

    yield opens
    for store in stores:
        await store.aclose()
        store.close()


@pytest.fixture
async def store(server, opened):
    """Whole and connected."""
    store = opened(server.url)
    make_whole(store, ("b1", 10))
    await answers(lambda: store.admit(admit("warm")))
    return store


async def is_away(step):
    """Whether it fails, and does so in time."""
    before = time.monotonic()
    with pytest.raises(StoreAway):
        await step
    return time.monotonic() - before < AT_ONCE_S


async def answers(step, *, within_s=5.0):
    """What the step answers once the store is back."""
    give_up_at = time.monotonic() + within_s
    while True:
        try:
            return await step()
        except StoreAway:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.01)


class TestASlowRedis:
    async def test_is_away_for_requests(self, server, opened):
        with slowed(server, delay_s=0.0) as line:
            store = opened(line.url)
            await answers(lambda: store.admit(admit()))
            line.delay_s = 0.4
            assert await is_away(store.admit(admit()))
            line.delay_s = 0.0
            assert (await answers(lambda: store.admit(admit(limit=1000)))).refused is None

    async def test_is_away_for_plain_calls(self, server, opened):
        with slowed(server, delay_s=0.4) as line, pytest.raises(StoreAway):
            opened(line.url).pulse()

    async def test_gives_no_answer_to_another_step(self, server, opened):
        """The answer to what timed out comes late, on a connection that nobody reads any more."""
        with slowed(server, delay_s=0.0) as line:
            store = opened(line.url)
            await answers(lambda: store.admit(admit("r0", limit=100)))
            line.delay_s = 0.3
            assert await is_away(store.admit(admit("r1", limit=100, cost=50)))
            line.delay_s = 0.0
            admitted = await answers(lambda: store.admit(admit("r2", limit=1000)))
            assert len(admitted.states) == 1
            assert (await answers(lambda: store.reserve(reserve()))).missing == (0,)


class TestAPausedRedis:
    async def test_is_away_until_it_goes_on(self, server, store):
        server.pause()
        assert await is_away(store.admit(admit()))
        assert await is_away(store.reserve(reserve()))
        server.resume()
        assert (await answers(lambda: store.admit(admit("r9", limit=1000)))).refused is None

    async def test_fails_all_who_wait_at_once(self, server, store):
        server.pause()
        before = time.monotonic()
        failed = await asyncio.gather(*(store.admit(admit(f"r{n}")) for n in range(50)), return_exceptions=True)
        assert all(isinstance(error, StoreAway) for error in failed)
        assert time.monotonic() - before < AT_ONCE_S

    def test_keeps_no_plain_call(self, server, opened):
        store = opened(server.url)
        server.pause()
        before = time.monotonic()
        with pytest.raises(StoreAway):
            store.pulse()
        assert time.monotonic() - before < AT_ONCE_S


class TestAKilledRedis:
    async def test_is_away(self, server, store):
        server.kill()
        assert await is_away(store.admit(admit()))
        with pytest.raises(StoreAway):
            store.pulse()

    async def test_comes_back_empty(self, server, store):
        server.restart()
        assert (await answers(lambda: store.reserve(reserve()))).missing == (0,)
        assert store.pulse() == Pulse(None, "")
        assert store.balances(["b1"]) == {}

    async def test_is_not_believed_what_it_loaded_from_a_dump(self, server, store):
        await store.reserve(reserve("r1", 40, accounts=[account()]))
        server.save()
        server.restart()
        with server.client() as client:
            assert client.exists("{agw}:money")
        assert (await answers(lambda: store.reserve(reserve("r2")))).missing == (0,)
        assert (store.pulse(), store.balances(["b1"]), store.lapse()) == (Pulse(None, ""), {}, [])
        assert store.settle_now([settle("r1", 7)])[0].spent == ()
        make_whole(store, ("b1", 30))
        assert store.balances(["b1"]) == {"b1": Balance(30, 0)}


async def test_a_redis_that_evicted_the_reservations_holds_no_account(server, store):
    await store.reserve(reserve("r1", 40))
    with server.client() as client:
        assert client.delete("{agw}:held")
    assert (await store.reserve(reserve("r2", 40))).missing == (0,)
    assert (store.pulse(), store.balances(["b1"]), store.lapse()) == (Pulse(None, ""), {}, [])
    make_whole(store, ("b1", 30))
    assert store.balances(["b1"]) == {"b1": Balance(30, 0)}
    assert (await store.reserve(reserve("r2", 40))).granted == 0


async def test_a_redis_that_was_emptied_holds_no_account(server, store):
    server.flush()
    assert store.pulse() == Pulse(None, "")
    assert (await store.reserve(reserve())).missing == (0,)
    assert store.missing([account()]) == [account()]


async def test_what_settles_while_an_emptied_store_is_rebuilt_is_spent_once(server, store):
    await store.reserve(reserve("r1", 40))
    server.flush()
    assert store.begin("t", ttl_ms=5_000)
    assert (await store.settle(settle("r1", 7))).spent == ()
    assert store.finish("t", Rebuilt((("b1", NO_END, 10),), (Held("r1", 40, ("b1",)),), ttl_ms=1_000))
    assert store.balances(["b1"]) == {"b1": Balance(17, 0)}


async def test_scripts_that_the_server_forgot_are_sent_again(server, store):
    with server.client() as client:
        client.script_flush()
    await asyncio.gather(*(store.admit(admit(f"r{n}", limit=100)) for n in range(20)))
    assert (await store.admit(admit("last", limit=100))).states[0].used == 22
    assert store.first("b1")


async def test_a_connection_cut_in_mid_pipeline_fails_its_steps_and_the_next_is_made_anew(server, opened):
    with slowed(server, delay_s=0.0) as line:
        store = opened(line.url)
        await answers(lambda: store.admit(admit("r0", limit=100)))
        line.delay_s = 0.04
        steps = [asyncio.ensure_future(store.admit(admit(f"r{n}", limit=100))) for n in range(10)]
        await asyncio.sleep(0)
        line.cut()
        failed = await asyncio.gather(*steps, return_exceptions=True)
        assert all(isinstance(error, StoreAway) for error in failed)
        line.delay_s = 0.0
        assert (await answers(lambda: store.admit(admit("r11", limit=1000)))).refused is None


async def test_no_server_at_all_is_told_at_once(opened):
    store = opened("redis://127.0.0.1:1/0")
    assert await is_away(store.admit(admit()))


class TestAPassword:
    SECRET = "s3cr3t/pass word"
    URL = "redis://:s3cr3t%2Fpass%20word@127.0.0.1:{}/0"

    async def test_stands_in_no_message(self, opened):
        for url in (self.URL.format(1), self.URL.format(1).replace("redis://", "rediss://")):
            store = opened(url)
            with pytest.raises(StoreAway) as told:
                await store.admit(admit())
            with pytest.raises(StoreAway) as told_plainly:
                store.pulse()
            for text in (repr(told.value), repr(told_plainly.value)):
                assert "s3cr3t" not in text

    @pytest.mark.parametrize("url", ["redis://:s3cr3t/x@127.0.0.1:y/0", "http://:s3cr3t@127.0.0.1", "s3cr3t"])
    def test_stands_in_no_message_about_a_url_that_cannot_be(self, url):
        with pytest.raises(ValueError, match="no address of a Redis server") as told:
            RedisStore(url)
        assert "s3cr3t" not in str(told.value)

    def test_that_a_server_repeats_is_struck_out(self, server):
        store = RedisStore(self.URL.format(server.port))
        for spelling in (self.SECRET, "s3cr3t%2Fpass%20word"):
            assert "s3cr3t" not in str(store._link.away(OSError(f"cannot reach {spelling}@")))

    async def test_opens_a_server_that_asks_for_it(self, opened):
        with running(password="right") as asking:
            store = opened(asking.url, deadline_s=5)
            assert store.begin("t", ttl_ms=1_000)
            assert (await store.admit(admit())).refused is None
            wrong = opened(asking.url.replace("right", "wr0ng"), deadline_s=5)
            with pytest.raises(StoreAway, match="Redis did not answer") as told:
                await wrong.admit(admit())
            assert "wr0ng" not in str(told.value)
