"""What was spent beside what it might have cost otherwise, against arithmetic over single rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from analytics import cost, ledger
from analytics.queries import savings
from analytics.queries.filters import Filters
from analytics.queries.savings import Reference
from providers.types import Price, Unit, Usage
from tests.unit.analytics.queries.rows import NOW, days_ago, scattered, span
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db
ALL = Filters()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def priced(layer, usd, *, since=LONG_AGO, later=()):
    prices = [
        Price(unit, Decimal(each), 0, at) for at, each in ((since, usd), *later) for unit in (Unit.INPUT, Unit.OUTPUT)
    ]
    return Reference(layer, f"acme/{layer}", tuple(prices))


DEAR, CHEAP = priced("L3", "0.00001"), priced("L0", "0.000001")


def asked(premium=DEAR, cheapest=CHEAP, *, days=7, filters=ALL):
    return savings.savings(span(days_ago(days), NOW), filters, premium=premium, cheapest=cheapest)


def answered(at=1.0, *, tokens=1000, usd="0.001", **fields):
    ledger.insert([usage_row(days_ago(at), input_tokens=tokens, cost_usd=Decimal(usd), **fields)])


def test_always_premium_is_the_same_tokens_at_its_price():
    rows = scattered(200, start=days_ago(6), end=NOW, seed=3)
    counted = [row for row in rows if row.outcome == "ok" and row.kind == "chat"]
    names = ("input_tokens", "cached_input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")
    each = [
        cost.compute(Usage(**{name: getattr(row, name) for name in names}), DEAR.prices, at=row.started_at).usd
        for row in counted
    ]
    found = asked()
    assert (found.requests, found.cost_usd) == (len(counted), sum(row.cost_usd for row in counted))
    assert found.always_premium.cost_usd == sum(each)
    assert found.always_premium.saved_usd == sum(each) - found.cost_usd
    assert found.always_premium.label == "every request answered by acme/L3 of L3, same tokens"


def test_prices_are_those_of_the_time():
    change = days_ago(2).replace(minute=0)
    for days, tokens in ((3, 1000), (1, 10)):
        answered(days, tokens=tokens, usd="0")
    found = asked(priced("L3", "0.001", later=((change, "0.1"),)))
    assert found.always_premium.cost_usd == Decimal("1") + Decimal("1")


def test_a_price_that_is_yet_to_come_changes_nothing():
    answered(usd="0")
    assert asked(priced("L3", "0.001", later=((NOW + timedelta(days=1), "9"),))).always_premium.cost_usd == 1


def test_the_mix_costs_the_same_and_its_share_of_premium_answers_is_beside_ours():
    answered(usd="0.01", layer="L3")
    answered(usd="0.001", layer="L0")
    answered(usd="0.001", layer="L0", outcome="error", status=502)
    mix = asked().static_mix
    # 2,000 tokens are 0.02 at the dear model, 0.002 at the cheap one; 0.011 were spent.
    assert mix.premium_share == pytest.approx(0.5)
    assert (mix.gateway_premium_share, mix.saved_usd) == (0.5, 0)
    assert "by a fixed share that costs the same" in mix.label


@pytest.mark.parametrize(("usd", "share"), [("5", 1.0), ("0", 0.0)])
def test_the_mixs_share_stays_within_what_there_is(usd, share):
    answered(usd=usd)
    assert asked().static_mix.premium_share == share


def test_without_a_price_there_is_a_reason_in_place_of_figures():
    answered(output_tokens=5)
    only_input = Reference("L3", "acme/L3", DEAR.prices[:1])
    found = asked(only_input)
    assert (found.always_premium.cost_usd, found.always_premium.reason) == (
        None,
        "acme/L3 had no price for all that was used.",
    )
    assert found.static_mix.reason == "One of the two had no price for all that was used."
    nothing = asked(None, None)
    assert nothing.always_premium.reason == nothing.static_mix.reason == "No layer has a model with a known price."


def test_nothing_answered_saves_nothing():
    found = asked()
    assert (found.always_premium.cost_usd, found.always_premium.saved_usd, found.always_premium.saved_share) == (
        0,
        0,
        None,
    )
    assert found.static_mix.reason == "Nothing was answered."


def test_only_what_may_be_seen_counts():
    answered(project_id=1)
    answered(project_id=2)
    assert asked(filters=Filters(projects=frozenset({2}))).requests == 1
