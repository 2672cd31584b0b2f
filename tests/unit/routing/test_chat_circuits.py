"""A request and the circuits: what its calls say of their models, who tries one that is due, what is tried as a last
resort. With a real provider process."""

import asyncio
import time

import pytest

from analytics.types import BudgetAction
from providers.types import Timeouts
from routing import circuits
from routing.chat import NobodyAnswered
from routing.circuit import Circuit, State
from routing.circuits import Wanted
from routing.types import Wishes
from tests.unit.routing.use_case import answering, budget, says

HANGS_UP = Timeouts(connect_s=0.1, headers_s=0.05, first_content_s=0.1, between_frames_s=0.1)


@pytest.fixture
def out(gateway):
    """Puts a model out of order, for so long from now; else it is due."""

    def put(candidate, *, for_s=-1.0, state=State.OPEN, cause="timeout"):
        now = time.time()
        print_ = circuits.fingerprint(candidate.model)
        circuit = Circuit(print_, state, since=now - 60, until=now + for_s, cause=cause, opened_at=now - 60)
        assert circuits.write(gateway.store, {candidate.model.id: Wanted(None, circuit)}, now=now)
        gateway.health.look()

    return put


def state(gateway, candidate):
    gateway.health.look()
    found = gateway.health.circuits.get(candidate.model.id)
    return "closed" if found is None else found.state.value


def counted(gateway, candidate):
    gateway.health.look()
    found = gateway.health.known.get(candidate.model.id)
    return (0, 0) if found is None else (found.calls, found.failures)


async def ask(gateway, *candidates, **options):
    return (await gateway.ask(*candidates, **options)).candidate


class TestWhatCallsSay:
    async def test_each_attempt_counts(self, gateway):
        bad, good = gateway.candidate("status=503"), gateway.candidate("ok")
        assert await ask(gateway, bad, good) is good
        assert (counted(gateway, bad), counted(gateway, good)) == ((2, 2), (0, 0))

    async def test_a_model_that_goes_on_failing_is_left_alone(self, gateway):
        bad, good = gateway.candidate("status=503"), gateway.candidate("ok")
        for _ in range(4):
            await ask(gateway, bad, good)
            gateway.health.look()
        assert state(gateway, bad) == "open"
        assert len(gateway.seen()) == 3 * 2 + 4  # twice each until it opened; and each answer

    async def test_a_stream_that_breaks_after_its_content_counts(self, gateway):
        bad = gateway.candidate("chunks=4;cut=mid")
        for _ in range(4):
            await gateway.relay(bad)
        assert counted(gateway, bad) == (4, 4)

    async def test_one_that_falls_silent_does(self, gateway):
        async with answering(says("a"), asyncio.Event()) as url:
            silent = gateway.candidate("silent", url=url, timeouts=HANGS_UP)
            await gateway.relay(silent)
        assert counted(gateway, silent) == (1, 1)

    async def test_one_that_ends_well_does_not(self, gateway):
        bad = gateway.candidate("chunks=4")
        await gateway.relay(bad)
        assert counted(gateway, bad) == (0, 0)

    async def test_a_model_that_hangs_does(self, gateway):
        hangs = gateway.candidate("stall=headers", timeouts=HANGS_UP)
        with pytest.raises(NobodyAnswered):
            await gateway.ask(hangs)
        assert counted(gateway, hangs) == (2, 2)

    async def test_one_that_the_client_did_not_wait_for_does_not(self, gateway):
        hangs = gateway.candidate("stall=headers")
        with pytest.raises(NobodyAnswered):
            await gateway.ask(hangs, wishes=Wishes(layer="L0", timeout_s=0.05))
        assert counted(gateway, hangs) == (0, 0)

    async def test_nor_one_whose_client_left(self, gateway):
        hangs = gateway.candidate("stall=headers")
        task = asyncio.create_task(gateway.ask(hangs))
        await gateway.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert counted(gateway, hangs) == (0, 0)

    @pytest.mark.parametrize(("script", "cause"), [("status=401", "credentials"), ("status=404", "not_found")])
    async def test_what_an_operator_has_to_mend_opens_at_once(self, gateway, script, cause):
        bad, good = gateway.candidate(script), gateway.candidate("ok")
        assert await ask(gateway, bad, good) is good
        assert state(gateway, bad) == "open"
        assert gateway.health.circuits[bad.model.id].cause == cause

    async def test_the_vendors_wait_is_kept(self, gateway):
        bad, good = gateway.candidate("status=429;retry_after=40"), gateway.candidate("ok")
        await ask(gateway, bad, good)
        assert state(gateway, bad) == "open"
        assert 35 < gateway.health.circuits[bad.model.id].until - time.time() <= 40


