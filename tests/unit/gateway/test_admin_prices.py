"""Prices in the plain admin: typed and shown as people speak of them."""

import re
from decimal import Decimal

import pytest

from providers.models import Price

pytestmark = pytest.mark.django_db
PRICES = "/admin/providers/price/"


@pytest.fixture
def model(layers):
    Price.objects.all().delete()
    return layers["L1"]


def form(model, **fields):
    return {"model": model.pk, "unit": "input", "usd": "0.15", "from_tokens": 0,
            "valid_from_0": "2026-07-01", "valid_from_1": "12:00:00"} | fields  # fmt: skip


def text(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


@pytest.mark.parametrize(
    ("unit", "usd", "stored", "shown"),
    [
        ("input", "0.15", "0.00000015", "0.15 per million"),
        ("output", "10", "0.00001", "10 per million"),
        ("cached_input", "0.00000001", "0.00000000000001", "0.00000001 per million"),
        ("cache_write_1h", "0.1500000000", "0.00000015", "0.15 per million"),
        ("input", "999999999999", "999999.999999", "999999999999 per million"),
        ("output", "0", "0", "0 per million"),
        ("request", "0.005", "0.005", "0.005 per request"),
        ("web_search", "0.01", "0.01", "0.01 per web search"),
        ("image", "0.00000000000001", "0.00000000000001", "0.00000000000001 per image"),
    ],
)
def test_a_price_is_typed_and_shown_per_million_tokens_or_per_one(admin_client, model, unit, usd, stored, shown):
    assert admin_client.post(f"{PRICES}add/", form(model, unit=unit, usd=usd)).status_code == 302
    row = Price.objects.get()
    assert row.usd_per_unit == Decimal(stored)
    assert f" {shown} " in text(admin_client.get(PRICES))
    for page in (f"{PRICES}{row.pk}/change/", f"/admin/providers/model/{model.pk}/change/"):
        assert f'value="{shown.split(" ")[0]}"' in admin_client.get(page).content.decode()


@pytest.mark.parametrize(
    ("unit", "usd", "says"),
    [
        ("input", "0.000000001", "at most 15 digits, 8 of them after the point"),
        ("input", "12345678.12345678", "at most 15 digits, 8 of them after the point"),
        ("request", "0.000000000000001", "at most 15 digits, 14 of them after the point"),
        ("input", "1000000000000", "Use less than 1,000,000,000,000 USD"),
        ("image", "1000000", "Use less than 1,000,000 USD"),
        ("input", "1e999999", "no more than 20 digits"),
        ("input", "1e-1000020", "no more than 20 digits"),
        ("input", "-1", "greater than or equal to 0"),
        ("input", "NaN", "Enter a number"),
        ("input", "", "This field is required"),
    ],
)
def test_a_price_that_cannot_be_kept_is_refused(admin_client, model, unit, usd, says):
    assert says in text(admin_client.post(f"{PRICES}add/", form(model, unit=unit, usd=usd)))
    assert not Price.objects.exists()


def test_a_price_of_no_known_unit_is_refused(admin_client, model):
    assert "not one of the available choices" in text(admin_client.post(f"{PRICES}add/", form(model, unit="hour")))


def test_the_same_price_cannot_be_added_twice(admin_client, model):
    for _ in range(2):
        answer = admin_client.post(f"{PRICES}add/", form(model))
    assert "already exists" in text(answer)
    assert Price.objects.count() == 1
