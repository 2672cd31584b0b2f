"""What is read from `genai-prices`: mostly entries written here in its own types, so that new data breaks nothing."""

import subprocess
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import types

from analytics import cost
from providers import price_book
from providers.price_book import BookPrice, Entry, Missing
from providers.types import Price, Unit, Usage
from tests.unit.list_of_prices import listed, standing_in, tiered

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def look_up(prices, *, name="m", slug="acme", base_url="https://api.acme.test/v1", at=NOW):
    """In a list with one model that has these prices."""
    with standing_in(m=prices):
        return price_book.look_up(name, slug=slug, base_url=base_url, at=at)


def units(found):
    return {(price.unit.value, price.from_tokens): price.usd_per_unit for price in found.prices}


class TestWhoIsMeant:
    PRICES = listed(input_mtok="1", output_mtok="2")

    @pytest.mark.parametrize(
        "given",
        [{"slug": "mine"}, {"base_url": "https://proxy.test/v1"}, {"name": "m-2026-01-01"}],
        ids=["by its address", "by its slug", "by another name of the model"],
    )
    def test_the_model_is_found(self, given):
        assert look_up(self.PRICES, **given).name == "acme/m"

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            ({"slug": "acme2", "base_url": "https://proxy.test/v1"}, Missing.PROVIDER),
            ({"name": "other"}, Missing.MODEL),
        ],
    )
    def test_what_is_not_there_says_so(self, given, why):
        assert look_up(self.PRICES, **given) is why


class TestPrices:
    def test_each_becomes_usd_for_one_unit(self):
        found = look_up(
            listed(
                input_mtok="3",
                output_mtok="15",
                cache_read_mtok="0.3",
                cache_write_mtok="3.75",
                cache_write_1h_mtok="6",
                web_searches_kcount="10",
                requests_kcount="5",
            )
        )
        assert units(found) == {
            ("input", 0): Decimal("0.000003"),
            ("output", 0): Decimal("0.000015"),
            ("cached_input", 0): Decimal("0.0000003"),
            ("cache_write_5m", 0): Decimal("0.00000375"),
            ("cache_write_1h", 0): Decimal("0.000006"),
            ("web_search", 0): Decimal("0.01"),
            ("request", 0): Decimal("0.005"),
        }

    def test_a_tier_begins_at_the_first_number_above_its_start(self):
        found = look_up(listed(input_mtok=tiered("1", (200_000, "2")), output_mtok="5"))
        assert units(found)["input", 200_001] == Decimal("0.000002")

    def test_a_price_without_an_end_is_rounded_to_what_can_be_kept(self):
        found = look_up(listed(input_mtok="0.041666666666666664"))
        assert found.prices == (BookPrice(Unit.INPUT, Decimal("0.00000004166667"), 0),)

    def test_writing_for_five_minutes_and_for_longer_are_told_apart(self):
        found = units(look_up(listed(input_mtok="1", cache_write_mtok="3", cache_write_5m_mtok="2")))
        assert (found["cache_write_5m", 0], found["cache_write_1h", 0]) == (Decimal("0.000002"), Decimal("0.000003"))

    def test_what_means_something_else_is_left_out_by_name(self):
        found = look_up(
            listed(input_mtok="1", input_audio_mtok="2", storage_searches_kcount="3", cache_write_mtok="0.1")
        )
        assert units(found).keys() == {("input", 0)}
        assert found.left_out == ("cache_write_mtok", "input_audio_mtok", "storage_searches_kcount")

    @pytest.mark.parametrize(
        ("prices", "why"),
        [
            (listed(), Missing.NO_PRICE),
            (listed(audio_hours="1"), Missing.FORM),
            (listed(input_mtok="1", output_mtok="8", output_reasoning_mtok="3"), Missing.FORM),
        ],
        ids=["none", "by the hour", "reasoning at another price"],
    )
    def test_what_cannot_be_taken_over_says_why(self, prices, why):
        assert look_up(prices) is why

    def test_reasoning_at_the_price_of_the_output_is_no_matter(self):
        assert isinstance(look_up(listed(input_mtok="1", output_mtok="8", output_reasoning_mtok="8")), Entry)


class TestDays:
    def conditional(self, *, day=None, hours=None, usd):
        constraint = types.StartDateConstraint(day) if day else types.TimeOfDateConstraint(*hours) if hours else None
        return types.ConditionalPrice(constraint, prices=listed(input_mtok=usd))

    def test_the_price_of_today_holds_and_the_next_change_is_told(self):
        days = [date(2026, 11, 22), date(2026, 11, 23), date(2026, 12, 1)]
        prices = [self.conditional(usd="1"), *(self.conditional(day=day, usd=str(day.day)) for day in days)]
        found = look_up(prices)
        assert (units(found)["input", 0], found.changes_on) == (Decimal("0.000022"), date(2026, 11, 23))

    def test_a_price_by_the_time_of_day_is_none_of_ours_at_any_hour(self):
        prices = [self.conditional(usd="1"), self.conditional(hours=(time(1), time(4)), usd="2")]
        assert look_up(prices) is Missing.TIME_OF_DAY

    def test_one_that_a_later_day_has_ended_is_no_matter(self):
        prices = [self.conditional(hours=(time(1), time(4)), usd="2"), self.conditional(day=date(2026, 1, 1), usd="3")]
        assert units(look_up(prices)) == {("input", 0): Decimal("0.000003")}


SIZES = [(900, 300, 0, 50), (200_000, 0, 0, 10), (200_001, 5, 9, 10), (300_000, 100_000, 1_000, 2_000)]


@pytest.mark.parametrize(("tokens", "cached", "written", "output"), SIZES)
def test_a_request_costs_by_the_prices_taken_over_what_the_package_says_it_costs(tokens, cached, written, output):
    theirs = listed(
        input_mtok=tiered("1.25", (200_000, "2.5")),
        output_mtok=tiered("10", (200_000, "15")),
        cache_read_mtok="0.125",
        cache_write_mtok=tiered("1.5", (200_000, "3")),
    )
    usage = TheirUsage(input_tokens=tokens, cache_read_tokens=cached, cache_write_tokens=written, output_tokens=output)
    ours = Usage(
        input_tokens=tokens - cached - written,
        cached_input_tokens=cached,
        cache_write_5m_tokens=written,
        output_tokens=output,
    )
    prices = [Price(one.unit, one.usd_per_unit, one.from_tokens, LONG_AGO) for one in look_up(theirs).prices]
    assert cost.compute(ours, prices, at=NOW).usd == theirs.calc_price(usage)["total_price"]


def test_the_data_that_comes_with_the_package_is_read_without_a_network():
    found = price_book.look_up("gpt-4.1-mini", slug="openai", base_url="https://api.openai.com/v1", at=NOW)
    assert isinstance(found, Entry)
    assert {Unit.INPUT, Unit.OUTPUT, Unit.CACHED_INPUT} <= {price.unit for price in found.prices}


def test_the_package_is_not_imported_before_somebody_asks():
    code = "import sys, providers.price_book; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
