"""What every store must do about rates: a limit over a sliding window."""

from analytics.counters.steps import Admit, Rate

SPAN_MS = 12_800
BUCKET_MS = 100


def asks(id="r1", *, limit=10, cost=1, name="k1:requests", span_ms=SPAN_MS, slots=()):
    return Admit(id, (Rate(name, limit, cost),), slots, span_ms, ttl_ms=60_000)


class TestARate:
    async def test_lets_in_as_much_as_its_limit(self, store):
        answers = [await store.admit(asks(f"r{n}", limit=3)) for n in range(4)]
        assert [answer.refused for answer in answers] == [None, None, None, 0]

    async def test_tells_what_is_used_with_what_was_granted(self, store):
        await store.admit(asks(cost=4))
        answer = await store.admit(asks("r2", cost=3))
        assert answer.states[0].used == 7

    async def test_refused_costs_nothing(self, store):
        await store.admit(asks(cost=9))
        refused = await store.admit(asks("r2", cost=2))
        assert (refused.refused, refused.states[0].used) == (0, 9)
        assert (await store.admit(asks("r3", cost=1))).refused is None
