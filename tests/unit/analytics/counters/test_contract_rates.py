"""What every store must do about rates: limits over a sliding window."""

import random

import pytest

from analytics.counters.steps import Correct, Rate, Settle, Slots
from tests.unit.analytics.counters.stores import SPAN_MS, admit

BUCKET_MS = 100


class TestARate:
    async def test_lets_in_as_much_as_its_limit(self, store):
        answers = [await store.admit(admit(f"r{n}", limit=3)) for n in range(4)]
        assert [answer.refused for answer in answers] == [None, None, None, 0]

    async def test_tells_what_is_used_with_what_was_granted(self, store):
        await store.admit(admit(cost=4))
        assert (await store.admit(admit("r2", cost=3))).states[0].used == 7

    async def test_that_refuses_counts_nothing(self, store):
        await store.admit(admit(cost=9))
        refused = await store.admit(admit("r2", cost=2))
        assert (refused.refused, refused.states[0].used) == (0, 9)
        assert (await store.admit(admit("r3", cost=1))).refused is None

    async def test_of_which_nothing_is_asked_tells_what_is_used_and_counts_nothing(self, store):
        await store.admit(admit(cost=8))
        for limit in (10, 10, 5):
            assert (await store.admit(admit("look", cost=0, limit=limit))).states[0].used == 8
        assert (await store.admit(admit("r2", cost=2))).refused is None

    async def test_is_shared_by_processes(self, store, open_store):
        await store.admit(admit(cost=9))
        assert (await open_store().admit(admit("r2", cost=2))).refused == 0

    async def test_is_none_of_another_name(self, store):
        await store.admit(admit(cost=10))
        assert (await store.admit(admit("r2", rates=(Rate("k2:requests", 10, 10),)))).refused is None

    async def test_of_one_window_is_none_of_another(self, store):
        await store.admit(admit(cost=10))
        assert (await store.admit(admit("r2", cost=10, span_ms=60_000))).refused is None

    async def test_follows_its_limit_down(self, store):
        await store.admit(admit(cost=8))
        assert (await store.admit(admit("r2", limit=5))).refused == 0


