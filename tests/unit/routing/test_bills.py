"""What one attempt cost, and what budgets count for it."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from analytics.models import CostSource
from providers.types import MOST_USD, Price, Unit, Usage
from routing.bills import Bill, Priced, together
from tests.unit.routing.test_plan import LONG_AGO, model

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PRICES = (Price(Unit.INPUT, Decimal(1), 0, LONG_AGO), Price(Unit.OUTPUT, Decimal(2), 0, LONG_AGO))
PLAIN = replace(model("plain"), prices=PRICES)
"""1 USD a token of input and 2 of output."""
DEAR = model("dear", usd="3")
UNPRICED = model("unpriced", usd=None)
MOST = Usage(input_tokens=100, output_tokens=10)


def priced(of=PLAIN, *, stand_in=None):
    return Priced(of, stand_in, NOW)


def told(usage, *, of=PLAIN, stand_in=None):
    return priced(of, stand_in=stand_in).told(usage, most=MOST)


class TestTold:
    def test_the_providers_word_comes_first(self):
        bill = told(Usage(input_tokens=10, reported_cost_usd=Decimal(9)))
        assert (bill.usd, bill.source, bill.computed_usd, bill.reported_usd) == (9, CostSource.PROVIDER, 10, 9)

    @pytest.mark.parametrize(
        ("reported", "is_disputed"), [("4.99", True), ("5", False), ("10", False), ("1000", False), ("0", True)]
    )
    def test_less_than_half_of_ours_is_kept_but_disputed(self, reported, is_disputed):
        bill = told(Usage(input_tokens=10, reported_cost_usd=Decimal(reported)))
        assert (bill.usd, bill.is_disputed) == (Decimal(reported), is_disputed)

    @pytest.mark.parametrize(("reported", "counted"), [("4.99", 10), ("0", 10), ("5", 5), ("1000", 1000)])
    def test_budgets_take_the_higher_figure_of_a_disputed_one(self, reported, counted):
        assert told(Usage(input_tokens=10, reported_cost_usd=Decimal(reported))).counted_usd == counted

    def test_else_it_is_usage_at_our_price(self):
        bill = told(Usage(input_tokens=10, cached_input_tokens=5, output_tokens=1))
        assert (bill.usd, bill.counted_usd, bill.source) == (17, 17, CostSource.PRICE)

    def test_a_free_model_costs_nothing_and_that_is_known(self):
        bill = told(Usage(input_tokens=10), of=model("free", usd="0"))
        assert (bill.usd, bill.counted_usd, bill.source) == (0, 0, CostSource.PRICE)

    def test_it_is_rounded_to_ten_places(self):
        bill = told(Usage(input_tokens=1, reported_cost_usd=Decimal("0.123456789012345")))
        assert str(bill.usd) == "0.1234567890"

    def test_without_a_price_the_providers_own_counts_are_kept(self):
        usage = Usage(input_tokens=100, cached_input_tokens=20, output_tokens=7)
        assert told(usage, of=UNPRICED).usage == usage

    def test_without_a_price_it_is_an_estimate_at_the_dearest_one_and_budgets_count_the_most(self):
        bill = told(Usage(input_tokens=10, output_tokens=1), of=UNPRICED, stand_in=DEAR)
        assert (bill.usd, bill.counted_usd, bill.source) == (33, 330, CostSource.ESTIMATE)

    @pytest.mark.parametrize("cost", ["1e300", "99999999999999999999"])
    def test_a_reported_cost_beyond_all_sense_is_no_reason_to_lose_the_row(self, cost):
        assert told(Usage(input_tokens=10, reported_cost_usd=Decimal(cost))).usd < Decimal(10) ** 10


class TestEstimated:
    def test_budgets_count_the_most_it_can_have_been(self):
        bill = priced().estimated(Usage(input_tokens=10, output_tokens=1), most=MOST)
        assert (bill.usd, bill.counted_usd) == (12, 120)

    def test_but_never_less_than_the_estimate(self):
        bill = priced().estimated(Usage(input_tokens=1000), most=MOST)
        assert (bill.usd, bill.counted_usd) == (1000, 1000)

    def test_nobody_called_costs_nothing(self):
        bill = Priced(None, DEAR, NOW).estimated(Usage(input_tokens=10), most=MOST)
        assert (bill.usd, bill.counted_usd) == (0, 0)


class TestCounted:
    def test_it_is_what_was_counted_at_our_price_and_budgets_count_the_most(self):
        bill = priced().counted(Usage(input_tokens=10, output_tokens=1), most=MOST)
        estimated = priced().estimated(Usage(input_tokens=10, output_tokens=1), most=MOST)
        assert bill == msgspec.structs.replace(estimated, source=CostSource.COUNTED)

    def test_without_a_price_of_its_own_it_is_an_estimate(self):
        bill = priced(UNPRICED, stand_in=DEAR).counted(Usage(input_tokens=10), most=MOST)
        assert (bill.usd, bill.source) == (30, CostSource.ESTIMATE)

    def test_it_is_trusted_less_than_usage_and_more_than_an_estimate(self):
        counted = priced().counted(Usage(input_tokens=1), most=MOST)
        assert together([told(Usage(input_tokens=1)), counted]).source is CostSource.COUNTED
        assert together([counted, priced().estimated(Usage(), most=None)]).source is CostSource.ESTIMATE


class TestMost:
    def test_is_by_the_models_own_price(self):
        assert priced(stand_in=DEAR).most(MOST) == 120

    def test_is_by_the_dearest_price_where_it_has_none(self):
        assert priced(UNPRICED, stand_in=DEAR).most(MOST) == 330

    def test_has_an_end_however_long_an_answer_a_client_asks_for(self):
        assert priced().most(Usage(output_tokens=10**30 * 128)) == MOST_USD


class TestTogether:
    ONE = Bill(Decimal(1), CostSource.PROVIDER, Usage(input_tokens=3), Decimal(2), Decimal(1), counted_usd=Decimal(2))
    ANOTHER = Bill(Decimal(4), CostSource.PRICE, Usage(output_tokens=5), Decimal(4), counted_usd=Decimal(4))

    def test_several_are_summed_in_both_figures(self):
        bill = together([self.ONE, self.ANOTHER])
        assert (bill.usd, bill.counted_usd, bill.computed_usd) == (5, 6, 6)
        assert (bill.usage.input_tokens, bill.usage.output_tokens) == (3, 5)

    def test_they_are_as_sure_as_the_least_sure_and_know_only_what_each_knows(self):
        bill = together([self.ONE, self.ANOTHER])
        assert (bill.source, bill.reported_usd) == (CostSource.PRICE, None)

    def test_one_that_is_disputed_makes_all_so(self):
        assert together([msgspec.structs.replace(self.ONE, is_disputed=True), self.ANOTHER]).is_disputed