class TestTrying:
    async def test_one_that_is_out_is_not_called(self, gateway, out):
        first, second = gateway.candidate("ok"), gateway.candidate("ok")
        out(first, for_s=60)
        assert await ask(gateway, first, second) is second
        assert len(gateway.seen()) == 1

    async def test_one_that_is_due_is_tried_and_comes_back(self, gateway, out):
        first, second = gateway.candidate("ok"), gateway.candidate("ok")
        out(first)
        assert await ask(gateway, first, second) is first
        assert state(gateway, first) == "closed"

    async def test_by_one_request_alone(self, gateway, out):
        first, second = gateway.candidate("delay_ms=100"), gateway.candidate("ok")
        out(first)
        answered = await asyncio.gather(*(ask(gateway, first, second) for _ in range(8)))
        assert [one is first for one in answered].count(True) == 1

    async def test_once_however_it_fails(self, gateway, out):
        first, second = gateway.candidate("status=503"), gateway.candidate("ok")
        out(first)
        assert await ask(gateway, first, second) is second
        assert (state(gateway, first), gateway.health.circuits[first.model.id].reopened) == ("open", 1)
        assert len(gateway.seen()) == 2

    async def test_a_client_that_leaves_gives_the_try_to_the_next(self, gateway, out):
        first = gateway.candidate("stall=headers")
        out(first)
        task = asyncio.create_task(gateway.ask(first, gateway.candidate("ok")))
        await gateway.arrived()
        assert state(gateway, first) == "half_open"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert state(gateway, first) == "open"
        assert gateway.health.circuits[first.model.id].is_due(at=time.time())

    async def test_a_client_that_leaves_while_it_claims_does_too(self, gateway, out, monkeypatch):
        first, began, goes_on = gateway.candidate("ok"), asyncio.Event(), asyncio.Event()
        out(first)
        loop, claim = asyncio.get_running_loop(), gateway.health.claim

        def claim_slowly(model, *, for_s):
            loop.call_soon_threadsafe(began.set)
            token = claim(model, for_s=for_s)
            asyncio.run_coroutine_threadsafe(goes_on.wait(), loop).result(5)
            return token

        monkeypatch.setattr(gateway.health, "claim", claim_slowly)
        task = asyncio.create_task(gateway.ask(first))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        given_back, saw = asyncio.Event(), gateway.health.saw
        monkeypatch.setattr(gateway.health, "saw", lambda *said: (saw(*said), given_back.set()))
        goes_on.set()
        await given_back.wait()
        assert state(gateway, first) == "open"
        assert gateway.seen() == []

    async def test_a_budget_that_has_no_room_gives_it_back(self, gateway, out):
        first, free = gateway.candidate("ok", usd="1"), gateway.candidate("ok", usd="0")
        gateway.hold(budget("0.01", near_edge="deny"))
        out(first)
        assert await ask(gateway, first, free, max_tokens=100) is free
        assert state(gateway, first) == "open"
        assert gateway.health.circuits[first.model.id].is_due(at=time.time())

    async def test_a_budget_that_asks_for_a_lower_layer_keeps_it_for_the_next_plan(self, gateway, out):
        """The plan that follows has the model too, and it is this request's to try."""
        dear, first = gateway.candidate("ok", usd="1"), gateway.candidate("ok", usd="0")
        gateway.hold(budget("0.01", action=BudgetAction.DEGRADE, layer="L0"))
        out(dear)
        assert await ask(gateway, dear, first, max_tokens=100) is dear
        assert (state(gateway, dear), len(gateway.seen())) == ("closed", 1)

    async def test_or_gives_it_back_where_that_has_none(self, gateway, out):
        above, free = gateway.candidate("ok", "L1", usd="1"), gateway.candidate("ok", usd="0")
        gateway.hold(budget("0.01", action=BudgetAction.DEGRADE, layer="L0"))
        out(above)
        assert await ask(gateway, free, above, wishes=Wishes(layer="L1"), max_tokens=100) is free
        assert state(gateway, above) == "open"
        assert gateway.health.circuits[above.model.id].is_due(at=time.time())


class TestTheLastResort:
    async def test_with_nothing_else_it_is_tried_nevertheless(self, gateway, out):
        only = gateway.candidate("ok")
        out(only, for_s=60)
        completed = await gateway.ask(only)
        assert completed.decision.plan.is_last_resort
        assert state(gateway, only) == "closed"

    async def test_once(self, gateway, out):
        only = gateway.candidate("status=503")
        out(only, for_s=60)
        with pytest.raises(NobodyAnswered):
            await gateway.ask(only)
        assert len(gateway.seen()) == 1
        assert (state(gateway, only), gateway.row.attempts) == ("open", 1)

    async def test_once_more_when_the_wait_it_asked_for_is_over(self, gateway, out):
        only = gateway.candidate("status=429;retry_after=1")
        out(only, for_s=60)
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask(only, wishes=Wishes(layer="L0", timeout_s=5.0))
        assert (len(gateway.seen()), caught.value.status) == (2, 429)

    async def test_while_another_tries_it_too(self, gateway, out):
        only = gateway.candidate("ok")
        out(only, for_s=60, state=State.HALF_OPEN)
        assert await ask(gateway, only) is only

    async def test_when_the_try_was_taken_by_another_in_between(self, gateway, out):
        only = gateway.candidate("ok")
        out(only)
        circuit = gateway.health.circuits[only.model.id]
        gateway.health.claim(only.model, for_s=30.0)
        gateway.health.circuits = {only.model.id: circuit}  # as others see it until they look
        assert await ask(gateway, only) is only


async def test_while_all_are_closed_the_counters_are_asked_nothing(gateway, monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(circuits, "read", refuse)
    monkeypatch.setattr(circuits, "write", refuse)
    await gateway.ask("ok")
