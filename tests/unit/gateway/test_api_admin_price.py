"""`/v1/admin/prices`: added as people speak of them, never changed, taken back while they do not hold yet."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from analytics.models import AuditEntry
from providers.models import Price

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def model(layers):
    """`up/m1`, at 1 USD per million tokens of input and of output."""
    return layers["L1"]


def prices(model, unit="input"):
    rows = Price.objects.filter(model=model, unit=unit).order_by("valid_from", "from_tokens")
    return [(row.from_tokens, row.listed_usd) for row in rows]


def add(fitter, **fields):
    return fitter("post", "prices", {"model": "up/m1", "unit": "input", "usd": "0.15"} | fields)


class TestAdd:
    def test_it_holds_from_now_on_and_the_old_one_stays(self, fitter, model):
        status, made = add(fitter)
        assert status == 201
        told = {name: made[name] for name in ("object", "model", "unit", "usd", "per", "from_tokens", "in_force")}
        assert told == {"object": "price", "model": "up/m1", "unit": "input", "usd": "0.15", "per": "million",
                        "from_tokens": 0, "in_force": True}  # fmt: skip
        assert prices(model) == [(0, "1"), (0, "0.15")]
        assert Price.objects.get(pk=made["id"]).usd_per_unit == Decimal("0.00000015")
        assert fitter("get", f"prices/{made['id']}")[1] == made

    def test_it_is_in_the_audit_trail_with_what_was(self, fitter):
        add(fitter)
        entry = AuditEntry.objects.get(action="prices.changed")
        assert (entry.target, entry.severity, entry.actor[:10]) == ("up/m1", "warning", "key fitter")
        assert entry.before == {"input": "1 USD per million"}
        assert not AuditEntry.objects.filter(action="price.created").exists()

    def test_what_is_counted_costs_as_much_each(self, fitter):
        made = add(fitter, unit="web_search", usd=0.01)[1]
        assert (made["usd"], made["per"]) == ("0.01", "web search")
        assert Price.objects.get(pk=made["id"]).usd_per_unit == Decimal("0.01")

    @pytest.mark.parametrize(("text", "kept"), [("0.1", "0.1"), ("1e-7", "0.0000001"), ('"0.3"', "0.3"), ("0", "0")])
    def test_a_number_loses_nothing_on_its_way(self, fitter, text, kept):
        body = f'{{"model": "up/m1", "unit": "input", "usd": {text}}}'
        assert fitter("post", "prices", body)[1]["usd"] == kept

    @pytest.mark.parametrize("text", ["1e-99999999", "1e99999999", "1e-10", "-1e-99999999", "0.1234567890123456789"])
    def test_a_number_that_is_too_small_or_too_large_is_refused_and_never_zero(self, fitter, text):
        before = Price.objects.count()
        status, param, words = fitter.refused("post", "prices", f'{{"model": "up/m1", "unit": "input", "usd": {text}}}')
        assert (status, param) == (400, "usd")
        assert words.startswith("Use ") or "cannot be kept exactly" in words
        assert Price.objects.count() == before

    def test_zero_is_zero_however_it_is_written(self, fitter):
        assert fitter("post", "prices", '{"model": "up/m1", "unit": "input", "usd": 0e99999999}')[1]["usd"] == "0"

    def test_the_same_again_writes_nothing(self, fitter, model):
        first = add(fitter)[1]
        status, again = add(fitter)
        assert (status, again["id"]) == (200, first["id"])
        assert len(prices(model)) == 2

    def test_the_other_tiers_hold_on(self, fitter, model):
        tier = add(fitter, usd=2, from_tokens=200_001)[1]
        assert (tier["from_tokens"], tier["in_force"]) == (200_001, True)
        add(fitter, usd=3)
        held = {(one["from_tokens"], one["usd"]) for one in fitter("get", "models/up/m1")[1]["prices"]
                if one["unit"] == "input"}  # fmt: skip
        assert held == {(0, "3"), (200_001, "2")}

    def test_a_tier_needs_the_price_below_it(self, fitter):
        status, param, words = fitter.refused("post", "prices", model="up/m1", unit="image", usd=1, from_tokens=5)
        assert (status, param) == (400, "from_tokens")
        assert words.startswith("up/m1 has no price of image below 5 tokens")

    def test_one_to_come_waits(self, fitter, model):
        at = (timezone.now() + timedelta(days=3)).isoformat()
        made = add(fitter, valid_from=at)[1]
        assert (made["in_force"], made["usd"]) == (False, "0.15")
        shown = [one for one in fitter("get", "models/up/m1")[1]["prices"] if one["unit"] == "input"]
        assert [one["usd"] for one in shown] == ["1"]
        assert add(fitter, valid_from=at, usd=4)[1]["id"] == made["id"]  # announced otherwise: nobody paid it yet
        assert prices(model) == [(0, "1"), (0, "4")]

    def test_of_one_to_come_the_tiers_hold_on_too(self, fitter, model):
        add(fitter, usd=2, from_tokens=200_001)
        add(fitter, usd=5, valid_from=(timezone.now() + timedelta(days=3)).isoformat())
        assert prices(model)[-2:] == [(0, "5"), (200_001, "2")]

    def test_the_past_stays_as_it_was_charged(self, fitter, model):
        at = (timezone.now() - timedelta(hours=1)).isoformat()
        status, answer = add(fitter, valid_from=at)
        assert (status, answer["error"]["param"]) == (400, "valid_from")
        assert len(prices(model)) == 1

    def test_a_moment_just_gone_is_now(self, fitter):
        at = timezone.now() - timedelta(seconds=5)
        made = add(fitter, valid_from=at.isoformat())[1]
        assert (made["usd"], made["in_force"]) == ("0.15", True)
        assert Price.objects.get(pk=made["id"]).valid_from > at

    def test_a_units_first_price_may_have_held_always(self, fitter, model):
        made = add(fitter, unit="cached_input", valid_from="2020-01-01T00:00:00Z")[1]
        assert (made["valid_from"], made["in_force"]) == ("2020-01-01T00:00:00Z", True)

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"model": "up/m9"}, "model", "There is no model 'up/m9'"),
            ({"model": None}, "model", "Use a text."),
            ({"unit": "song"}, "unit", "Use one of input,"),
            ({"unit": ["input"]}, "unit", "Use a text."),
            ({"usd": None}, "usd", "Say how many"),
            ({"usd": -1}, "usd", "zero or more"),
            ({"usd": "NaN"}, "usd", "Use a number"),
            ({"usd": "Infinity"}, "usd", "Use a number"),
            ({"usd": True}, "usd", "Use a number"),
            ({"usd": "five"}, "usd", "Use a number"),
            ({"usd": [1]}, "usd", "Use a number"),
            ({"usd": "1e999999"}, "usd", "Use less than"),
            ({"usd": "1e-9"}, "usd", "cannot be kept exactly"),
            ({"from_tokens": -1}, "from_tokens", "whole number from 0"),
            ({"from_tokens": 2**31}, "from_tokens", "whole number from 0"),
            ({"from_tokens": None}, "from_tokens", "whole number from 0"),
            ({"from_tokens": "5"}, "from_tokens", "Use a whole number."),
            ({"valid_from": "tomorrow"}, "valid_from", "with its time zone"),
            ({"valid_from": "2040-01-01"}, "valid_from", "with its time zone"),
            ({"valid_from": "9999-12-31T23:59:59-12:00"}, "valid_from", "ten years from now"),
            ({"unit": "image", "valid_from": "0001-01-01T00:00:00+14:00"}, "valid_from", "2020-01-01"),
            ({"usd_per_unit": 1}, "usd_per_unit", "There is no field"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, fitter, fields, field, says):
        count = Price.objects.count()
        status, answer = add(fitter, **fields)
        assert (status, answer["error"]["param"]) == (400, field)
        assert says in answer["error"]["message"]
        assert Price.objects.count() == count


class TestList:
    def test_the_history_of_a_model_newest_first(self, fitter):
        first, second = add(fitter)[1], add(fitter, usd=2)[1]
        rows = fitter("get", "prices?model=up/m1")[1]["data"]
        assert [row["id"] for row in rows[:2]] == [second["id"], first["id"]]
        assert [(row["usd"], row["in_force"]) for row in rows if row["unit"] == "input"] == [
            ("2", True), ("0.15", False), ("1", False),
        ]  # fmt: skip
        page = fitter("get", "prices?model=up/m1&limit=1")[1]
        after = fitter("get", f"prices?model=up/m1&limit=1&after={page['last_id']}")[1]
        assert [row["id"] for row in after["data"]] == [first["id"]]

    def test_of_all_models_in_as_many_queries(self, fitter, django_assert_max_num_queries):
        fitter("get", "prices")
        with django_assert_max_num_queries(4):  # with the versions of the configuration
            assert len(fitter("get", "prices")[1]["data"]) == 8

    def test_a_wrong_parameter_is_named(self, fitter):
        assert fitter.refused("get", "prices?model=up/m9")[:2] == (400, "model")
        assert fitter.refused("get", "prices?unit=input")[:2] == (400, "unit")
        assert fitter.refused("get", "prices?after=x")[:2] == (400, "after")


class TestOne:
    def test_it_is_not_changed(self, fitter, model):
        path = f"prices/{Price.objects.filter(model=model).first().pk}"
        assert fitter("patch", path, usd=5)[0] == fitter("put", path, usd=5)[0] == 405

    def test_one_to_come_is_taken_back(self, fitter, model):
        made = add(fitter, valid_from=(timezone.now() + timedelta(days=3)).isoformat())[1]
        path = f"prices/{made['id']}"
        assert fitter("delete", path)[1] == {"id": made["id"], "object": "price", "deleted": True}
        assert fitter("get", path)[0] == fitter("delete", path)[0] == 404
        assert AuditEntry.objects.get(action="price.deleted").severity == "warning"

    def test_one_that_holds_or_held_is_history(self, fitter, model):
        add(fitter)
        for row in Price.objects.filter(model=model):
            status, answer = fitter("delete", f"prices/{row.pk}")
            assert (status, answer["error"]["code"]) == (409, "price_in_force")
        assert Price.objects.filter(model=model).count() == 3

    def test_an_unknown_one_is_404(self, fitter):
        assert fitter("get", "prices/999999")[0] == fitter("get", f"prices/{10**30}")[0] == 404
