"""What a budget holds for a request: all that its client may switch on is in it, so that no answer costs more."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from providers.types import Price, Unit
from routing.types import UnknownPrice
from tests.unit.routing.test_plan import LONG_AGO, POLICY
from tests.unit.routing.use_case import answering, budget

PER_TOKEN = Decimal("0.001")
LONG_TEXT = "x" * 10_000
CACHED = {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}


def priced(gateway, *prices, url=None, **fields):
    """A model that costs 0.001 USD a token and, beside that, these."""
    found = gateway.candidate("ok", url=url, **fields)
    more = tuple(Price(unit, Decimal(usd), 0, LONG_AGO) for unit, usd in prices)
    return replace(found, model=replace(found.model, prices=(*found.model.prices, *more)))


def whole(**usage):
    message = {"role": "assistant", "content": "Hi"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return msgspec.json.encode({"object": "chat.completion", "choices": choices, "usage": usage})


async def cap(gateway, *scripts, **fields):
    """What is held for a request."""
    await gateway.ask(*scripts, **({"max_tokens": 5} | fields))
    return gateway.opened[-1].cap_usd


@pytest.fixture
def gateway(gateway):
    gateway.hold(budget("100"))
    return gateway


class TestWebSearches:
    SEARCHES = (Unit.WEB_SEARCH, "0.01")

    async def test_are_held_where_they_are_switched_on(self, gateway):
        plain = await cap(gateway, priced(gateway, self.SEARCHES))
        assert await cap(gateway, priced(gateway, self.SEARCHES), web_search_options={}) == plain + Decimal("0.1")

    async def test_that_an_answer_used_are_charged_and_no_more_than_were_held(self, gateway):
        usage = {"prompt_tokens": 9, "completion_tokens": 5, "server_tool_use_details": {"web_search_requests": 10}}
        async with answering(whole(**usage), content_type="application/json") as url:
            asked = [
                gateway.ask(priced(gateway, self.SEARCHES, url=url), web_search_options={}, max_tokens=5)
                for _ in range(5)
            ]
            await asyncio.gather(*asked)
        (balance,) = await gateway.balances()
        assert 0 < balance.spent <= sum(line.cap_usd for line in gateway.opened) * 10**9

    async def test_of_a_model_whose_tokens_are_free_are_held_too(self, gateway):
        assert await cap(gateway, priced(gateway, self.SEARCHES, usd="0"), web_search_options={}) == Decimal("0.1")


class TestAPrediction:
    @pytest.mark.parametrize("answers", [1, 2])
    async def test_is_held_as_output_beside_the_answer(self, gateway, answers):
        plain = await cap(gateway, "ok", n=answers)
        predicted = await cap(gateway, "ok", n=answers, prediction={"type": "content", "content": LONG_TEXT})
        assert predicted - plain >= len(LONG_TEXT) // 2 * PER_TOKEN * answers


class TestCacheWrites:
    MESSAGES = [{"role": "user", "content": [CACHED]}]
    WRITES = ((Unit.CACHE_WRITE_5M, "0.00125"), (Unit.CACHE_WRITE_1H, "0.002"))

    async def test_are_held_at_the_dearest_where_they_are_asked_for(self, gateway):
        plain = await cap(gateway, priced(gateway), messages=self.MESSAGES, max_tokens=1)
        writes = await cap(gateway, priced(gateway, *self.WRITES), messages=self.MESSAGES, max_tokens=1)
        assert writes - PER_TOKEN == 2 * (plain - PER_TOKEN)

    async def test_are_not_held_where_nobody_asks(self, gateway):
        assert await cap(gateway, priced(gateway, *self.WRITES)) == await cap(gateway, priced(gateway))

    async def test_are_held_where_the_provider_row_adds_them(self, gateway):
        plain = priced(gateway, *self.WRITES)
        provider = replace(plain.model.provider, extra_body={"cache_control": {"type": "ephemeral"}})
        caching = replace(plain, model=replace(plain.model, provider=provider))
        assert await cap(gateway, caching) > await cap(gateway, plain)

    async def test_of_a_model_without_a_price_are_held_at_the_dearest_models(self, gateway):
        gateway.policy = replace(POLICY, unknown_price=UnknownPrice.ESTIMATE)
        gateway.dearest = priced(gateway, *self.WRITES).model
        known = await cap(gateway, priced(gateway, *self.WRITES), messages=self.MESSAGES)
        assert await cap(gateway, gateway.candidate("ok", usd=None), messages=self.MESSAGES) == known


class TestAPriceListThatFalls:
    async def test_is_held_at_its_dearest_tier(self, gateway):
        """The upper estimate of the input reaches the cheap tier, and the request itself does not."""
        found = priced(gateway)
        cheap = tuple(Price(unit, Decimal("0.0001"), 14, LONG_AGO) for unit in (Unit.INPUT, Unit.OUTPUT))
        falling = replace(found, model=replace(found.model, prices=(*found.model.prices, *cheap)))
        assert await cap(gateway, falling, max_tokens=50) == await cap(gateway, found, max_tokens=50)
        assert gateway.lines()[2].budget_usd <= gateway.opened[0].cap_usd


class TestALimitByANameThatSingleServersObey:
    @pytest.mark.parametrize(("own", "held"), [(300, 300), (-1, 1000), ("all", 1000)])
    @pytest.mark.parametrize("most", [1000, None])
    async def test_is_held_and_told_under_each_name(self, gateway, own, held, most):
        held = 4096 if most is None and held == 1000 else held
        plain = await cap(gateway, gateway.candidate("ok"), max_tokens=held)
        found = gateway.candidate("ok", max_output_tokens=most)
        assert await cap(gateway, found, max_tokens=1, n_predict=own) == plain
        body = msgspec.json.decode(gateway.seen()[-1].body)
        assert (body["max_tokens"], body["n_predict"]) == (1, held)

    async def test_binds_those_as_well_that_do_not_know_it(self, gateway):
        await cap(gateway, "ok", max_tokens=None, n_predict=50)
        assert msgspec.json.decode(gateway.seen()[-1].body)["max_tokens"] == 50


class TestALimitThatTheProvidersRowAdds:
    def adding(self, gateway, **limit):
        found = gateway.candidate("ok", max_output_tokens=1000)
        provider = replace(found.model.provider, extra_body=limit)
        return replace(found, model=replace(found.model, provider=provider))

    async def sent(self, gateway, *scripts, **fields):
        await gateway.ask(*scripts, **fields)
        return msgspec.json.decode(gateway.seen()[-1].body)

    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
    async def test_beyond_what_is_held_is_lowered_to_it(self, gateway, name):
        assert (await self.sent(gateway, self.adding(gateway, **{name: 500_000})))[name] == 1000

    async def test_within_what_is_held_stays(self, gateway):
        assert (await self.sent(gateway, self.adding(gateway, max_tokens=300)))["max_tokens"] == 300

    async def test_beside_a_clients_own_by_another_name_is_lowered_to_that(self, gateway):
        body = await self.sent(gateway, self.adding(gateway, max_tokens=500_000), max_completion_tokens=50)
        assert (body["max_tokens"], body["max_completion_tokens"]) == (50, 50)
