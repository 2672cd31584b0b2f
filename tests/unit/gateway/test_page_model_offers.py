"""`/admin/models/add/`: a provider's own list, and some of it added."""

from __future__ import annotations

from decimal import Decimal

import pytest

from analytics.models import AuditEntry
from gateway import syncing
from providers.models import Model, Price, Provider
from routing import catalog, snapshot
from routing.models import Candidate
from routing.offers.offer import Offer, Offers
from tests.unit.gateway.list_server import running
from tests.unit.gateway.pages_seen import done, member, refused
from tests.unit.gateway.test_models_sync import prices, provider, routed
from tests.unit.list_of_prices import listed, standing_in

pytestmark = pytest.mark.django_db
PAGE = "/admin/models/add/"
OF_ROUTER = f"{PAGE}?provider=openrouter"


@pytest.fixture(autouse=True)
def loaded(layers):
    snapshot.load()


@pytest.fixture
def server():
    with running() as made:
        yield made


@pytest.fixture
def router(server):
    server.lists(routed("a/1"), routed("a/2"), routed("b/[1]*"), routed("c/free", pricing={}))
    return provider("openrouter", server, "a/1", "gone/1", is_local=True)


def shown(client, address=OF_ROUTER):
    return [line.name for line in client.get(address).context_data["lines"]]


def added(client, *names, **fields):
    return done(client, PAGE, "add", to=OF_ROUTER, provider="openrouter", name=names, **fields)


class TestTheList:
    def test_it_has_what_is_not_set_up_yet(self, admin_client, router):
        answer = admin_client.get(OF_ROUTER)
        first = answer.context_data["lines"][0]
        assert [line.name for line in answer.context_data["lines"]] == ["a/2", "b/[1]*", "c/free"]
        assert (first.context_tokens, first.prices, first.capabilities) == (1000, ("1", "2"), ("vision", "json schema"))
        assert "Set up and no longer offered: gone/1." in answer.content.decode()
        assert not Model.objects.filter(name="a/2").exists()

    def test_words_narrow_it(self, admin_client, router):
        assert shown(admin_client, f"{OF_ROUTER}&q=A/") == ["a/2"]
        assert shown(admin_client, f"{OF_ROUTER}&q=nothing") == []

    def test_before_a_provider_is_chosen_nobody_is_asked(self, admin_client, router, server):
        answer = admin_client.get(PAGE)
        assert (answer.status_code, "found" in answer.context_data, server.seen) == (200, False, [])

    def test_one_that_cannot_be_asked_says_why(self, admin_client, server):
        provider("silent", server)
        server.says("/v1/models", {"error": "x"}, status=500)
        for slug, says in (("silent", "silent: trouble at the provider"), ("gone", "There is no provider 'gone'")):
            answer = admin_client.get(f"{PAGE}?provider={slug}")
            assert answer.status_code == 400
            assert says.partition(":")[0] in answer.context_data["mistake"]


