"""Fields by which a vendor charges more than its list price: what they do to what is held, and to what is billed."""

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from providers.types import Price, Unit
from routing import price_factors
from routing.chat import NothingToTry
from routing.types import Wishes
from tests.unit.routing.test_plan import LONG_AGO
from tests.unit.routing.use_case import answering, budget


def factor(**fields):
    raws = msgspec.json.decode(msgspec.json.encode(fields), type=dict[str, msgspec.Raw])
    return price_factors.factor(raws)


class TestAFactor:
    @pytest.mark.parametrize(
        ("fields", "times"),
        [
            ({}, "1"),
            ({"service_tier": None}, "1"),
            ({"service_tier": "auto"}, "1"),
            ({"service_tier": "flex"}, "1"),
            ({"service_tier": "batch"}, "1"),
            ({"service_tier": "priority"}, "2.5"),
            ({"service_tier": "fast"}, "2.5"),
            ({"service_tier": "ultrafast"}, "6"),
            ({"speed": "standard"}, "1"),
            ({"speed": "fast"}, "6"),
            ({"inference_geo": "global"}, "1"),
            ({"inference_geo": "us"}, "1.1"),
        ],
        ids=str,
    )
    def test_is_what_the_value_may_cost(self, fields, times):
        assert factor(**fields) == Decimal(times)

    @pytest.mark.parametrize(("name", "times"), [("service_tier", "6"), ("speed", "6"), ("inference_geo", "1.1")])
    @pytest.mark.parametrize("value", ["brand-new", "", 7, ["fast"], {"of": "it"}], ids=repr)
    def test_of_a_value_that_nobody_knows_is_the_dearest(self, name, value, times):
        assert factor(**{name: value}) == Decimal(times)

    def test_is_read_however_it_is_spelled(self):
        assert price_factors.factor({"service_tier": msgspec.Raw(rb'"pri\u006frity"')}) == Decimal("2.5")

    def test_of_several_fields_multiplies(self):
        assert factor(speed="fast", inference_geo="us") == Decimal("6.6")


class TestARequestForADearerTier:
    @pytest.fixture
    def gateway(self, gateway):
        gateway.hold(budget("100"))
        return gateway

    async def test_holds_and_is_billed_as_much_more(self, gateway):
        await gateway.ask("ok", max_tokens=50)
        plain = gateway.opened[0], gateway.row
        await gateway.ask("ok", max_tokens=50, service_tier="priority")
        dear = gateway.opened[1], gateway.lines()[-1]
        times = Decimal("2.5")
        assert dear[0].cap_usd == plain[0].cap_usd * times
        assert (dear[1].cost_usd, dear[1].budget_usd) == (plain[1].cost_usd * times, plain[1].budget_usd * times)

    async def test_shows_the_prices_that_were_paid(self, gateway):
        await gateway.ask("ok", speed="fast")
        row = gateway.row
        told = msgspec.json.decode(row.prices)
        assert {told[unit]["factor"] for unit in told} == {"6"}
        prices = {unit: Decimal(price["usd"]) for unit, price in told.items()}
        assert prices == {"input": Decimal("0.006"), "output": Decimal("0.006")}
        assert row.input_tokens * prices["input"] + row.output_tokens * prices["output"] == row.cost_usd

    async def test_pays_for_a_web_search_what_it_always_costs(self, gateway):
        found = gateway.candidate("ok", usd="0")
        search = Price(Unit.WEB_SEARCH, Decimal("0.01"), 0, LONG_AGO)
        found = replace(found, model=replace(found.model, prices=(*found.model.prices, search)))
        await gateway.ask(found, web_search_options={}, speed="fast")
        assert gateway.opened[0].cap_usd == Decimal("0.1")

    async def test_costs_what_its_provider_says_and_is_disputed_by_the_list_price_alone(self, gateway):
        message = {"role": "assistant", "content": "Hi"}
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "cost": 0.02}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        body = msgspec.json.encode({"choices": choices, "usage": usage})
        async with answering(body, content_type="application/json") as url:
            await gateway.ask("ok", url=url, speed="fast")
        row = gateway.row
        assert (row.cost_usd, row.budget_usd, row.is_disputed) == (Decimal("0.02"), Decimal("0.02"), False)

    async def test_counts_towards_the_ceiling_of_its_client(self, gateway):
        wishes = Wishes(layer="L0", max_cost_usd=Decimal("0.1"))
        await gateway.ask("ok", max_tokens=50, wishes=wishes)
        with pytest.raises(NothingToTry, match="cost ceiling"):
            await gateway.ask("ok", max_tokens=50, wishes=wishes, service_tier="priority")
