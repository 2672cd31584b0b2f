"""Prices in the plain admin: typed and shown as people speak of them, added and never changed."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

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


def test_a_price_is_typed_and_shown_per_million_tokens_or_per_one(admin_client, model):
    typed = [
        ("input", "0.15", "0.00000015", "0.15 per million"),
        ("output", "10", "0.00001", "10 per million"),
        ("cached_input", "0.00000001", "0.00000000000001", "0.00000001 per million"),
        ("cache_write_5m", "0.1500000000", "0.00000015", "0.15 per million"),
        ("cache_write_1h", "999999999999", "999999.999999", "999999999999 per million"),
        ("request", "0.005", "0.005", "0.005 per request"),
        ("web_search", "0.01", "0.01", "0.01 per web search"),
        ("image", "0.00000000000001", "0.00000000000001", "0.00000000000001 per image"),
    ]
    for unit, usd, stored, _ in typed:
        assert admin_client.post(f"{PRICES}add/", form(model, unit=unit, usd=usd)).status_code == 302
        assert Price.objects.get(unit=unit).usd_per_unit == Decimal(stored), unit
    pages = [text(admin_client.get(path)) for path in (PRICES, f"/admin/providers/model/{model.pk}/change/")]
    for unit, _, _, shown in typed:
        row = Price.objects.get(unit=unit)
        for page in (*pages, text(admin_client.get(f"{PRICES}{row.pk}/change/"))):
            assert f" {shown} " in page, unit


def test_a_price_of_nothing_is_shown_as_well(admin_client, model):
    admin_client.post(f"{PRICES}add/", form(model, usd="0"))
    assert Price.objects.get().usd_per_unit == 0
    assert " 0 per million " in text(admin_client.get(PRICES))


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
def test_a_price_that_cannot_be_kept_is_refused(refused_form, model, unit, usd, says):
    assert says in refused_form(f"{PRICES}add/", form(model, unit=unit, usd=usd))["usd"]
    assert not Price.objects.exists()


def test_a_price_of_no_known_unit_is_refused(admin_client, model):
    assert "not one of the available choices" in text(admin_client.post(f"{PRICES}add/", form(model, unit="hour")))


def test_the_same_price_cannot_be_added_twice(admin_client, model):
    for _ in range(2):
        answer = admin_client.post(f"{PRICES}add/", form(model))
    assert "already exists" in text(answer)
    assert Price.objects.count() == 1


def test_the_form_begins_at_now(admin_client, model):
    page = admin_client.get(f"{PRICES}add/")
    begins = page.context["adminform"].form["valid_from"].value()
    assert timedelta(0) <= timezone.now() - begins < timedelta(minutes=1)
    assert "Per million tokens; per one request, search or image." in text(page)


class TestHistory:
    @pytest.fixture
    def price(self, model):
        return Price.objects.create(model=model, unit="input", usd_per_unit=Decimal("0.00000015"))

    def inline(self, price, **fields):
        """The form of the price's model: this price, a row to add another that nobody filled in, and `fields`."""
        now = {"valid_from_0": "2026-07-01", "valid_from_1": "12:00:00"}
        sent = {"provider": price.model.provider.pk, "name": price.model.name, "kind": "chat",
                "max_input_tokens_per_file": 2000, "reasoning_control": "effort",
                "prices-TOTAL_FORMS": 2, "prices-INITIAL_FORMS": 1,
                "prices-0-id": price.pk, "prices-0-model": price.model.pk,
                "prices-1-model": price.model.pk, "prices-1-from_tokens": 0}  # fmt: skip
        sent |= {f"{kind}prices-1-{part}": value for kind in ("", "initial-") for part, value in now.items()}
        return sent | {f"prices-{key.replace('__', '-')}": value for key, value in fields.items()}

    def test_its_page_has_no_field_and_says_what_to_do(self, admin_client, price):
        page = admin_client.get(f"{PRICES}{price.pk}/change/")
        assert "cannot be changed: add another price with the date from which it holds" in text(page)
        assert 'name="usd"' not in page.content.decode()
        assert 'name="_save"' not in page.content.decode()
        assert "cannot be changed" not in text(admin_client.get(f"{PRICES}add/"))

    def test_it_cannot_be_changed(self, admin_client, price):
        assert admin_client.post(f"{PRICES}{price.pk}/change/", form(price.model, usd="9")).status_code == 403
        address = f"/admin/providers/model/{price.model.pk}/change/"
        tampered = {"0__usd": "9", "0__unit": "output", "0__from_tokens": 0}
        assert admin_client.post(address, self.inline(price, **tampered)).status_code == 302
        row = Price.objects.get()
        assert (row.usd_per_unit, row.unit) == (Decimal("0.00000015"), "input")

    def test_another_is_added_beside_it_on_the_models_page(self, admin_client, price):
        address = f"/admin/providers/model/{price.model.pk}/change/"
        page = admin_client.get(address)
        assert "0.15 per million" in text(page)
        assert "Per million tokens; per one request, search or image." in page.content.decode()
        another = self.inline(price, **{"1__unit": "input", "1__usd": "0.2"})
        assert admin_client.post(address, another).status_code == 302
        assert [str(row.usd_per_unit.normalize()) for row in Price.objects.order_by("valid_from")] == ["1.5E-7", "2E-7"]

    def test_a_superuser_may_take_one_back_that_does_not_hold_yet(self, admin_client, price):
        Price.objects.update(valid_from=timezone.now() + timedelta(hours=1))
        assert admin_client.post(f"{PRICES}{price.pk}/delete/", {"post": "yes"}).status_code == 302
        assert not Price.objects.exists()

    def test_nobody_deletes_one_that_holds_or_held(self, admin_client, price):
        """What comes into force instead may be none at all, and a bill could not be retraced."""
        ahead = Price.objects.create(
            model=price.model, unit="output", usd_per_unit=1, valid_from=timezone.now() + timedelta(hours=1)
        )
        assert admin_client.post(f"{PRICES}{price.pk}/delete/", {"post": "yes"}).status_code == 403
        chosen = {"action": "delete_selected", "_selected_action": [price.pk, ahead.pk], "post": "yes"}
        assert admin_client.post(PRICES, chosen).status_code == 403
        address = f"/admin/providers/model/{price.model.pk}/change/"
        admin_client.post(address, self.inline(price, **{"0__DELETE": "on"}))
        assert Price.objects.count() == 2

    @pytest.mark.parametrize("whose", ["model", "provider"])
    def test_they_go_with_their_model(self, admin_client, price, whose):
        row = price.model if whose == "model" else price.model.provider
        assert admin_client.post(f"/admin/providers/{whose}/{row.pk}/delete/", {"post": "yes"}).status_code == 302
        assert not Price.objects.exists()

    def test_nobody_else_may(self, client, django_user_model, price):
        user = django_user_model.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.all())
        client.force_login(user)
        assert client.get(f"{PRICES}{price.pk}/change/").status_code == 200
        assert client.get(f"{PRICES}add/").status_code == 200
        for path in (PRICES + str(price.pk), f"/admin/providers/model/{price.model.pk}"):
            assert client.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
        assert Price.objects.exists()