class TestTheWindow:
    async def test_keeps_what_was_counted_for_its_length_and_a_bucket(self, store, clock):
        start = clock.ms = clock.ms // BUCKET_MS * BUCKET_MS
        await store.admit(admit(cost=10))
        clock.ms = start + SPAN_MS + BUCKET_MS
        assert (await store.admit(admit("r2"))).refused == 0
        clock.ms = start + SPAN_MS + 2 * BUCKET_MS
        assert (await store.admit(admit("r3"))).refused is None

    async def test_tells_when_enough_will_have_left_it(self, store, clock):
        clock.ms = clock.ms // BUCKET_MS * BUCKET_MS
        for n in range(5):
            await store.admit(admit(f"r{n}", cost=2))
            clock.ms += BUCKET_MS
        refused = await store.admit(admit("late", cost=3))
        clock.ms += refused.retry_ms - 1
        assert (await store.admit(admit("late", cost=3))).refused == 0
        clock.ms += 1
        assert (await store.admit(admit("late", cost=3))).refused is None

    async def test_tells_when_all_will_have_left_it(self, store, clock):
        await store.admit(admit(cost=2))
        clock.ms += 3 * BUCKET_MS
        reset_ms = (await store.admit(admit("r2", cost=1))).states[0].reset_ms
        clock.ms += reset_ms - 1
        assert (await store.admit(admit("r3", cost=10))).states[0].used == 1
        clock.ms += 1
        assert (await store.admit(admit("r4", cost=0))).states[0] == (await store.admit(admit("r5", cost=0))).states[0]
        assert (await store.admit(admit("r6", cost=10))).refused is None

    async def test_tells_of_nothing_counted_that_it_resets_at_once(self, store):
        state = (await store.admit(admit(cost=0))).states[0]
        assert (state.used, state.reset_ms) == (0, 0)

    async def test_never_lets_in_what_is_more_than_the_limit(self, store):
        assert (await store.admit(admit(limit=3, cost=4))).retry_ms == -1

    @pytest.mark.parametrize("span_ms", [100, 1_000, 1_279, 60_000])
    async def test_of_any_length_is_never_exceeded_and_nearly_all_of_it_can_be_used(self, store, clock, span_ms):
        draw, limit, granted = random.Random(span_ms), 40, []
        end = clock.ms + 5 * span_ms
        while clock.ms < end:
            answer = await store.admit(admit(f"r{clock.ms}", limit=limit, span_ms=span_ms))
            if answer.refused is None:
                granted.append(clock.ms)
                clock.ms += draw.randrange(span_ms // limit) if len(granted) < limit else 0
            else:
                assert answer.retry_ms > 0
                clock.ms += answer.retry_ms
        for early, late in zip(granted, granted[limit:], strict=False):
            assert late - early >= span_ms
            assert late - early <= span_ms * 1.03 + 2


class TestSeveralLimits:
    async def test_are_granted_together_or_not_at_all(self, store):
        both = (Rate("k1:requests", 10, 1), Rate("k1:tokens", 100, 101))
        refused = await store.admit(admit(rates=both, slots=(Slots("k1:slots", 1),)))
        assert (refused.refused, refused.states[0].used) == (1, 0)
        assert (await store.admit(admit("r2", cost=10, slots=(Slots("k1:slots", 1),)))).refused is None

    async def test_name_the_first_that_refuses_by_its_place(self, store):
        asked = admit(rates=(Rate("a", 1, 1), Rate("b", 1, 2), Rate("c", 1, 2)), slots=(Slots("s", 0),))
        assert (await store.admit(asked)).refused == 1

    async def test_count_slots_after_rates(self, store):
        full = await store.admit(admit(slots=(Slots("a", 1), Slots("b", 0))))
        assert (full.refused, full.retry_ms, full.states[0].used) == (2, 0, 0)

    async def test_may_be_none(self, store):
        assert (await store.admit(admit(rates=()))).refused is None


class TestACorrection:
    async def test_gives_back_what_was_not_used(self, store):
        admitted = await store.admit(admit(cost=10))
        await store.settle(self.of(admitted, by=-7))
        assert (await store.admit(admit("r2", cost=7))).refused is None

    async def test_counts_what_was_used_beyond(self, store):
        admitted = await store.admit(admit(cost=1))
        await store.settle(self.of(admitted, by=9))
        assert (await store.admit(admit("r2"))).refused == 0

    async def test_leaves_no_less_than_nothing(self, store):
        admitted = await store.admit(admit(cost=1))
        await store.settle(self.of(admitted, by=-50))
        assert (await store.admit(admit("r2", cost=0))).states[0].used == 0

    async def test_of_what_left_the_window_counts_nothing(self, store, clock):
        admitted = await store.admit(admit(cost=1))
        clock.ms += 2 * SPAN_MS
        await store.settle(self.of(admitted, by=9))
        assert (await store.admit(admit("r2", cost=0))).states[0].used == 0

    async def test_stands_where_the_request_was_counted(self, store, clock):
        admitted = await store.admit(admit(cost=1))
        clock.ms += SPAN_MS // 2
        await store.settle(self.of(admitted, by=9))
        clock.ms += SPAN_MS // 2 + 2 * BUCKET_MS
        assert (await store.admit(admit("r2", cost=10))).refused is None

    async def test_of_an_older_bucket_counts_at_once(self, store, clock):
        early = await store.admit(admit(cost=1))
        clock.ms += BUCKET_MS
        await store.admit(admit("r2", cost=1))
        await store.settle(self.of(early, by=8))
        assert (await store.admit(admit("r3", cost=1))).refused == 0

    def of(self, admitted, *, by):
        return Settle("r1", corrections=(Correct("k1:requests", admitted.bucket, by),), span_ms=SPAN_MS)


class TestTidying:
    async def test_keeps_what_is_in_the_window(self, store):
        await store.admit(admit(cost=10))
        store.tidy()
        assert (await store.admit(admit("r2"))).refused == 0
