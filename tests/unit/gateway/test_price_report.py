"""`manage.py prices report`: a period's usage at the prices of a date."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from analytics import ledger
from analytics.models import UsageRecord
from gateway import price_report
from providers.models import Model, Price
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db

LAST_WEEK = datetime.now(UTC) - timedelta(days=7)
CHANGED = datetime.now(UTC) - timedelta(days=2)


def used(model: Model, at: datetime = LAST_WEEK, **fields: object) -> None:
    asked = {"provider": model.provider.slug, "model": model.name, "layer": "L1", "attempts": 1, "cost_source": "price"}
    ledger.insert([usage_row(at, **(asked | fields))])


def exactly(usd: str) -> dict[str, object]:
    return {"least": usd, "most": usd, "reasons": []}


def dearer(model: Model, *, times: int, at: datetime = CHANGED, **fields: object) -> None:
    """All its prices from then on."""
    for price in list(model.prices.all()):
        usd = price.usd_per_unit * times
        Price.objects.create(model=model, unit=price.unit, usd_per_unit=usd, valid_from=at, **fields)


@pytest.fixture
def told(run, layers):
    """What the report says, by model."""

    def tell(*options: str) -> dict[str, dict[str, object]]:
        status, out, _ = run("prices", "report", "--since", "10d", "--json", *options)
        assert status == 0
        return {line["model"]: line for line in json.loads(out)["data"]}

    return tell


def test_usage_is_told_at_the_prices_then_and_now(told, layers):
    used(layers["L2"], input_tokens=1000, output_tokens=500, cost_usd=Decimal("0.0030"))
    dearer(layers["L2"], times=3)
    line = told()["up/m2"]
    assert (line["requests"], line["tokens"], line["charged_usd"]) == (1, 1500, "0.003")
    assert line["then_usd"] == exactly("0.003")
    assert line["at_date_usd"] == exactly("0.009")


def test_the_date_of_the_prices_can_be_said(told, layers):
    used(layers["L2"], input_tokens=1000)
    dearer(layers["L2"], times=3)
    before = (CHANGED - timedelta(days=1)).isoformat()
    assert told("--at", before)["up/m2"]["at_date_usd"] == exactly("0.002")


def test_tiers_make_it_a_range(told, layers):
    used(layers["L2"], input_tokens=1000)
    used(layers["L2"], input_tokens=1000)
    Price.objects.create(model=layers["L2"], unit="input", usd_per_unit=Decimal("0.000004"), from_tokens=500)
    assert told()["up/m2"]["at_date_usd"] == {
        "least": "0.004",
        "most": "0.008",
        "reasons": ["tiers"],
    }


def test_usage_of_the_day_a_price_changed_is_told_exactly(told, layers):
    for minutes in (-2, 2):
        used(layers["L2"], CHANGED + timedelta(minutes=minutes), input_tokens=1000)
    dearer(layers["L2"], times=3)
    assert told()["up/m2"]["then_usd"] == exactly("0.008")


def test_usage_of_the_minute_a_price_changed_is_a_range_with_its_reason(run, told, layers):
    used(layers["L2"], CHANGED, input_tokens=1000)
    dearer(layers["L2"], times=3)
    assert told()["up/m2"]["then_usd"] == {"least": "0.002", "most": "0.006", "reasons": ["price_changed"]}
    _, out, _ = run("prices", "report", "--since", "10d")
    assert "a price began" in out
    assert "tiers" not in out


def test_quarters_of_an_hour_tell_where_minutes_are_no_longer_kept(told, layers):
    long_ago = CHANGED - timedelta(days=60)
    for minutes in (-16, 16):
        used(layers["L2"], long_ago + timedelta(minutes=minutes), input_tokens=1000)
    dearer(layers["L2"], times=3, at=long_ago)
    assert told("--since", "200d")["up/m2"]["then_usd"] == exactly("0.008")


def test_more_changes_than_are_cut_at_leave_a_range_with_its_reason(told, layers, monkeypatch):
    monkeypatch.setattr(price_report, "MOST_CUTS", 1)
    earlier = CHANGED.replace(hour=12) - timedelta(days=3)
    for minutes in (-2, 2):
        used(layers["L2"], earlier + timedelta(minutes=minutes), input_tokens=1000)
    dearer(layers["L2"], times=3, at=earlier)
    used(layers["L1"], input_tokens=1000)
    dearer(layers["L1"], times=1)
    assert told()["up/m2"]["then_usd"]["reasons"] == ["price_changed"]


def test_all_models_together_are_told_below_them(run, layers):
    used(layers["L1"], input_tokens=1000, cost_usd=Decimal("0.5"))
    used(layers["L2"], input_tokens=1000, cost_usd=Decimal("0.25"))
    _, out, _ = run("prices", "report", "--since", "10d")
    last = next(line for line in out.splitlines() if line.startswith("all"))
    assert last.split()[:4] == ["all", "2", "2,000", "$0.75"]
    whole = json.loads(run("prices", "report", "--since", "10d", "--json")[1])["totals"]
    assert (whole["requests"], whole["tokens"], whole["charged_usd"]) == (2, 2000, "0.75")


def test_a_model_that_is_gone_is_told_without_prices(told, layers):
    used(layers["L1"], input_tokens=10, cost_usd=Decimal("0.5"))
    layers["L1"].delete()
    line = told()["up/m1"]
    assert (line["charged_usd"], line["then_usd"], line["at_date_usd"]) == ("0.5", None, None)


def test_other_models_can_be_left_out(told, layers):
    for name in ("L1", "L2"):
        used(layers[name], input_tokens=10)
    assert list(told("--model", "m1")) == ["up/m1"]


def test_no_row_is_changed_and_a_person_is_told_so(run, layers):
    used(layers["L2"], input_tokens=1000, cost_usd=Decimal("0.002"))
    rows = list(UsageRecord.objects.values())
    dearer(layers["L2"], times=2)
    _, out, _ = run("prices", "report", "--since", "10d")
    assert "+100.0%" in out
    assert "no row is changed" in out
    assert list(UsageRecord.objects.values()) == rows


def test_a_period_without_usage_says_so(run, layers):
    assert "Nothing was used" in run("prices", "report")[1]


@pytest.mark.parametrize(("option", "given"), [("--since", "soon"), ("--at", "never"), ("--model", "none-such")])
def test_what_cannot_be_understood_is_refused(run, layers, option, given):
    status, _, err = run("prices", "report", option, given)
    assert status == 1
    assert given in err
