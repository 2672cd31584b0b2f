"""Calls under way, by model: counted from an attempt's begin to its end, a stream's included."""

import asyncio
from dataclasses import replace

import pytest

from routing import outstanding
from routing.chat import NobodyAnswered
from routing.outstanding import Call
from routing.streaming import leave
from routing.types import Balancing, WhenClientLeaves
from tests.unit.routing.test_chat_counted import DONE, FINISH, SAID, leaves_amid
from tests.unit.routing.test_plan import POLICY
from tests.unit.routing.use_case import answering, come_round, says

LEAST = replace(POLICY, balancing=Balancing.LEAST_OUTSTANDING)


@pytest.fixture(autouse=True)
def nothing_is_left_over():
    assert outstanding.calls() == {}
    yield
    assert outstanding.calls() == {}


class TestCall:
    def test_calls_count_by_model_until_each_has_ended(self):
        calls = [Call(1), Call(1), Call(2)]
        assert outstanding.calls() == {1: 2, 2: 1}
        calls[0].end()
        assert outstanding.calls() == {1: 1, 2: 1}
        for call in calls:
            call.end()

    def test_one_ends_once(self):
        first, second = Call(1), Call(1)
        first.end()
        first.end()
        assert outstanding.calls() == {1: 1}
        second.end()

    def test_they_are_told_to_a_policy_that_asks(self):
        call = Call(1)
        assert (outstanding.asked_for(LEAST), outstanding.asked_for(POLICY)) == ({1: 1}, {})
        call.end()


class TestARequest:
    async def under_way(self, gateway, asked, candidate):
        task = asyncio.create_task(asked)
        await gateway.arrived()
        assert outstanding.calls() == {candidate.model.id: 1}
        return task

    @pytest.mark.parametrize("stream", [False, True])
    async def test_counts_while_it_waits_for_its_answer_until_its_client_leaves(self, gateway, stream):
        candidate = gateway.candidate("stall=headers")
        task = await self.under_way(gateway, gateway.ask(candidate, stream=stream), candidate)
        leave(task)
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_a_whole_answer_ends_it(self, gateway):
        await gateway.ask("ok")
        assert outstanding.calls() == {}

    async def test_failed_attempts_end_theirs(self, gateway):
        with pytest.raises(NobodyAnswered):
            await gateway.ask("status=404", "bad_json")
        assert outstanding.calls() == {}

    async def test_a_stream_counts_until_its_end(self, gateway):
        candidate = gateway.candidate("chunks=4")
        streaming = await gateway.ask(candidate, stream=True)
        assert outstanding.calls() == {candidate.model.id: 1}
        assert b"".join([frames async for frames in streaming.frames()])
        assert outstanding.calls() == {}

    async def test_a_stream_that_is_left_counts_until_then(self, gateway):
        streaming = await gateway.ask("chunks=4", stream=True)
        streaming.close()
        assert outstanding.calls() == {}

    async def test_one_that_is_read_on_without_its_client_counts_until_its_end(self, gateway):
        gateway.policy = replace(POLICY, when_client_leaves=WhenClientLeaves.DRAIN)
        goes_on = asyncio.Event()
        async with answering(says(SAID), goes_on, FINISH, DONE) as url:
            await leaves_amid(gateway, "ok", url=url)
            assert list(outstanding.calls().values()) == [1]
            goes_on.set()
            await come_round()
        assert outstanding.calls() == {}

    async def test_one_that_breaks_counts_until_then(self, gateway):
        streaming = await gateway.ask("chunks=4;cut=mid", stream=True)
        assert [frames async for frames in streaming.frames()]
        assert (streaming.error is not None, outstanding.calls()) == (True, {})


class TestBalanced:
    async def test_a_busy_model_comes_behind_its_equal(self, gateway):
        gateway.policy = LEAST
        first, second = gateway.candidate("chunks=4"), gateway.candidate("chunks=5")
        streams = [await gateway.ask(first, second, stream=True) for _ in range(3)]
        assert [each.candidate for each in streams] == [first, second, first]
        for each in streams:
            each.close()

    async def test_not_where_the_policy_balances_by_weight(self, gateway):
        first, second = gateway.candidate("chunks=4"), gateway.candidate("chunks=5")
        streams = [await gateway.ask(first, second, stream=True) for _ in range(2)]
        assert [each.candidate for each in streams] == [first, first]
        for each in streams:
            each.close()
