"""The use case at a provider with a limit of calls: who waits is answered, and every way out leaves its place."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from analytics.types import BudgetAction
from gateway.api import errors
from providers import places
from routing.chat import NobodyAnswered
from routing.streaming import leave
from routing.trails import Step
from routing.types import WhenClientLeaves, Wishes
from tests.unit.analytics.spools import full_disk
from tests.unit.routing.test_plan import ACME
from tests.unit.routing.use_case import STOPS_SOON, budget, come_round


@pytest.fixture(autouse=True)
def nobody_there(monkeypatch):
    monkeypatch.setattr(places, "_desks", {})


def at(gateway, script, *, most=1, queued=100, layer="L0", provider=1, **fields):
    found = gateway.candidate(script, layer, **fields)
    limited = replace(found.model.provider, id=provider, slug=f"acme{provider}", max_concurrent=most, max_queued=queued)
    return replace(found, model=replace(found.model, provider=limited))


def under_way():
    return sum(places.under_way().values())


def trail_of(row):
    return msgspec.json.decode(row.trail, type=list[Step])


async def queued(asking):
    """The task of a request that waits for a place."""
    task = asyncio.create_task(asking)
    for _ in range(100):
        await asyncio.sleep(0)
        if places.waiting() == {"acme1": 1}:
            return task
    raise AssertionError("it does not wait")


async def holding(gateway, one):
    """A stream under way."""
    streaming = await gateway.ask(one, stream=True)
    assert under_way() == 1
    return streaming


class TestAPlaceIsLeft:
    async def test_by_an_answer(self, gateway):
        await gateway.ask(at(gateway, "ok"))
        assert places.under_way() == {"acme1": 0}

    async def test_by_a_stream_when_it_has_ended(self, gateway):
        streaming = await holding(gateway, at(gateway, "chunks=2"))
        async for _ in streaming.frames():
            assert under_way() == 1
        assert under_way() == 0

    @pytest.mark.parametrize("script", ["status=503", "status=404", "html", "chunks=4;stall=first"])
    async def test_by_a_failure_when_another_model_is_under_way(self, gateway, script):
        one = at(gateway, script, timeouts=STOPS_SOON)
        other = at(gateway, "chunks=4;stall=mid", provider=2)
        streaming = await gateway.ask(one, other, stream=True)
        assert places.under_way() == {"acme1": 0, "acme2": 1}
        streaming.close()

    async def test_by_a_failure_before_the_same_model_is_tried_again(self, gateway):
        with pytest.raises(NobodyAnswered):
            await gateway.ask(at(gateway, "status=503", queued=0))
        assert [step.outcome for step in trail_of(gateway.row)] == ["server_error", "server_error"]

    async def test_by_a_model_that_no_budget_has_room_for_when_another_is_under_way(self, gateway):
        gateway.hold(budget("1"))
        dear = at(gateway, "ok", usd="100")
        streaming = await gateway.ask(dear, at(gateway, "chunks=4;stall=mid", provider=2), stream=True, max_tokens=9)
        assert places.under_way() == {"acme1": 0, "acme2": 1}
        streaming.close()

    async def test_by_a_model_whose_budget_asks_for_a_lower_layer(self, gateway):
        gateway.hold(budget("0.01", action=BudgetAction.DEGRADE, layer="L0"))
        dear = at(gateway, "ok", layer="L1", usd="1")
        free = at(gateway, "chunks=4;stall=mid", provider=2, usd="0")
        wishes = Wishes(layer="L1")
        streaming = await gateway.ask(free, dear, stream=True, wishes=wishes, max_tokens=100)
        assert places.under_way() == {"acme1": 0, "acme2": 1}
        streaming.close()

    @pytest.mark.parametrize("script", ["chunks=4;cut=mid", "chunks=4;stall=mid"])
    async def test_by_a_stream_that_breaks(self, gateway, script):
        await gateway.relay(at(gateway, script, timeouts=STOPS_SOON))
        assert under_way() == 0

    async def test_by_a_stream_that_is_left(self, gateway):
        streaming = await holding(gateway, at(gateway, "chunks=4;stall=mid"))
        streaming.close()
        assert under_way() == 0

    async def test_by_one_that_is_cancelled_while_it_calls(self, gateway):
        task = asyncio.create_task(gateway.ask(at(gateway, "stall=headers")))
        await gateway.arrived()
        assert under_way() == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert under_way() == 0

    async def test_by_one_that_no_budget_has_room_for(self, gateway):
        gateway.hold(budget("1"), spent="1")
        with pytest.raises(Exception, match="budget"):
            await gateway.ask(at(gateway, "ok"))
        assert under_way() == 0

    async def test_by_one_that_cannot_be_recorded(self, gateway):
        with full_disk(), pytest.raises(Exception, match="recorded"):
            await gateway.ask(at(gateway, "ok"))
        assert under_way() == 0


class TestAStreamThatIsDrained:
    async def test_keeps_its_place_until_its_provider_has_ended(self, gateway):
        gateway.policy = replace(gateway.policy, when_client_leaves=WhenClientLeaves.DRAIN)
        streaming = await holding(gateway, at(gateway, "chunks=4;delay_ms=20"))
        task = asyncio.create_task(left(streaming))
        await task
        assert under_way() == 1
        await come_round()
        assert under_way() == 0


async def left(streaming):
    """Its client leaves amid it."""
    leave(asyncio.current_task())
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        streaming.close(was_cancelled=True)


class TestWhoWaits:
    async def test_is_answered_when_its_turn_comes_and_the_trail_has_its_wait(self, gateway):
        one = at(gateway, "chunks=4;stall=mid")
        streaming = await holding(gateway, one)
        waiting = await queued(gateway.ask(at(gateway, "ok")))
        assert len(gateway.opened) == 1  # nothing is noted of a call that may never be made
        streaming.close()
        completed = await waiting
        assert completed.attempts == 1
        (step,) = [step for row in gateway.rows for step in trail_of(row) if step.waited_ms]
        assert (step.outcome, step.waited_ms > 0, step.started_ms >= step.waited_ms) == ("ok", True, True)

    async def test_leaves_the_queue_when_its_client_leaves_and_costs_nothing(self, gateway):
        streaming = await holding(gateway, at(gateway, "chunks=4;stall=mid"))
        waiting = await queued(gateway.ask(at(gateway, "ok")))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        (row,) = gateway.rows
        assert (row.cost_usd, row.attempts, trail_of(row), places.waiting()) == (0, 0, [], {"acme1": 0})
        streaming.close()
        assert under_way() == 0


class TestWhereThereIsNoPlace:
    async def test_the_next_model_is_tried(self, gateway):
        streaming = await holding(gateway, at(gateway, "chunks=4;stall=mid", queued=0))
        completed = await gateway.ask(at(gateway, "ok", queued=0), at(gateway, "ok", provider=2))
        assert completed.candidate.model.provider.slug == "acme2"
        (row,) = gateway.rows
        assert [(step.provider, step.outcome) for step in trail_of(row)] == [("acme1", "overloaded"), ("acme2", "ok")]
        assert row.fell_back
        streaming.close()

    async def test_the_queue_leaves_time_for_the_next_model(self, gateway):
        streaming = await holding(gateway, at(gateway, "chunks=4;stall=mid"))
        wishes = Wishes(layer="L0", timeout_s=1.0)
        completed = await gateway.ask(at(gateway, "ok"), at(gateway, "ok", provider=2), wishes=wishes)
        assert completed.candidate.model.provider.slug == "acme2"
        streaming.close()

    async def test_a_budget_may_still_ask_for_a_lower_layer(self, gateway):
        """Nobody was called yet."""
        streaming = await holding(gateway, at(gateway, "chunks=4;stall=mid", queued=0))
        gateway.hold(budget("0.01", action=BudgetAction.DEGRADE, layer="L0"))
        full, dear = at(gateway, "ok", queued=0, layer="L1"), gateway.candidate("ok", "L1", usd="1")
        free = gateway.candidate("ok", usd="0")
        completed = await gateway.ask(free, full, dear, wishes=Wishes(layer="L1"), max_tokens=100)
        assert completed.candidate is free
        streaming.close()

    async def test_it_takes_no_attempt_of_those_allowed(self, gateway):
        gateway.policy = replace(gateway.policy, max_attempts=1)
        streaming = await holding(gateway, at(gateway, "chunks=4;stall=mid", queued=0))
        assert (await gateway.ask(at(gateway, "ok", queued=0), at(gateway, "ok", provider=2))).attempts == 2
        streaming.close()

    @pytest.mark.parametrize("queued", [0, 100], ids=["a full queue", "a wait until the deadline"])
    async def test_as_the_last_failure_it_is_503_with_the_wait_and_costs_nothing(self, gateway, queued):
        streaming = await holding(gateway, at(gateway, "chunks=4;stall=mid", queued=queued))
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask(at(gateway, "ok", queued=queued), wishes=Wishes(layer="L0", timeout_s=0.05))
        answer = errors.handle(caught.value, {})
        error = msgspec.json.decode(answer.content)["error"]
        assert (answer.status_code, error["code"], answer["Retry-After"]) == (503, "overloaded", "1")
        assert [step["outcome"] for step in error["gateway"]["trail"]] == ["overloaded"]
        (row,) = gateway.rows
        assert (row.status, row.error_kind, row.cost_usd) == (503, "overloaded", 0)
        assert len(gateway.opened) == 1  # the stream's
        streaming.close()

    async def test_a_provider_without_a_limit_is_asked_for_no_place(self, gateway):
        assert ACME.max_concurrent is None
        await gateway.ask("ok")
        assert places.under_way() == {}
