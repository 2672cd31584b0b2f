"""`/admin/prices/sync/`: what differs from a list of prices, shown, and followed where it is ticked."""

from __future__ import annotations

from decimal import Decimal

import pytest

from analytics.models import AuditEntry
from providers.models import Price
from tests.unit.gateway.pages_seen import done, member, refused
from tests.unit.list_of_prices import listed, standing_in
from tests.unit.routing.test_price_sync import model

pytestmark = pytest.mark.django_db
PAGE = "/admin/prices/sync/"


@pytest.fixture
def acme():
    """Three models; of the third the list says what we have."""
    rows = {name: model(name, input="1", output="5") for name in ("m1", "m2", "m3")}
    model("local", slug="here", is_local=True, input="1")
    with standing_in(
        m1=listed(input_mtok="1.5", output_mtok="5"),
        m2=listed(input_mtok="1", output_mtok="6"),
        m3=listed(input_mtok="1", output_mtok="5"),
    ):
        yield rows


def differing(client, query=""):
    return {one.model: one for one in client.get(PAGE + query).context_data["differing"]}


def inputs(row):
    return [price.usd_per_unit.scaleb(6) for price in row.prices.filter(unit="input").order_by("valid_from")]


def test_it_shows_what_differs_and_writes_nothing(admin_client, acme):
    before = list(Price.objects.values())
    found = differing(admin_client)
    assert {name: [list(row) for row in one.rows] for name, one in found.items()} == {
        "acme/m1": [["input", "million", "1", "1.5", "+50.0 %"]],
        "acme/m2": [["output", "million", "5", "6", "+20.0 %"]],
    }
    page = admin_client.get(PAGE)
    assert "1 model left alone: of local providers (here/local)." in page.context_data["also"]
    assert page.context_data["source"] in page.content.decode()
    assert list(Price.objects.values()) == before
    assert differing(admin_client, "?provider=here") == {}


def test_what_is_ticked_is_followed(admin_client, acme):
    found = differing(admin_client)
    said = done(admin_client, PAGE, "apply", change=[found["acme/m1"].tick])
    assert said == "1 price of 1 model changed, from now on."
    assert (inputs(acme["m1"]), list(differing(admin_client))) == ([1, Decimal("1.5")], ["acme/m2"])
    entry = AuditEntry.objects.get(action="prices.changed")
    assert (entry.actor, entry.target) == ("admin", "acme/m1")


def test_only_what_was_shown_is_written(admin_client, acme):
    ticks = [one.tick for one in differing(admin_client).values()]
    Price.objects.filter(model=acme["m2"], unit="output").update(usd_per_unit=Decimal("0.000004"))
    assert "Prices changed since they were shown" in refused(admin_client, PAGE, "apply", change=ticks)
    assert inputs(acme["m1"]) == [1]


@pytest.mark.parametrize("ticks", [[], ["x"], ["x acme/m1"], ["\0 \0"], [" acme/m3"]])
def test_what_was_never_shown_is_refused(admin_client, acme, ticks):
    assert refused(admin_client, PAGE, "apply", change=ticks)
    assert [inputs(row) for row in acme.values()] == [[1], [1], [1]]


def test_only_who_may_change_prices(client, ours, acme):
    member(client, ours.project, "providers.view_price", "providers.add_price")
    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, {"do": "apply"}).status_code == 403


def test_where_nothing_differs_it_says_so(admin_client, db):
    with standing_in():
        assert "No price differs" in admin_client.get(PAGE).content.decode()
