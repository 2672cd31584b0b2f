"""Every way out settles once, with the budgets that hold and the places that were taken: nothing is left open."""

import asyncio
import errno
import os
import socket
import time
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal

import pytest

from analytics.counters.steps import nano
from analytics.types import Limits
from providers import chat as provider_chat
from providers.types import Capability
from routing import attempts
from routing.chat import NobodyAnswered, NothingToTry, NotRecordable
from routing.streaming import leave
from tests.unit.routing.test_plan import ANYONE, POLICY
from tests.unit.routing.use_case import STOPS_SOON, answering, budget, event

INPUT, LONG, PER_TOKEN = 15, 4096, Decimal("0.001")
"""Tokens of the usual request, by the upper estimate, and of an answer of no stated length; USD a token."""
FULL = (INPUT + LONG) * PER_TOKEN
UNSEEN = (INPUT + 32) * PER_TOKEN
"""Of a stream that nothing was seen of: what its provider may have had on its way."""
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
BROKEN = event(error={"message": "no", "code": 500})


@pytest.fixture
def gateway(gateway):
    gateway.caller = replace(ANYONE, key_limits=Limits(100, 100_000, 5), project_limits=Limits(100, 100_000, 5))
    gateway.hold(budget("100", id=1), budget("1000", id=2), spent="1")
    return gateway


async def fails(gateway, *scripts, **options):
    with pytest.raises(NobodyAnswered):
        await gateway.ask(*scripts, **options)
    return await gateway.assert_settled()


def thinker(gateway, script, **fields):
    """A model that can think, and may have done so before a word of it is seen."""
    return gateway.candidate(script, capabilities=[Capability.REASONING], **fields)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class TestAnAnswer:
    async def test_settles(self, gateway):
        completed = await gateway.ask("ok")
        row = await gateway.assert_settled()
        assert (row.outcome, row.budget_usd) == ("ok", completed.bill.usd)

    async def test_without_usage_is_counted_by_what_it_may_have_been(self, gateway):
        await gateway.ask("ok;no_usage")
        row = await gateway.assert_settled()
        assert row.budget_usd > row.cost_usd

    async def test_behind_failed_attempts_settles_all_of_them(self, gateway):
        await gateway.ask("status=503", "ok")
        assert (await gateway.assert_settled()).attempts == 3


class TestAStream:
    async def test_to_its_end_settles(self, gateway):
        await gateway.relay("chunks=4")
        assert (await gateway.assert_settled()).outcome == "ok"

    async def test_holds_its_places_until_then(self, gateway):
        streaming = await gateway.ask("chunks=4", stream=True)
        assert await gateway.places() == ["k1:slots", "p1:slots"]
        streaming.close()
        assert await gateway.places() == []

    async def test_cut_by_the_client_settles_what_may_have_been_written(self, gateway):
        streaming = await gateway.ask("chunks=4;stall=mid", stream=True)
        async with aclosing(streaming.frames()) as frames:
            await anext(frames)
        row = await gateway.assert_settled()
        assert (row.outcome, row.cost_usd < row.budget_usd < FULL) == ("cancelled", True)

    @pytest.mark.parametrize("asked", [{}, {"reasoning_effort": "low"}], ids=["by its model", "by its request"])
    async def test_cut_by_the_client_is_counted_at_its_cap_where_it_may_have_thought_unseen(self, gateway, asked):
        streaming = await gateway.ask(thinker(gateway, "chunks=4;stall=mid"), stream=True, **asked)
        async with aclosing(streaming.frames()) as frames:
            await anext(frames)
        assert (await gateway.assert_settled()).budget_usd == FULL

    async def test_that_told_its_usage_is_counted_by_it_though_it_thought(self, gateway):
        await gateway.relay(thinker(gateway, "chunks=4"))
        row = await gateway.assert_settled()
        assert row.budget_usd == row.cost_usd < FULL

    async def test_outlives_its_deadline_by_long_in_the_counters(self, gateway):
        """As it settles then, and not at the very moment."""
        streaming = await gateway.ask("chunks=4", stream=True)
        ends_ms = (time.time() + POLICY.deadline_s + 20) * 1000
        assert min(await gateway.lapses_ms()) > ends_ms
        streaming.close()

    async def test_that_breaks_settles(self, gateway):
        await gateway.relay("chunks=4;cut=mid")
        assert (await gateway.assert_settled()).outcome == "error"

    async def test_that_is_never_iterated_settles_when_it_is_closed_and_but_once(self, gateway):
        streaming = await gateway.ask("chunks=4;stall=mid", stream=True)
        streaming.close()
        streaming.close()
        assert (await gateway.assert_settled()).outcome == "cancelled"


