"""Limits on a request's way: what is counted when it comes, and what is given back and corrected when it ends."""

import asyncio
from dataclasses import replace

import pytest

from analytics.lengths import ANY_MODEL, FEWEST
from analytics.limits import LimitReached
from analytics.types import Limits
from routing.chat import MoneyUnknown, NobodyAnswered, NothingToTry, OverBudget
from tests.unit.routing.test_plan import ANYONE
from tests.unit.routing.use_case import budget, come_round

INPUT, USUAL = 15, 512
"""Tokens of the usual request, by the upper estimate, and of an answer of no stated length."""
TOOLS = [{"type": "function", "function": {"name": "f"}}]
"""That no model here can use."""


def limit(gateway, *, key=(), project=()):
    """Requests a minute, tokens a minute, requests at once."""
    gateway.caller = replace(ANYONE, key_limits=Limits(*key), project_limits=Limits(*project))


async def refused(gateway, **options):
    with pytest.raises(LimitReached) as caught:
        await gateway.ask("ok", **options)
    return caught.value


class TestRequestsAMinute:
    async def test_as_many_as_the_limit_are_let_through_and_no_more(self, gateway):
        limit(gateway, key=(2,))
        for _ in range(2):
            await gateway.ask("ok")
        error = await refused(gateway)
        assert (error.kind, error.whose, error.limit) == ("requests", "key", 2)
        assert 50 < error.retry_s <= 61
        assert len(gateway.seen()) == 2

    async def test_a_refusal_counts_nothing_and_leaves_no_row(self, gateway):
        limit(gateway, key=(1, 100_000, 1))
        await gateway.ask("ok", max_tokens=20)
        counted = await gateway.counted()
        await refused(gateway)
        assert await gateway.counted() == counted
        assert await gateway.places() == []
        assert gateway.row.outcome == "ok"

    async def test_a_failed_request_counts(self, gateway):
        limit(gateway, key=(10,))
        with pytest.raises(NobodyAnswered):
            await gateway.ask("status=503")
        assert await gateway.counted() == {"k1:requests": 1}

    async def test_the_answer_tells_the_tightest_of_key_and_project(self, gateway):
        limit(gateway, key=(10, 5000), project=(3, 90_000))
        completed = await gateway.ask("ok", max_tokens=20)
        told = {quota.kind: (quota.limit, quota.remaining) for quota in completed.quotas}
        assert told == {"requests": (3, 2), "tokens": (5000, 5000 - INPUT - 20)}

    async def test_a_stream_tells_it_too(self, gateway):
        limit(gateway, key=(10,))
        streaming, _ = await gateway.relay("chunks=3")
        assert [(quota.kind, quota.remaining) for quota in streaming.quotas] == [("requests", 9)]

    async def test_a_projects_limit_holds_for_all_its_keys(self, gateway):
        limit(gateway, project=(1,))
        await gateway.ask("ok")
        gateway.caller = replace(gateway.caller, key_id=2)
        assert (await refused(gateway)).whose == "project"


class TestTokensAMinute:
    async def test_are_counted_by_what_the_request_may_use_and_corrected_to_what_it_used(self, gateway):
        limit(gateway, key=(None, 10_000))
        streaming = await gateway.ask("chunks=4", stream=True, max_tokens=100)
        assert await gateway.counted() == {"k1:tokens": INPUT + 100}
        [_ async for _ in streaming.frames()]
        row = gateway.row
        assert await gateway.counted() == {"k1:tokens": row.input_tokens + row.output_tokens}

    async def test_several_choices_are_counted_as_often(self, gateway):
        limit(gateway, key=(None, 10_000))
        streaming = await gateway.ask("chunks=4", stream=True, max_tokens=100, n=3)
        assert await gateway.counted() == {"k1:tokens": INPUT + 300}
        streaming.close()

    @pytest.mark.parametrize(("most", "counted"), [(10_000, INPUT + USUAL), (100, 100)])
    async def test_an_answer_of_no_stated_length_counts_as_usual_as_far_as_it_fits(self, gateway, most, counted):
        limit(gateway, key=(None, most))
        streaming = await gateway.ask("chunks=4", stream=True)
        assert await gateway.counted() == {"k1:tokens": counted}
        streaming.close()

    async def test_it_counts_as_no_less_after_short_answers(self, gateway):
        limit(gateway, key=(None, 2000))
        for _ in range(FEWEST):
            gateway.guard.lengths.learn(key_id=1, model_id=ANY_MODEL, tokens=2, was_capped=False)
        ended = await asyncio.gather(*[gateway.ask("chunks=4;delay_ms=50") for _ in range(10)], return_exceptions=True)
        assert sum(isinstance(one, LimitReached) for one in ended) == 10 - 2000 // (INPUT + USUAL)

    async def test_and_as_more_after_long_ones(self, gateway):
        limit(gateway, key=(None, 10_000))
        for _ in range(FEWEST):
            gateway.guard.lengths.learn(key_id=1, model_id=ANY_MODEL, tokens=2048, was_capped=False)
        streaming = await gateway.ask("chunks=4", stream=True)
        assert await gateway.counted() == {"k1:tokens": INPUT + 2048}
        streaming.close()

    async def test_those_used_beyond_what_was_counted_count_as_well(self, gateway):
        limit(gateway, key=(None, 100))
        await gateway.ask("chunks=300")
        assert (await gateway.counted())["k1:tokens"] > 300
        assert (await refused(gateway)).retry_s is not None

    @pytest.mark.parametrize("size", [{"max_tokens": 86}, {"max_tokens": 10**30, "n": 128}])
    async def test_a_request_that_alone_is_too_large_never_fits(self, gateway, size):
        limit(gateway, key=(None, 100))
        error = await refused(gateway, **size)
        assert (error.retry_s, error.kind, error.limit) == (None, "tokens", 100)
        assert error.cost > 100
        assert await gateway.counted() == {}

    async def test_it_never_fits_either_when_another_limit_is_reached_first(self, gateway):
        limit(gateway, key=(1, 100))
        await gateway.ask("ok", max_tokens=5)
        error = await refused(gateway, max_tokens=1000)
        assert (error.retry_s, error.kind) == (None, "tokens")


