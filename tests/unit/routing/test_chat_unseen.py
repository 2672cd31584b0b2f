"""Streams that are left or cut when their provider may have written, or writes on, more than was read of them."""

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal

import pytest

from providers.types import FailureKind
from routing import streaming
from routing.chat import NobodyAnswered
from routing.streaming import leave
from tests.unit.routing.use_case import STOPS_SOON, answering, budget, event, says

INPUT, LONG, PER_TOKEN = 15, 4096, Decimal("0.001")
"""Tokens of the usual request, by the upper estimate, and of an answer of no stated length; USD a token."""
FULL = (INPUT + LONG) * PER_TOKEN
UNSEEN = (INPUT + 32) * PER_TOKEN
FINISH = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


@pytest.fixture
def gateway(gateway):
    gateway.hold(budget("100"))
    return gateway


@pytest.fixture
def wait(monkeypatch):
    """Lets time pass for streams, as while a client does not take what it was given."""
    ahead_s = [0.0]
    monkeypatch.setattr(streaming, "monotonic", lambda: time.monotonic() + sum(ahead_s))
    return ahead_s.append


def goes_on(gateway, script, **fields):
    """A model whose provider finishes what it began."""
    found = gateway.candidate(script, **fields)
    provider = replace(found.model.provider, stops_when_left=False)
    return replace(found, model=replace(found.model, provider=provider))


async def left(gateway, *scripts, taking=lambda: None, frames=1, **fields):
    """The row of a stream that its client leaves after so many frames, each of which it took so."""
    stream = await gateway.ask(*(scripts or ("chunks=100;delay_ms=1;stall=mid",)), stream=True, **fields)
    async with aclosing(stream.frames()) as given:
        for _ in range(frames):
            await anext(given)
            taking()
    return await gateway.assert_settled()


class TestAClientThatWasWaitedFor:
    async def test_and_leaves_is_counted_at_the_cap(self, gateway, wait):
        row = await left(gateway, taking=lambda: wait(0.11))
        assert (row.budget_usd, row.cost_usd < UNSEEN) == (FULL, True)

    async def test_again_and_again_is_counted_at_the_cap(self, gateway, wait):
        assert (await left(gateway, taking=lambda: wait(0.02), frames=6)).budget_usd == FULL

    async def test_by_its_headers_is_counted_at_the_cap(self, gateway, wait):
        stream = await gateway.ask("chunks=4;stall=mid", stream=True)
        wait(0.11)
        stream.close(was_cancelled=True)
        assert (await gateway.assert_settled()).budget_usd == FULL

    async def test_until_the_deadline_is_counted_at_the_cap(self, gateway, wait):
        stream = await gateway.ask("chunks=4;stall=mid", stream=True)
        async for _ in stream.frames():
            wait(100)
        assert stream.error.kind is FailureKind.TIMEOUT
        assert (await gateway.assert_settled()).budget_usd == FULL

    async def test_and_was_told_a_running_usage_is_counted_at_the_cap(self, gateway, wait):
        """Some vendors tell what was used until now with each chunk."""
        running = event(choices=[{"index": 0, "delta": {"content": "one"}}], usage=USAGE)
        async with answering(running, asyncio.Event()) as url:
            row = await left(gateway, "ok", url=url, taking=lambda: wait(0.11))
        assert (row.cost_usd, row.budget_usd) == (5 * PER_TOKEN, FULL)

    async def test_and_reads_to_the_end_costs_what_it_used(self, gateway, wait):
        stream = await gateway.ask("chunks=4", stream=True)
        async for _ in stream.frames():
            wait(0.11)
        row = await gateway.assert_settled()
        assert row.budget_usd == row.cost_usd

    async def test_and_leaves_when_all_is_said_is_counted_by_that(self, gateway, wait):
        async with answering(says("one") + FINISH, asyncio.Event()) as url:
            row = await left(gateway, "ok", url=url, taking=lambda: wait(0.11))
        assert row.budget_usd == UNSEEN + len("one") * PER_TOKEN

    async def test_and_saw_one_of_two_choices_end_is_counted_at_the_cap(self, gateway, wait):
        async with answering(says("one") + FINISH, asyncio.Event()) as url:
            row = await left(gateway, "ok", url=url, taking=lambda: wait(0.11), n=2)
        assert row.budget_usd == FULL + LONG * PER_TOKEN


class TestAClientThatKeepsUp:
    async def test_and_leaves_is_counted_by_what_was_seen(self, gateway):
        assert (await left(gateway)).budget_usd < FULL / 10

    async def test_with_many_frames_is_not_taken_for_slow_by_what_sending_them_takes(self, gateway, wait):
        many = "chunks=200;delay_ms=1;stall=mid"  # some come together in a frame
        assert (await left(gateway, many, taking=lambda: wait(0.005), frames=30)).budget_usd < FULL / 10

    async def test_is_not_taken_for_slow_by_a_busy_event_loop(self, gateway):
        loop, is_over = asyncio.get_running_loop(), asyncio.Event()

        def hog():
            time.sleep(0.05)
            if not is_over.is_set():
                loop.call_soon(hog)

        loop.call_soon(hog)
        row = await left(gateway, "chunks=400;delay_ms=2;stall=mid", frames=3)
        is_over.set()
        assert row.budget_usd < FULL / 5

    async def test_is_not_taken_for_slow_by_a_slow_provider(self, gateway):
        assert (await left(gateway, "chunks=8;delay_ms=60", frames=4)).budget_usd < FULL / 10


class TestAProviderThatGoesOn:
    async def test_is_counted_at_the_cap_where_its_stream_is_left(self, gateway):
        row = await left(gateway, goes_on(gateway, "chunks=100;delay_ms=1;stall=mid"))
        assert (row.budget_usd, row.cost_usd < UNSEEN) == (FULL, True)

    async def test_is_counted_at_the_cap_where_it_is_left_before_the_first_word(self, gateway):
        task = asyncio.create_task(gateway.ask(goes_on(gateway, "stall=headers"), stream=True))
        await gateway.arrived()
        leave(task)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await gateway.assert_settled()).budget_usd == FULL

    async def test_is_counted_at_the_cap_where_it_takes_too_long(self, gateway):
        slow = goes_on(gateway, "stall=headers", timeouts=STOPS_SOON)
        with pytest.raises(NobodyAnswered):
            await gateway.ask(slow, stream=True)
        assert (await gateway.assert_settled()).budget_usd == 2 * FULL

    async def test_costs_what_it_used_where_it_is_read_to_the_end(self, gateway):
        await gateway.relay(goes_on(gateway, "chunks=4"))
        row = await gateway.assert_settled()
        assert row.budget_usd == row.cost_usd < UNSEEN