class TestCancelled:
    @pytest.mark.parametrize("is_stream", [False, True], ids=["json", "stream"])
    @pytest.mark.parametrize(("cancel", "outcome"), [(leave, "cancelled"), (asyncio.Task.cancel, "interrupted")])
    async def test_before_headers_counts_what_its_provider_may_write_on(self, gateway, cancel, outcome, is_stream):
        """Of a stream little, of a whole answer all of it."""
        task = asyncio.create_task(gateway.ask("stall=headers", stream=is_stream))
        await gateway.arrived()
        cancel(task)
        with pytest.raises(asyncio.CancelledError):
            await task
        row = await gateway.assert_settled()
        assert (row.outcome, row.budget_usd) == (outcome, UNSEEN if is_stream else FULL)

    async def test_before_headers_is_counted_at_its_cap_where_it_may_have_thought_unseen(self, gateway):
        task = asyncio.create_task(gateway.ask(thinker(gateway, "stall=headers"), stream=True))
        await gateway.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await gateway.assert_settled()).budget_usd == FULL

    @pytest.mark.parametrize("asked", [{"max_tokens": 10}, {"n": 3}])
    async def test_before_headers_is_counted_for_each_choice_and_never_above_its_cap(self, gateway, asked):
        task = asyncio.create_task(gateway.ask("stall=headers", stream=True, **asked))
        await gateway.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        tokens = min(32, asked.get("max_tokens", LONG)) * asked.get("n", 1)
        assert (await gateway.assert_settled()).budget_usd == (INPUT + tokens) * PER_TOKEN

    async def test_between_attempts_counts_the_failed_one_alone(self, gateway, monkeypatch):
        paused = asyncio.Event()
        monkeypatch.setattr(attempts, "_backoff_s", lambda: paused.set() or 20.0)
        task = asyncio.create_task(gateway.ask("bad_json"))
        await paused.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await gateway.assert_settled()).budget_usd == FULL


