"""What every store must do about places: limits on what is under way at once."""

from analytics.counters.steps import Settle
from tests.unit.analytics.counters.stores import place


async def test_as_many_places_are_given_as_there_are(store):
    answers = [await store.admit(place(f"r{n}", limit=2)) for n in range(3)]
    assert [answer.refused for answer in answers] == [None, None, 0]


async def test_a_place_is_given_back_when_its_request_settles(store):
    await store.admit(place())
    await store.settle(Settle("r1", slots=("k1:slots",)))
    assert (await store.admit(place("r2"))).refused is None


async def test_a_place_given_back_twice_is_given_back_once(store):
    await store.admit(place("r1", limit=2))
    await store.admit(place("r2", limit=2))
    store.settle_now([Settle("r1", slots=("k1:slots",))] * 2)
    assert (await store.admit(place("r3", limit=2))).refused is None
    assert (await store.admit(place("r4", limit=2))).refused == 0


async def test_a_request_takes_no_second_place(store):
    await store.admit(place("r1", limit=2))
    await store.admit(place("r1", limit=2))
    assert (await store.admit(place("r2", limit=2))).refused is None


async def test_a_request_that_has_the_last_place_is_not_refused(store):
    await store.admit(place())
    assert (await store.admit(place())).refused is None


async def test_a_place_lapses_with_its_lease(store, clock):
    await store.admit(place(ttl_ms=5_000))
    clock.ms += 4_999
    assert (await store.admit(place("r2"))).refused == 0
    clock.ms += 1
    assert (await store.admit(place("r2"))).refused is None


async def test_tidying_takes_no_place_away(store, clock):
    await store.admit(place(ttl_ms=5_000))
    clock.ms += 4_999
    store.tidy()
    assert (await store.admit(place("r2"))).refused == 0


async def test_places_and_rates_are_kept_when_money_is_forgotten(empty_store):
    await empty_store.admit(place())
    assert empty_store.begin("t", ttl_ms=1_000)
    assert (await empty_store.admit(place("r2"))).refused == 0
