"""What a period would have cost at other prices."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import cost
from analytics.repricing import Bounds, Bucket, Reason, Repriced, bounds, reprice
from providers.types import Price, Unit, Usage
from tests.unit.analytics.test_cost import LONG_AGO, NOW, price

HOUR = timedelta(hours=1)
FLAT = (price("input", 1), price("output", 5), price("input", 2, valid_from=NOW))
TIERED = (
    price("input", 1),
    price("output", 5),
    price("input", 2, from_tokens=100),
    price("output", 6, from_tokens=100),
)


def bucket(start=NOW - HOUR, *, requests=10, **usage):
    return Bucket(Usage(**usage), requests, start, start + HOUR)


def exactly(usd):
    return Bounds(Decimal(usd), Decimal(usd))


class TestBothLists:
    def test_a_period_is_told_at_the_prices_of_its_time_and_of_another(self):
        found = reprice([bucket(input_tokens=7, output_tokens=1), bucket(NOW, input_tokens=7)], FLAT, at=NOW)
        assert found == Repriced(then=exactly(7 + 5 + 14), at_date=exactly(14 + 5 + 14))

    def test_nothing_costs_nothing(self):
        assert reprice([], FLAT, at=NOW) == Repriced(exactly(0), exactly(0))

    def test_a_unit_without_a_price_makes_the_list_that_lacks_it_unknown(self):
        found = reprice([bucket(NOW, output_tokens=1)], [price("output", 5, valid_from=NOW)], at=LONG_AGO)
        assert found == Repriced(then=exactly(5), at_date=None)

    def test_a_price_that_began_in_the_midst_may_have_held_or_not(self):
        assert bounds(bucket(NOW - HOUR / 2, input_tokens=7), FLAT) == Bounds(
            Decimal(7), Decimal(14), frozenset({Reason.CHANGED})
        )

    def test_each_request_pays_the_price_of_a_request(self):
        assert bounds(bucket(requests=3), [price("request", "0.5")]) == exactly("1.5")

    def test_what_has_no_price_of_its_own_is_paid_as_what_stands_in_for_it(self):
        assert bounds(bucket(cached_input_tokens=4), FLAT) == exactly(4)


class TestTiers:
    def test_several_requests_may_have_fallen_in_any_tier_that_all_of_them_reach(self):
        found = bounds(bucket(input_tokens=150, output_tokens=10), TIERED)
        assert found == Bounds(Decimal(150 + 50), Decimal(300 + 60), frozenset({Reason.TIERS}))

    def test_a_tier_that_began_in_the_midst_is_told_by_both_reasons(self):
        late = (*FLAT[:2], price("input", 2, from_tokens=100, valid_from=NOW), price("input", 1, valid_from=NOW))
        found = bounds(bucket(NOW - HOUR / 2, input_tokens=150), late)
        assert found == Bounds(Decimal(150), Decimal(300), frozenset(Reason))

    def test_a_price_that_began_as_it_was_is_no_range(self):
        same = (*FLAT[:2], price("input", 1, valid_from=NOW))
        assert bounds(bucket(NOW - HOUR / 2, input_tokens=7), same) == exactly(7)

    def test_a_tier_that_not_even_all_together_reach_held_for_none(self):
        assert bounds(bucket(input_tokens=99, output_tokens=10), TIERED) == exactly(99 + 50)

    @pytest.mark.parametrize(("tokens", "usd"), [(99, 99), (150, 300)])
    def test_one_request_alone_fell_in_its_own(self, tokens, usd):
        assert bounds(bucket(requests=1, input_tokens=tokens), TIERED) == exactly(usd)

    @given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 9)), min_size=1), st.integers(0, 9))
    def test_what_the_requests_really_cost_lies_between(self, sizes, dear):
        prices = (*TIERED, Price(Unit.INPUT, Decimal(dear), 200, LONG_AGO))
        single = [Usage(input_tokens=tokens, output_tokens=output) for tokens, output in sizes]
        true = sum(cost.compute(usage, prices, at=NOW).usd for usage in single)
        summed = bucket(
            datetime(2026, 1, 1, tzinfo=UTC),
            requests=len(sizes),
            input_tokens=sum(tokens for tokens, _ in sizes),
            output_tokens=sum(output for _, output in sizes),
        )
        found = bounds(summed, prices)
        assert found.least <= true <= found.most