class TestNobodyCalled:
    async def test_a_spool_that_cannot_be_written_costs_nothing(self, gateway, monkeypatch):
        def is_full(*_):
            raise OSError(errno.ENOSPC, "no space left")

        with monkeypatch.context() as patched, pytest.raises(NotRecordable):
            patched.setattr(os, "write", is_full)  # the counters' file is SQLite's to write
            await gateway.ask("ok")
        (row,) = gateway.spool.take_unwritten()
        assert (row.error_kind, row.budget_usd) == ("spool", 0)
        assert [(balance.spent, balance.open) for balance in await gateway.balances()] == [(10**9, 0)] * 2
        assert await gateway.places() == []
        assert await gateway.counted() == {name: int(name.endswith("requests")) for name in await gateway.counted()}

    async def test_a_plan_with_nothing_to_try_gives_back_all_but_the_request(self, gateway):
        with pytest.raises(NothingToTry):
            await gateway.ask("ok", tools=[{"type": "function", "function": {"name": "f"}}])
        await gateway.assert_settled()
        assert await gateway.counted() == {name: int(name.endswith("requests")) for name in await gateway.counted()}

    async def test_a_plan_that_fails_gives_back_all_but_the_request(self, gateway, monkeypatch):
        monkeypatch.setattr("routing.plan.decide", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await gateway.ask("ok")
        assert await gateway.places() == []
        assert await gateway.counted() == {name: int(name.endswith("requests")) for name in await gateway.counted()}


class TestAFailureThatMayHaveCost:
    @pytest.mark.parametrize("script", ["bad_json", "html", "empty;no_usage", "cut=headers", "cut=mid"])
    async def test_is_counted_at_its_cap_each_time(self, gateway, script):
        row = await fails(gateway, script)
        assert (row.attempts, row.budget_usd) == (2, 2 * FULL)

    async def test_is_counted_for_each_choice(self, gateway):
        row = await fails(gateway, "bad_json", n=3)
        assert row.budget_usd == 2 * (INPUT + 3 * LONG) * PER_TOKEN

    async def test_as_a_stream_that_takes_too_long_counts_what_its_provider_had_on_its_way(self, gateway):
        row = await fails(gateway, "stall=headers", stream=True, timeouts=STOPS_SOON)
        assert (row.attempts, row.budget_usd) == (2, 2 * UNSEEN)

    async def test_as_a_stream_that_takes_too_long_is_counted_at_its_cap_where_it_may_have_thought(self, gateway):
        row = await fails(gateway, thinker(gateway, "stall=headers", timeouts=STOPS_SOON), stream=True)
        assert (row.attempts, row.budget_usd) == (2, 2 * FULL)

    @pytest.mark.parametrize("script", ["stall=headers", "stall=mid"])
    async def test_is_counted_at_its_cap_when_it_takes_too_long(self, gateway, script):
        row = await fails(gateway, script, timeouts=STOPS_SOON)
        assert (row.attempts, row.budget_usd) == (2, 2 * FULL)

    async def test_is_counted_once_when_the_deadline_passes(self, gateway):
        gateway.policy = replace(POLICY, deadline_s=0.2)
        row = await fails(gateway, "stall=headers")
        assert (row.status, row.attempts, row.budget_usd) == (504, 1, FULL)

    async def test_stands_beside_the_next_attempts_cap(self, gateway):
        await gateway.ask("bad_json", "ok")
        assert [line.cap_usd for line in gateway.opened] == [FULL, 2 * FULL, 3 * FULL]
        row = await gateway.assert_settled()
        assert row.budget_usd == 2 * FULL + row.cost_usd

    async def test_is_held_in_the_counters_while_the_next_one_is_under_way(self, gateway):
        streaming = await gateway.ask("bad_json", "chunks=4", stream=True)
        assert (await gateway.balances())[0].open == nano(gateway.opened[-1].cap_usd)
        streaming.close()
        await gateway.assert_settled()

    async def test_of_the_gateways_own_mistake_is_counted_too(self, gateway, monkeypatch):
        monkeypatch.setattr(provider_chat, "dialect_of", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await gateway.ask("ok")
        assert (await gateway.assert_settled()).budget_usd == FULL

    async def test_with_its_input_alone_told_is_counted_at_its_cap(self, gateway):
        start = event(type="message_start", message={"usage": {"input_tokens": 3}})
        async with answering(start) as url:
            row = await fails(gateway, gateway.candidate("ok", url=url, dialect="anthropic"), stream=True)
        assert (row.input_tokens, row.budget_usd >= row.attempts * (LONG * PER_TOKEN)) == (3 * row.attempts, True)


class TestAFailureThatCannotHaveCost:
    @pytest.mark.parametrize("script", ["status=503", "status=429", "status=401", "status=400", "status=500"])
    async def test_is_not_counted(self, gateway, script):
        assert (await fails(gateway, script)).budget_usd == 0

    async def test_a_refused_connection_is_none(self, gateway):
        row = await fails(gateway, "ok", url=f"http://127.0.0.1:{free_port()}/v1")
        assert (row.attempts, row.budget_usd) == (2, 0)

    async def test_the_next_attempt_needs_no_more_than_its_own_cap(self, gateway):
        await gateway.ask("status=503", "ok")
        assert [line.cap_usd for line in gateway.opened] == [FULL] * 3


class TestAFailureThatToldItsUsage:
    ROLE = event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}], usage=USAGE)

    async def test_counts_as_told(self, gateway):
        async with answering(self.ROLE, BROKEN) as url:
            row = await fails(gateway, "ok", stream=True, url=url)
        assert (row.cost_usd, row.budget_usd) == (Decimal("0.010"), Decimal("0.010"))

    async def test_counts_as_told_even_when_it_falls_silent(self, gateway):
        async with answering(self.ROLE, asyncio.Event()) as url:
            row = await fails(gateway, "ok", stream=True, url=url, timeouts=replace(STOPS_SOON, headers_s=5.0))
        assert row.budget_usd == Decimal("0.010")

    async def test_a_disputed_figure_counts_at_our_price(self, gateway):
        told = USAGE | {"cost": 0.001}
        role = event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}], usage=told)
        async with answering(role, BROKEN) as url:
            row = await fails(gateway, "ok", stream=True, url=url)
        assert (row.cost_usd, row.budget_usd, row.is_disputed) == (Decimal("0.002"), Decimal("0.010"), True)