class TestAdd:
    def test_the_ticked_ones_come_with_facts_and_prices(self, admin_client, router):
        assert added(admin_client, "a/2", "b/[1]*") == "Added to openrouter: a/2, b/[1]*."
        row = Model.objects.get(name="a/2")
        assert (row.context_tokens, row.max_output_tokens, row.vision, row.enabled) == (1000, 500, True, True)
        assert [str(usd.scaleb(6).normalize()) for usd in prices("a/2")] == ["1"]
        assert not Model.objects.filter(name="c/free").exists()
        assert AuditEntry.objects.get(action="models.synced").actor == "admin"

    def test_those_that_are_there_stay_as_they_are(self, admin_client, router):
        added(admin_client, "a/2")
        assert (Model.objects.get(name="a/1").context_tokens, prices("a/1")) == (None, [])

    def test_and_are_put_last_into_a_layer(self, admin_client, router):
        Candidate.objects.filter(layer__name="L2").update(priority=4)
        assert "Added to openrouter and L2: a/2, b/[1]*." in added(admin_client, "a/2", "b/[1]*", layer="L2")
        rows = Candidate.objects.filter(layer__name="L2").order_by("priority")
        assert list(rows.values_list("model__name", "priority")) == [("m2", 4), ("a/2", 5), ("b/[1]*", 6)]

    def test_a_price_that_the_provider_does_not_tell_comes_from_the_list(self, admin_client, monkeypatch):
        # A list on loopback is a local provider's, whose models cost nothing: only the call is left out here.
        names = ("embed", "x1", "x9")
        offers = Offers(
            tuple(Offer(catalog.Model(name=name, kind="embeddings" * (name == "embed") or None)) for name in names)
        )
        monkeypatch.setattr(syncing, "_ask", lambda subject, within_s: offers)
        Provider.objects.create(slug="acme", name="acme", base_url="https://api.acme.test/v1")
        fields = {"provider": "acme", "name": names, "layer": "L0"}
        with standing_in(x1=listed(input_mtok="1", output_mtok="5")):
            said = done(admin_client, PAGE, "add", to=f"{PAGE}?provider=acme", **fields)
        assert said.endswith("Nobody knows what these cost, so give them prices: embed, x9.")
        assert prices("x1") == [Decimal("0.000001")]
        rows = Candidate.objects.filter(layer__name="L0").order_by("priority")
        assert list(rows.values_list("model__name", flat=True)) == ["m0", "x1", "x9"]

    def test_a_price_that_the_provider_tells_is_kept_whatever_the_list_has(self, admin_client, monkeypatch):
        told = catalog.Model(name="x1", prices={"input": Decimal(3), "output": Decimal(4)})
        monkeypatch.setattr(syncing, "_ask", lambda subject, within_s: Offers((Offer(told),)))
        Provider.objects.create(slug="acme", name="acme", base_url="https://api.acme.test/v1")
        with standing_in(x1=listed(input_mtok="1", output_mtok="5")):
            done(admin_client, PAGE, "add", to=f"{PAGE}?provider=acme", provider="acme", name=["x1"])
        found = Price.objects.filter(model__name="x1").order_by("unit").values_list("unit", "usd_per_unit")
        assert list(found) == [("input", Decimal("0.000003")), ("output", Decimal("0.000004"))]

    def test_a_local_servers_models_cost_nothing(self, admin_client, router):
        assert added(admin_client, "c/free") == "Added to openrouter: c/free."
        assert set(Price.objects.filter(model__name="c/free").values_list("usd_per_unit", flat=True)) == {0}

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"name": []}, "Tick the models to add"),
            ({"name": ["m"] * 1 + [f"m{number}" for number in range(200)]}, "200 at most"),
            ({"name": ["a/1"]}, "openrouter has a/1 already"),
            ({"name": ["nothing/like"]}, "No model of openrouter fits"),
            ({"name": ["a/2"], "layer": "L9"}, "There is no layer 'L9'"),
            ({"name": ["a/2"], "layer": "\0"}, "There is no layer"),
        ],
    )
    def test_what_cannot_be_is_said(self, admin_client, router, fields, says):
        assert says in refused(admin_client, PAGE, "add", provider="openrouter", **fields)
        assert sorted(Model.objects.filter(provider=router).values_list("name", flat=True)) == ["a/1", "gone/1"]

    def test_what_was_ticked_stays_ticked(self, admin_client, router):
        answer = admin_client.post(PAGE, {"do": "add", "provider": "openrouter", "name": ["a/2", "a/1"], "layer": "L1"})
        ticked = [line.name for line in answer.context_data["lines"] if line.is_ticked]
        assert (answer.status_code, ticked, answer.context_data["layer"]) == (400, ["a/2"], "L1")


class TestWhoMay:
    def test_who_may_see_models_adds_none(self, client, ours, router, server):
        member(client, ours.project, "providers.view_model", "providers.change_model")
        assert PAGE not in client.get("/admin/models/").content.decode()
        for answer in (
            client.get(OF_ROUTER),
            client.post(PAGE, {"do": "add", "provider": "openrouter", "name": "a/2"}),
        ):
            assert answer.status_code == 403
        assert server.seen == []

    def test_a_layer_asks_for_a_permission_of_its_own(self, client, ours, router):
        member(client, ours.project, "providers.add_model")
        fields = {"provider": "openrouter", "name": ["a/2"]}
        assert "“Can add candidate”" in refused(client, PAGE, "add", 403, layer="L1", **fields)
        assert not client.get(OF_ROUTER).context_data["layers"]
        client.post(PAGE, {"do": "add", **fields})
        assert Model.objects.filter(name="a/2").exists()
