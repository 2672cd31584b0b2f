"""Deadlines behave as `asyncio.timeout` does; every test of what they do runs on both."""

import asyncio
import gc
import weakref
from contextlib import asynccontextmanager

import pytest

from providers import deadlines
from providers.deadlines import after, within

SOON_S, LONG_S = 0.01, 30.0


@asynccontextmanager
async def ours(seconds):
    with within(seconds):
        yield


@pytest.fixture(params=[ours, asyncio.timeout], ids=["within", "asyncio"])
def limited(request):
    return request.param


async def forever():
    await asyncio.Event().wait()


class TestLikeAsyncio:
    async def test_what_ends_in_time_is_left_alone(self, limited):
        async with limited(LONG_S):
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    @pytest.mark.parametrize("seconds", [SOON_S, 0, -1])
    async def test_what_does_not_is_cancelled_and_told_as_a_timeout(self, limited, seconds):
        ended = []
        with pytest.raises(TimeoutError):
            async with limited(seconds):
                try:
                    await forever()
                except asyncio.CancelledError:
                    ended.append("cancelled")
                    raise
        assert ended == ["cancelled"]
        assert asyncio.current_task().cancelling() == 0

    async def test_another_error_passes(self, limited):
        with pytest.raises(ValueError, match="mine"):
            async with limited(LONG_S):
                raise ValueError("mine")

    async def test_an_error_in_place_of_the_cancelling_passes(self, limited):
        with pytest.raises(ValueError, match="mine"):
            async with limited(SOON_S):
                try:
                    await forever()
                except asyncio.CancelledError:
                    raise ValueError("mine") from None
        assert asyncio.current_task().cancelling() == 0

    async def test_somebody_elses_cancelling_passes(self, limited):
        async def work():
            async with limited(LONG_S):
                await forever()

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel("theirs")
        with pytest.raises(asyncio.CancelledError, match="theirs"):
            await task

    async def test_somebody_elses_cancelling_wins_over_ours(self, limited):
        async def work():
            async with limited(SOON_S):
                try:
                    await forever()
                finally:
                    asyncio.current_task().cancel()

        task = asyncio.create_task(work())
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_the_inner_of_two_may_pass_first(self, limited):
        async with limited(LONG_S):
            with pytest.raises(TimeoutError):
                async with limited(SOON_S):
                    await forever()
            await asyncio.sleep(0)

    async def test_the_outer_of_two_may_pass_first(self, limited):
        with pytest.raises(TimeoutError):
            async with limited(SOON_S), limited(LONG_S):
                await forever()

    async def test_each_task_has_its_own(self, limited):
        async def work(seconds):
            async with limited(seconds):
                await asyncio.sleep(SOON_S * 3)

        found = await asyncio.gather(*(work(LONG_S) for _ in range(3)), work(SOON_S), return_exceptions=True)
        assert [type(one) for one in found] == [type(None)] * 3 + [TimeoutError]


class TestOneTimer:
    @pytest.fixture
    async def timers(self, monkeypatch):
        """How far away each timer was that was set."""
        loop, asked = asyncio.get_running_loop(), []
        call_at = loop.call_at

        def counted(when, callback, *args, **kwargs):
            if callback == watch._look:
                asked.append(when - loop.time())
            return call_at(when, callback, *args, **kwargs)

        watch = deadlines._Watch()
        monkeypatch.setattr(loop, "call_at", counted)
        monkeypatch.setitem(deadlines._watches, loop, watch)
        return asked

    async def test_serves_all_that_end_in_time(self, timers):
        for _ in range(100):
            with within(LONG_S):
                pass
        assert len(timers) == 1

    async def test_is_set_anew_for_an_earlier_one(self, timers):
        with within(LONG_S), pytest.raises(TimeoutError), within(SOON_S):
            await forever()
        assert timers[:2] == pytest.approx([LONG_S, SOON_S], abs=1)

    async def test_moves_on_to_the_earliest_left(self, timers):
        with within(SOON_S):
            pass
        with pytest.raises(TimeoutError), within(SOON_S * 3):
            await forever()
        assert len(timers) == 2

    async def test_is_left_alone_once_nothing_waits(self, timers):
        with within(SOON_S):
            pass
        await asyncio.sleep(SOON_S * 3)
        assert len(timers) == 1

    async def test_is_set_seldom_for_many_that_pass(self, timers):
        async def late(seconds):
            with within(seconds):
                await forever()

        found = await asyncio.gather(*(late(SOON_S + n / 10_000) for n in range(100)), return_exceptions=True)
        assert {type(one) for one in found} == {TimeoutError}
        assert len(timers) <= 10

    def test_does_not_keep_its_event_loop(self):
        async def work():
            with within(LONG_S):
                return weakref.ref(asyncio.get_running_loop())

        loop = asyncio.run(work())
        gc.collect()
        assert loop() is None

    def test_belongs_to_its_event_loop(self):
        async def late():
            with within(SOON_S):
                await forever()

        for _ in range(2):
            with pytest.raises(TimeoutError):
                asyncio.run(late())

    def test_needs_a_task(self):
        loop = asyncio.new_event_loop()
        failed = []

        def called_back():
            try:
                within(1).__enter__()
            except RuntimeError as error:
                failed.append(str(error))
            loop.stop()

        loop.call_soon(called_back)
        loop.run_forever()
        loop.close()
        assert failed == ["A deadline needs a task to cancel."]


class TestAfter:
    async def test_what_ends_in_time_is_followed_by_nothing(self):
        acts = []
        with after(SOON_S, lambda: acts.append("acted")):
            await asyncio.sleep(0)
        await asyncio.sleep(3 * SOON_S)
        assert acts == []

    async def test_what_does_not_goes_on_all_the_same(self):
        acts, has_acted = [], asyncio.Event()
        with after(SOON_S, lambda: (acts.append("acted"), has_acted.set())):
            await has_acted.wait()
            await asyncio.sleep(2 * SOON_S)
        assert acts == ["acted"]