class TestAtOnce:
    async def test_a_place_is_held_until_the_stream_ends(self, gateway):
        limit(gateway, key=(None, None, 1))
        streaming = await gateway.ask("chunks=4;delay_ms=20", stream=True)
        error = await refused(gateway)
        assert (error.kind, error.limit, error.retry_s) == ("slots", 1, 1.0)
        [_ async for _ in streaming.frames()]
        await gateway.ask("ok")
        assert await gateway.places() == []

    async def test_of_many_at_once_as_many_as_there_are_places_are_let_through(self, gateway):
        limit(gateway, project=(None, None, 3))
        asked = [gateway.ask("ok;delay_ms=100") for _ in range(8)]
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(one, LimitReached) for one in ended) == 5
        assert await gateway.places() == []

    async def test_a_client_that_leaves_gives_its_place_back(self, gateway):
        limit(gateway, key=(None, None, 1))
        task = asyncio.create_task(gateway.ask("stall=headers"))
        await gateway.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await gateway.places() == []


class TestRefusedLater:
    """Nobody was called: its tokens are given back with its place. It stays a request: it has a row in the ledger."""

    async def assert_given_back(self, gateway):
        counted = await gateway.counted()
        assert {name: used for name, used in counted.items() if name.endswith("tokens")} == {
            name: 0 for name in counted if name.endswith("tokens")
        }
        assert {used for name, used in counted.items() if name.endswith("requests")} == {1}
        assert await gateway.places() == []

    async def test_for_its_budget(self, gateway):
        limit(gateway, key=(10, 10_000, 1), project=(10, 10_000, 1))
        gateway.hold(budget("1"), spent="1")
        with pytest.raises(OverBudget):
            await gateway.ask("ok")
        await self.assert_given_back(gateway)

    async def test_for_a_budget_nobody_knows(self, gateway):
        limit(gateway, key=(10, 10_000, 1))
        gateway.hold(budget("1"))
        gateway.forget(1)
        with pytest.raises(MoneyUnknown):
            await gateway.ask("ok")
        await self.assert_given_back(gateway)

    async def test_for_its_plan(self, gateway):
        limit(gateway, key=(10, 10_000, 1))
        with pytest.raises(NothingToTry):
            await gateway.ask("ok", tools=TOOLS)
        await self.assert_given_back(gateway)

    async def test_those_that_no_model_fits_write_no_more_rows_than_the_limit(self, gateway):
        limit(gateway, key=(2,))
        for _ in range(2):
            with pytest.raises(NothingToTry):
                await gateway.ask("ok", tools=TOOLS)
        await refused(gateway, tools=TOOLS)
        assert len(gateway.lines()) == 2


class TestCountersAway:
    async def test_limits_are_open_and_that_is_counted(self, gateway):
        limit(gateway, key=(1, 1, 1))
        with gateway.counters_away():
            for _ in range(2):
                assert (await gateway.ask("ok")).quotas == ()
            assert gateway.guard.missed.admitted_unchecked == 2

    async def test_a_place_that_may_have_been_taken_is_given_back_later(self, gateway):
        limit(gateway, key=(None, None, 1))
        with gateway.counters_away():
            await gateway.ask("ok")
        assert [step.slots for step in gateway.heard.unsettled] == [("k1:slots",)]

    async def test_what_could_not_be_given_back_is_handed_on(self, gateway):
        limit(gateway, key=(None, 1000, 1))
        streaming = await gateway.ask("chunks=4", stream=True, max_tokens=50)
        with gateway.counters_away():
            streaming._entry.guard = gateway.guard
            streaming.close()
            await come_round()
        gateway.store.settle_now(gateway.heard.unsettled)
        assert await gateway.places() == []
        assert (await gateway.counted())["k1:tokens"] < INPUT + 50


async def test_without_limits_and_budgets_the_counters_are_not_asked(gateway):
    with gateway.counters_away():
        await gateway.ask("ok")
        assert gateway.guard.is_here
    assert await gateway.counted() == {}
