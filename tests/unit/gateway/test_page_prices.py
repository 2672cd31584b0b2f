"""`/admin/prices/`: what holds, what comes, what was; used models without a price; one added, one taken back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from analytics import ledger
from gateway.pages import prices
from providers.models import Model, Price, Provider
from routing import snapshot
from tests.unit.analytics.test_ledger import usage_row
from tests.unit.gateway.pages_seen import done, member, mistakes, queries, refused

pytestmark = pytest.mark.django_db
PAGE = "/admin/prices/"
SOON = timedelta(days=3)


@pytest.fixture(autouse=True)
def loaded(layers):
    snapshot.load()


def told(client, query=""):
    return [(one.model, one.what, one.usd, one.holds) for one in client.get(PAGE + query).context_data["lines"]]


def price(model, usd, *, at=None):
    return Price.objects.create(
        model=model, unit="input", usd_per_unit=Decimal(usd).scaleb(-6), valid_from=at or timezone.now()
    )


class TestWhich:
    def test_those_in_force_by_model(self, admin_client, layers):
        price(layers["L1"], "2")
        price(layers["L2"], "9", at=timezone.now() + SOON)
        assert told(admin_client)[2:6] == [
            ("up/m1", "input", "2", True),
            ("up/m1", "output", "1", True),
            ("up/m2", "input", "2", True),
            ("up/m2", "output", "2", True),
        ]

    def test_those_to_come_and_those_of_all_times(self, admin_client, layers):
        price(layers["L1"], "2")
        price(layers["L2"], "9", at=timezone.now() + SOON)
        assert told(admin_client, "?show=coming") == [("up/m2", "input", "9", False)]
        of_all_times = told(admin_client, "?show=all&q=m1")
        assert of_all_times == [
            ("up/m1", "input", "1", False), ("up/m1", "input", "2", True), ("up/m1", "output", "1", True),
        ]  # fmt: skip

    def test_by_provider_and_words(self, admin_client, layers):
        other = Provider.objects.create(slug="other", name="Other", base_url="https://x.example/v1")
        price(Model.objects.create(provider=other, name="m1", title="The Quick One"), "4")
        assert told(admin_client, "?provider=other") == [("other/m1", "input", "4", True)]
        assert (
            told(admin_client, "?q=other/M1")
            == told(admin_client, "?q=one+quick")
            == told(admin_client, "?provider=other")
        )
        assert told(admin_client, "?provider=other&q=m2") == []
        assert told(admin_client, "?provider=%00&show=odd&page=x") == told(admin_client, "?provider=")

    def test_page_by_page(self, admin_client, monkeypatch):
        monkeypatch.setattr(prices, "PER_PAGE", 3)
        first, second = (admin_client.get(f"{PAGE}?q=m&page={number}") for number in (1, 2))
        assert [one.context_data["shown"].paginator.num_pages for one in (first, second)] == [2, 2]
        assert (first.context_data["next"], first.context_data["previous"]) == ("?q=m&page=2", "")
        assert {one.model for one in second.context_data["lines"]} == {"up/m3"}


class TestUnpriced:
    def use(self, tenant, model, times=1):
        at = datetime.now(UTC) - timedelta(days=2)
        row = {
            "project_id": tenant.project.pk,
            "provider": "up",
            "model": model,
            "input_tokens": 10,
            "output_tokens": 5,
        }
        ledger.insert([usage_row(at, **row) for _ in range(times)])

    def test_models_that_were_used_and_have_none_come_first(self, admin_client, client, ours, theirs, layers):
        for name in ("new-1", "new-2", "new-3"):
            Model.objects.create(provider=Provider.objects.get(slug="up"), name=name)
        price(Model.objects.get(name="new-3"), "1", at=timezone.now() + SOON)
        self.use(ours, "new-1")
        self.use(theirs, "new-3", times=2)
        self.use(ours, "m1")
        found = [(one.model, one.requests) for one in admin_client.get(PAGE).context_data["unpriced"]]
        assert found == [("up/new-3", 2), ("up/new-1", 1)]
        assert "?price=up/new-1#add" in admin_client.get(PAGE).content.decode().replace("%2F", "/")
        member(client, ours.project, "providers.view_price")
        assert [one.model for one in client.get(PAGE).context_data["unpriced"]] == ["up/new-1"]


class TestChange:
    def test_one_is_added(self, admin_client, layers):
        said = done(admin_client, PAGE, "add-price", model="up/m1", unit="output", usd="8", from_tokens="0")
        assert said == "The price of up/m1 for output is 8 USD per million from now on."
        assert ("up/m1", "output", "8", True) in told(admin_client)

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [({"model": "up/gone"}, "model", "There is no such model"), ({"usd": "x"}, "usd", "Enter a number")],
    )
    def test_what_is_wrong_is_told_at_its_field(self, admin_client, fields, field, says):
        sent = {"do": "add-price", "model": "up/m1", "unit": "output", "usd": "8"} | fields
        answer = admin_client.post(PAGE, sent)
        assert (answer.status_code, list(mistakes(answer))) == (400, [field])
        assert says in mistakes(answer)[field][0]
        assert Price.objects.count() == 8

    def test_one_to_come_is_taken_back(self, admin_client, layers):
        row = price(layers["L2"], "9", at=timezone.now() + SOON)
        assert "Taken back" in done(admin_client, PAGE, "take-back", price=row.pk)
        assert told(admin_client, "?show=coming") == []


class TestWhoMay:
    def test_a_projects_admin_does_not_see_it(self, client, ours):
        member(client, ours.project, "providers.view_model")
        assert client.get(PAGE).status_code == 403

    def test_who_may_see_changes_nothing(self, client, ours, layers):
        row = price(layers["L2"], "9", at=timezone.now() + SOON)
        member(client, ours.project, "providers.view_price")
        page = client.get(f"{PAGE}?show=all").content.decode().partition('id="prices"')[2]
        assert ("Take back" in page, "Add the price" in page, "/sync/" in page) == (False, False, False)
        for do in ("add-price", "take-back"):
            assert "You lack the permission" in refused(client, PAGE, do, 403, price=row.pk)
        assert Price.objects.count() == 9


def test_its_questions_do_not_grow_with_models(admin_client, ours, layers):
    before = queries(admin_client, PAGE)
    for number in range(5):
        price(Model.objects.create(provider=Provider.objects.get(slug="up"), name=f"more-{number}"), "1")
    assert queries(admin_client, PAGE) == before


def test_without_any_it_says_how_to_begin(admin_client):
    Price.objects.all().delete()
    assert "manage.py catalog load" in admin_client.get(PAGE).content.decode()
