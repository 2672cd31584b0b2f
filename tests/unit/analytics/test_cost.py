"""Usage times price, exactly."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import cost
from providers.types import Price, Unit, Usage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

ONE_OF_EACH = Usage(
    input_tokens=1,
    cached_input_tokens=1,
    cache_write_5m_tokens=1,
    cache_write_1h_tokens=1,
    output_tokens=1,
    reasoning_tokens=1,
    web_searches=1,
    images=1,
)
UNITS = {
    Unit.INPUT: "input_tokens",
    Unit.CACHED_INPUT: "cached_input_tokens",
    Unit.CACHE_WRITE_5M: "cache_write_5m_tokens",
    Unit.CACHE_WRITE_1H: "cache_write_1h_tokens",
    Unit.OUTPUT: "output_tokens",
    Unit.WEB_SEARCH: "web_searches",
    Unit.IMAGE: "images",
}


def price(unit, usd, *, from_tokens=0, valid_from=LONG_AGO):
    return Price(Unit(unit), Decimal(usd), from_tokens, valid_from)


def usd(usage, *prices, at=NOW):
    return cost.compute(usage, prices, at=at).usd


class TestBuckets:
    def test_each_bucket_is_paid_at_its_own_price_once(self):
        prices = [price(unit, 10**place) for place, unit in enumerate(Unit)]
        assert usd(ONE_OF_EACH, *prices) == 11111111

    def test_reasoning_is_paid_as_output_and_not_again(self):
        usage = Usage(output_tokens=10, reasoning_tokens=8)
        assert usd(usage, price("input", 1), price("output", 3)) == 30

    def test_a_request_is_one_request(self):
        assert usd(Usage(), price("request", "0.002")) == Decimal("0.002")

    @settings(max_examples=50)
    @given(st.dictionaries(st.sampled_from(list(UNITS)), st.integers(0, 10**9)), st.data())
    def test_the_sum_is_exact(self, quantities, data):
        exact = st.decimals(min_value=0, max_value=1000, places=14)
        prices = {unit: data.draw(exact, label=unit) for unit in UNITS}
        usage = Usage(**{UNITS[unit]: quantity for unit, quantity in quantities.items()})
        wanted = sum((Fraction(prices[unit]) * quantity for unit, quantity in quantities.items()), Fraction(0))
        assert Fraction(usd(usage, *(price(unit, value) for unit, value in prices.items()))) == wanted


class TestUsed:
    """Which price it was, as a row of the ledger shows it."""

    def used(self, usage, *prices, **given):
        return msgspec.to_builtins(cost.compute(usage, prices, at=NOW, **given).used)

    def test_each_unit_that_was_used_says_its_price_and_since_when_it_holds(self):
        prices = price("input", "0.00000015"), price("output", "0.0000006", valid_from=NOW)
        assert self.used(Usage(input_tokens=5, output_tokens=2), *prices) == {
            "input": {"usd": "0.00000015", "valid_from": "2020-01-01T00:00:00Z"},
            "output": {"usd": "0.0000006", "valid_from": "2026-11-22T12:00:00Z"},
        }
        assert self.used(Usage(input_tokens=5), *prices).keys() == {"input"}

    def test_a_tier_says_where_it_begins(self):
        prices = price("input", 1), price("input", 2, from_tokens=200)
        found = self.used(Usage(input_tokens=200), *prices)
        assert found == {"input": {"usd": "2", "valid_from": "2020-01-01T00:00:00Z", "from_tokens": 200}}

    def test_a_price_that_stood_in_for_another_units_says_whose_it_is(self):
        found = self.used(Usage(cached_input_tokens=2, cache_write_1h_tokens=2), price("input", 1))
        listed = {"usd": "1", "valid_from": "2020-01-01T00:00:00Z", "unit": "input"}
        assert found == {"cached_input": listed, "cache_write_1h": listed}

    def test_a_factor_is_in_the_price_and_told(self):
        prices = price("input", "0.1"), price("web_search", "0.01")
        found = self.used(Usage(input_tokens=1, web_searches=1), *prices, factor=Decimal("2.50"))
        assert (found["input"]["usd"], found["input"]["factor"]) == ("0.25", "2.5")
        assert (found["web_search"]["usd"], "factor" in found["web_search"]) == ("0.01", False)

    def test_its_time_is_told_in_utc_to_the_microsecond(self):
        since = datetime(2026, 11, 1, 2, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
        found = self.used(Usage(input_tokens=1), price("input", 1, valid_from=since))
        assert found["input"]["valid_from"] == "2026-11-01T00:00:00.000005Z"

    def test_a_price_of_a_later_day_is_told_from_that_day_on(self):
        prices = (price("input", 1), price("input", 2, valid_from=NOW))
        moments = [NOW - timedelta(days=1), NOW, NOW - timedelta(days=1)]
        found = [cost.compute(Usage(input_tokens=1), prices, at=at).used["input"].usd for at in moments]
        assert found == ["1", "2", "1"]


class TestTiers:
    PRICES = (
        price("input", 1),
        price("input", 2, from_tokens=200),
        price("input", 3, from_tokens=1000),
        price("output", 10),
        price("output", 20, from_tokens=200),
    )

    @pytest.mark.parametrize(("tokens", "each"), [(199, 1), (200, 2), (999, 2), (1000, 3), (5000, 3)])
    def test_the_highest_tier_reached_holds_for_all_tokens(self, tokens, each):
        assert usd(Usage(input_tokens=tokens), *self.PRICES) == tokens * each

    def test_cached_and_written_tokens_count_towards_the_tier(self):
        usage = Usage(input_tokens=50, cached_input_tokens=50, cache_write_5m_tokens=50, cache_write_1h_tokens=50)
        assert usd(usage, *self.PRICES) == 200 * 2

    def test_output_tokens_do_not(self):
        assert usd(Usage(input_tokens=100, output_tokens=500), *self.PRICES) == 100 + 500 * 10

    def test_the_tier_of_the_output_is_chosen_by_the_input(self):
        assert usd(Usage(input_tokens=200, output_tokens=1), *self.PRICES) == 200 * 2 + 20

    def test_a_price_that_starts_above_the_request_is_none(self):
        assert usd(Usage(input_tokens=10), price("input", 1, from_tokens=100), price("output", 1)) is None


class TestValidity:
    PRICES = (price("input", 1), price("input", 2, valid_from=NOW), price("output", 1))

    @pytest.mark.parametrize(
        ("moment", "each"), [(NOW - timedelta(microseconds=1), 1), (NOW, 2), (NOW + timedelta(days=9), 2)]
    )
    def test_a_price_holds_from_its_moment_on(self, moment, each):
        assert usd(Usage(input_tokens=7), *self.PRICES, at=moment) == 7 * each

    def test_the_order_of_the_rows_does_not_matter(self):
        assert usd(Usage(input_tokens=7), *reversed(self.PRICES)) == 14

    def test_a_price_of_the_future_alone_is_unknown(self):
        later = NOW + timedelta(days=1)
        assert usd(Usage(input_tokens=1), price("input", 1, valid_from=later), price("output", 1)) is None


class TestStandIns:
    def test_cached_input_costs_as_much_as_input_unless_priced(self):
        assert usd(Usage(cached_input_tokens=3), price("input", 5)) == 15

    def test_a_long_cache_write_costs_as_much_as_a_short_one_unless_priced(self):
        assert usd(Usage(cache_write_1h_tokens=3), price("input", 5), price("cache_write_5m", 6)) == 18

    def test_a_cache_write_costs_as_much_as_input_where_neither_is_priced(self):
        assert usd(Usage(cache_write_1h_tokens=3, cache_write_5m_tokens=1), price("input", 5)) == 20

    @pytest.mark.parametrize("usage", [Usage(web_searches=4), Usage(images=4), Usage()])
    def test_searches_images_and_requests_are_free_unless_priced(self, usage):
        assert usd(usage, price("input", 5), price("output", 5)) == 0


class TestUnknownAndFree:
    @pytest.mark.parametrize("usage", [Usage(input_tokens=1), Usage(output_tokens=1), Usage(cached_input_tokens=1)])
    def test_without_a_price_the_cost_is_unknown_and_not_zero(self, usage):
        assert cost.compute(usage, [], at=NOW) == cost.Computed(None, {})

    def test_output_does_not_stand_in_for_input(self):
        assert usd(Usage(input_tokens=1), price("output", 5)) is None

    def test_a_price_of_zero_is_a_known_price(self):
        found = cost.compute(ONE_OF_EACH, [price("input", 0), price("output", 0)], at=NOW)
        assert found.usd == 0
        assert found.used["output"].usd == "0"


class TestRounding:
    @pytest.mark.parametrize(
        ("exact", "kept"),
        [
            ("0.00000000005", "0.0000000000"),
            ("0.00000000015", "0.0000000002"),
            ("0.000000000051", "0.0000000001"),
            ("1.23456789019", "1.2345678902"),
            ("12", "12.0000000000"),
        ],
    )
    def test_ten_places_half_to_even(self, exact, kept):
        assert f"{cost.rounded(Decimal(exact)):f}" == kept

    def test_many_small_buckets_are_rounded_once_at_the_end(self):
        tiny = "0.00000000004"
        prices = [price(unit, tiny) for unit in ("input", "cached_input", "output")]
        total = usd(Usage(input_tokens=1, cached_input_tokens=1, output_tokens=1), *prices)
        assert cost.rounded(total) == Decimal("0.0000000001")


def test_people_read_prices_per_million_of_the_smallest_requests():
    prices = [price("input", "0.0000025"), price("input", "0.000005", from_tokens=200_000), price("request", "0.01")]
    assert cost.per_million(prices, at=NOW) == {Unit.INPUT: Decimal("2.5"), Unit.REQUEST: 10_000}


class TestMost:
    FALLING = (
        price("input", 10),
        price("output", 20),
        price("input", 1, from_tokens=100),
        price("output", 2, from_tokens=100),
    )

    def test_is_at_the_dearest_tier_that_so_much_input_or_less_falls_in(self):
        usage = Usage(input_tokens=150, output_tokens=5)
        assert cost.most(usage, self.FALLING, at=NOW) == 150 * 10 + 5 * 20

    def test_is_never_at_a_tier_that_the_input_cannot_reach(self):
        assert cost.most(Usage(input_tokens=199), TestTiers.PRICES, at=NOW) == 199

    def test_takes_each_unit_where_it_is_dearest(self):
        mixed = (*self.FALLING, price("output", 50, from_tokens=120))
        assert cost.most(Usage(input_tokens=150, output_tokens=5), mixed, at=NOW) == 150 * 10 + 5 * 50

    def test_a_unit_with_a_price_in_a_higher_tier_alone_may_be_paid_as_its_stand_in(self):
        prices = (price("input", 10), price("cached_input", 1, from_tokens=100))
        assert cost.most(Usage(cached_input_tokens=150), prices, at=NOW) == 1500

    def test_is_unknown_where_a_price_is(self):
        assert cost.most(Usage(input_tokens=5), [price("output", 1)], at=NOW) is None

    @given(st.lists(st.tuples(st.sampled_from(["input", "output"]), st.integers(0, 9), st.integers(0, 50))), st.data())
    def test_nothing_that_uses_no_more_costs_more(self, tiers, data):
        prices = [price("input", 1), price("output", 1), *(price(unit, usd, from_tokens=at) for unit, usd, at in tiers)]
        upper = data.draw(st.integers(0, 60))
        used = Usage(input_tokens=data.draw(st.integers(0, upper)), output_tokens=3)
        assert usd(used, *prices) <= cost.most(Usage(input_tokens=upper, output_tokens=3), prices, at=NOW)


class TestAtDearestInput:
    @pytest.mark.parametrize(
        ("prices", "bucket"),
        [
            ([], "input_tokens"),
            ([price("input", "1"), price("cache_write_5m", "1.25")], "cache_write_5m_tokens"),
            (
                [price("input", "1"), price("cache_write_5m", "1.25"), price("cache_write_1h", "2")],
                "cache_write_1h_tokens",
            ),
            ([price("input", "1"), price("cache_write_5m", "0.5")], "input_tokens"),
            ([price("input", "1"), price("cache_write_5m", "2", from_tokens=5)], "input_tokens"),
            ([price("input", "1"), price("cache_write_5m", "2", from_tokens=4)], "cache_write_5m_tokens"),
        ],
        ids=["no price", "written", "for an hour", "read", "below a tier", "in a tier"],
    )
    def test_all_input_stands_where_it_costs_most_and_the_rest_where_it_was(self, prices, bucket):
        found = cost.at_dearest_input(ONE_OF_EACH, prices, at=NOW)
        assert (getattr(found, bucket), found.all_input_tokens) == (4, 4)
        assert (found.output_tokens, found.web_searches, found.images) == (1, 1, 1)
