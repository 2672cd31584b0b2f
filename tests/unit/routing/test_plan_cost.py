"""What a request may cost at most, and the ceiling a caller sets on it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import msgspec

from providers.types import Price, Unit
from routing import plan
from routing.types import Need, UnknownPrice
from tests.unit.routing.test_plan import LONG_AGO, NOW, POLICY, candidate, decide, model, tried


class TestCost:
    def test_a_model_without_a_price_may_be_allowed_by_policy(self):
        allowing = replace(POLICY, unknown_price=UnknownPrice.ESTIMATE)
        assert tried(decide(candidate(usd=None), enter="L0", policy=allowing)) == ["m"]

    def test_the_ceiling_counts_the_longest_answer_the_model_may_write(self):
        dear = candidate(usd="0.001", max_output_tokens=1000)
        assert tried(decide(dear, enter="L0", max_cost_usd=Decimal("0.999"))) == []
        assert tried(decide(dear, enter="L0", max_cost_usd=Decimal(1))) == ["m"]

    def test_and_some_length_where_nobody_says_how_long(self):
        unlimited = candidate(usd="0.001")
        assert tried(decide(unlimited, enter="L0", max_cost_usd=Decimal("4.095"))) == []
        assert tried(decide(unlimited, enter="L0", max_cost_usd=Decimal("4.096"))) == ["m"]

    def test_files_count_at_the_models_maximum(self):
        worst = plan.worst_cost(
            model(usd="0.001", max_input_tokens_per_file=300),
            need=Need(prompt="", files=2, input_tokens=10, max_output_tokens=1),
            at=NOW.timestamp(),
        )
        assert worst == Decimal("0.611")

    def test_prices_are_those_in_force_at_the_request(self):
        dearer = Price(Unit.OUTPUT, Decimal(1), 0, NOW + timedelta(seconds=1))
        base = model(usd="0.001")
        found = replace(base, prices=(*base.prices, dearer))
        need = Need(prompt="", max_output_tokens=1)
        assert plan.worst_cost(found, need=need, at=NOW.timestamp()) == Decimal("0.001")
        assert plan.worst_cost(found, need=need, at=NOW.timestamp() + 1) == 1

    def test_each_answer_asked_for_counts(self):
        need = Need(prompt="", input_tokens=10, max_output_tokens=100, answers=3)
        assert plan.worst_cost(model(usd="0.001"), need=need, at=NOW.timestamp()) == Decimal("0.310")

    def test_what_a_client_switches_on_counts(self):
        base = model(usd="0.001")
        more = (
            Price(Unit.WEB_SEARCH, Decimal("0.01"), 0, LONG_AGO),
            Price(Unit.CACHE_WRITE_1H, Decimal("0.002"), 0, LONG_AGO),
        )
        found = replace(base, prices=(*base.prices, *more))
        plain = Need(prompt="", input_tokens=10, max_output_tokens=100)

        def worst(**fields):
            return plan.worst_cost(found, need=msgspec.structs.replace(plain, **fields), at=NOW.timestamp())

        assert worst() == Decimal("0.110")
        assert worst(web_searches=3) == Decimal("0.140")
        assert worst(prediction_tokens=7, answers=2) == Decimal("0.224")
        assert worst(writes_cache=True) == Decimal("0.120")
