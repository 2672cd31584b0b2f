"""`/admin/models/`: layers and their models seen, put in order, switched, added and taken out."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics.models import AuditEntry, Membership
from providers.models import Model, Price, Provider
from routing import candidate_rows, snapshot
from routing.models import Candidate, Layer, Policy
from tests.unit.gateway import page_forms

pytestmark = pytest.mark.django_db
PAGE = "/admin/models/"


@pytest.fixture(autouse=True)
def loaded(layers):
    """Four layers with a model each, and two models more in the first."""
    for number, name in enumerate(("m8", "m9"), 1):
        row = Model.objects.create(provider=Provider.objects.get(slug="up"), name=name)
        Candidate.objects.create(layer=Layer.objects.get(name="L0"), model=row, priority=number)
    snapshot.load()


def order(layer="L0"):
    rows = Candidate.objects.filter(layer__name=layer).order_by("priority", "pk")
    return [row.model.name for row in rows.select_related("model")]


def shown(client, layer="L0"):
    """What the page says of the order that it shows, as its forms send it."""
    forms = [form.fields for form in page_forms.found(client, PAGE) if form.fields.get("layer") == layer]
    (was,) = {fields["was"] for fields in forms if fields["do"] in ("move", "order")}
    return {"was": was}


def sent(client, do, *, htmx=False, **fields):
    return client.post(PAGE, {"do": do, **fields}, headers={"HX-Request": "true"} if htmx else {})


def done(client, do, **fields):
    """What is said on the page that one is led to."""
    known = shown(client) if do in ("move", "order") else {}
    answer = client.post(PAGE, {"do": do, **known, **fields}, follow=True)
    assert answer.redirect_chain == [(PAGE, 302)], answer.context_data["mistake"]
    return " ".join(str(message) for message in answer.context["messages"])


def refused(client, do, status=400, **fields):
    answer = sent(client, do, **fields)
    assert answer.status_code == status
    return answer.context_data["mistake"]


def test_it_shows_each_layer_with_its_models_in_order(admin_client, layers):
    Price.objects.filter(model=layers["L1"]).delete()
    for unit, usd in (("input", "0.000002"), ("output", "0.000008")):
        Price.objects.create(model=layers["L1"], unit=unit, usd_per_unit=usd)
    Model.objects.filter(name="m2").update(enabled=False)
    shelves = {one.layer.name: one.lines for one in admin_client.get(PAGE).context_data["shelves"]}
    assert list(shelves) == ["L0", "L1", "L2", "L3"]
    assert [one.name for one in shelves["L0"]] == ["up/m0", "up/m8", "up/m9"]
    assert shelves["L1"][0].prices == ("2", "8")
    assert [shelves["L2"][0].trouble, shelves["L3"][0].trouble] == ["switched off", ""]


class TestOrder:
    def test_of_one_priority_the_cheaper_comes_first(self, admin_client, layers):
        Candidate.objects.filter(layer__name="L0").update(priority=0)
        Price.objects.filter(model=layers["L0"]).delete()
        for name, usd in (("m0", "0.00001"), ("m8", "0.000002"), ("m9", "0.000001")):
            for unit in ("input", "output"):
                Price.objects.create(model=Model.objects.get(name=name), unit=unit, usd_per_unit=usd)
        snapshot.load()
        lines = admin_client.get(PAGE).context_data["shelves"][0].lines
        assert [one.name for one in lines] == ["up/m9", "up/m8", "up/m0"]
        assert done(admin_client, "move", layer="L0", model="up/m0", to="up") == "up/m0 is number 2 of L0 now."
        assert order() == ["m9", "m0", "m8"]

    @pytest.mark.parametrize(
        ("model", "to", "found"), [("up/m9", "up", ["m0", "m9", "m8"]), ("up/m0", "down", ["m8", "m0", "m9"])]
    )
    def test_one_step(self, admin_client, model, to, found):
        assert "of L0 now" in done(admin_client, "move", layer="L0", model=model, to=to)
        assert order() == found

    @pytest.mark.parametrize(
        ("model", "to", "says"), [("up/m0", "up", "the first one"), ("up/m9", "down", "the last one")]
    )
    def test_no_step_beyond_the_ends(self, admin_client, model, to, says):
        assert says in refused(admin_client, "move", layer="L0", model=model, to=to, **shown(admin_client))
        assert order() == ["m0", "m8", "m9"]

    def test_all_of_them_at_once(self, admin_client):
        assert done(admin_client, "order", layer="L0", model=["up/m9", "up/m0", "up/m8"])
        assert order() == ["m9", "m0", "m8"]
        assert AuditEntry.objects.get(action="candidates.reordered").actor == "admin"

    def test_an_order_from_before_somebody_took_one_out_is_refused(self, admin_client):
        was = shown(admin_client)
        Candidate.objects.filter(model__name="m8").delete()
        assert "up/m8" in refused(admin_client, "order", layer="L0", model=["up/m9", "up/m0", "up/m8"], **was)
        assert order() == ["m0", "m9"]

    @pytest.mark.parametrize("htmx", [False, True])
    @pytest.mark.parametrize(
        ("do", "fields"),
        [
            ("order", {"model": ["up/m8", "up/m0", "up/m9"]}), ("move", {"model": "up/m8", "to": "up"}),
            ("move", {"model": "up/m9", "to": "up"}),
        ],
    )  # fmt: skip
    def test_another_one_given_meanwhile_is_not_undone(self, admin_client, do, fields, htmx):
        opened = shown(admin_client)
        done(admin_client, "order", layer="L0", model=["up/m9", "up/m0", "up/m8"])
        answer = sent(admin_client, do, htmx=htmx, layer="L0", **opened, **fields)
        assert (answer.status_code, answer.context_data["mistake"]) == (400, candidate_rows.MEANWHILE)
        assert order() == ["m9", "m0", "m8"]
        assert [one.name for one in answer.context_data["shelves"][0].lines] == ["up/m9", "up/m0", "up/m8"]
        assert done(admin_client, "move", layer="L0", model="up/m0", to="up") == "up/m0 is number 1 of L0 now."

    def test_nor_are_priorities_of_ones_own(self, admin_client):
        opened = shown(admin_client)
        Candidate.objects.filter(layer__name="L0").update(priority=5)
        assert "meanwhile" in refused(admin_client, "move", layer="L0", model="up/m9", to="up", **opened)

    def test_what_is_done_in_other_layers_is_no_matter(self, admin_client):
        opened = shown(admin_client)
        Candidate.objects.filter(layer__name="L1").update(priority=5)
        assert sent(admin_client, "move", layer="L0", model="up/m9", to="up", **opened).status_code == 302

    def test_a_page_that_does_not_say_what_it_showed_changes_nothing(self, admin_client):
        assert "meanwhile" in refused(admin_client, "order", layer="L0", model=["up/m9", "up/m0", "up/m8"])
        assert order() == ["m0", "m8", "m9"]


class TestModelsInLayers:
    def test_one_is_switched_off_and_on(self, admin_client):
        for word, is_on in (("false", False), ("true", True)):
            assert done(admin_client, "switch", layer="L0", model="up/m8", enabled=word)
            assert Candidate.objects.get(model__name="m8").enabled is is_on

    def test_one_is_added_as_the_last(self, admin_client):
        assert done(admin_client, "add", layer="L0", model=" up/m3 ") == "up/m3 is the last one of L0 now."
        assert order() == ["m0", "m8", "m9", "m3"]

    def test_one_is_taken_out(self, admin_client):
        assert done(admin_client, "remove", layer="L0", model="up/m8")
        assert order() == ["m0", "m9"]
        assert Model.objects.filter(name="m8").exists()

    def test_what_was_typed_stays_beside_its_refusal(self, admin_client):
        answer = admin_client.post("/admin/models/", {"do": "add", "layer": "L0", "model": "up/<m7"})
        assert (answer.status_code, answer.content.decode().count('value="up/&lt;m7"')) == (400, 1)

    @pytest.mark.parametrize(
        ("do", "fields", "says"),
        [
            ("add", {"layer": "L0", "model": "up/nothing"}, "There is no model 'up/nothing'"),
            ("add", {"layer": "L0", "model": "up/m8"}, "stands in L0 already"),
            ("add", {"layer": "L9", "model": "up/m8"}, "There is no layer 'L9'"),
            ("add", {"layer": "L\0", "model": "up/m8"}, "There is no layer"),
            ("remove", {"layer": "L1", "model": "up/m8"}, "is not in L1 any more"),
            ("switch", {"layer": "L1", "model": "\0", "enabled": "true"}, "is not in L1 any more"),
            ("explode", {}, "load the page anew"),
            ("add-layer", {"name": "L0"}, "already exists"),
            ("add-layer", {"name": "a b"}, "Use letters"),
            ("add-layer", {"name": ""}, "blank"),
            ("rename-layer", {"layer": "L1", "name": "L0"}, "already exists"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_said(self, admin_client, do, fields, says):
        before = list(Candidate.objects.values()), list(Layer.objects.values())
        assert says in refused(admin_client, do, **fields)
        assert (list(Candidate.objects.values()), list(Layer.objects.values())) == before


class TestLayers:
    def test_one_is_added_above_all(self, admin_client):
        assert "The layer L4 is there" in done(admin_client, "add-layer", name="L4")
        assert Layer.objects.order_by("position").last().name == "L4"

    def test_one_is_renamed(self, admin_client):
        assert done(admin_client, "rename-layer", layer="L2", name="Middle", title="In between")
        row = Layer.objects.get(name="Middle")
        assert (row.title, row.candidates.count()) == ("In between", 1)

    def test_one_is_switched_off(self, admin_client):
        assert done(admin_client, "switch-layer", layer="L3", enabled="false") == "The layer L3 is off."
        assert not Layer.objects.get(name="L3").enabled


class TestByHtmx:
    def test_what_was_done_is_said_on_the_spot(self, admin_client):
        answer = sent(admin_client, "move", htmx=True, layer="L0", model="up/m9", to="up", **shown(admin_client))
        assert (answer.status_code, answer.context_data["said"]) == (200, "up/m9 is number 2 of L0 now.")
        assert [one.name for one in answer.context_data["shelves"][0].lines] == ["up/m0", "up/m9", "up/m8"]

    def test_what_cannot_be_too(self, admin_client):
        answer = sent(admin_client, "move", htmx=True, layer="L0", model="up/m0", to="up", **shown(admin_client))
        assert (answer.status_code, "the first one" in answer.content.decode()) == (400, True)


class TestWhoMay:
    @pytest.fixture
    def person(self, client, ours):
        user = User.objects.create_user("vera", is_staff=True)
        Membership.objects.create(user=user, project=ours.project, role="admin")
        client.force_login(user)
        return user

    def give(self, user, *names):
        for name in names:
            app, codename = name.split(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))

    def test_a_projects_admin_does_not_see_it(self, client, person):
        assert client.get(PAGE).status_code == 403

    def test_who_may_see_changes_nothing(self, client, person):
        self.give(person, "providers.view_model", "routing.view_layer")
        page = client.get(PAGE).content.decode()
        assert "up/m8" in page
        assert "<button" not in page.partition('id="models"')[2]
        for do in ("move", "order", "switch", "add", "remove", "add-layer", "rename-layer", "switch-layer"):
            assert "You lack the permission" in refused(client, do, 403, layer="L0", model="up/m8", to="up", name="x")
        assert order() == ["m0", "m8", "m9"]

    def test_each_change_asks_for_its_own(self, client, person):
        self.give(person, "providers.view_model", "routing.change_candidate")
        assert done(client, "move", layer="L0", model="up/m9", to="up")
        assert "“Can delete candidate”" in refused(client, "remove", 403, layer="L0", model="up/m9")

    def test_nobody_comes_in_unsigned(self, client):
        assert client.post(PAGE, {"do": "switch-layer", "layer": "L0"}).status_code == 302
        assert Layer.objects.get(name="L0").enabled

    def test_a_form_of_another_site_is_refused(self, admin_user):
        from django.test import Client

        strict = Client(enforce_csrf_checks=True)
        strict.force_login(admin_user)
        assert strict.post(PAGE, {"do": "switch-layer", "layer": "L0"}).status_code == 403


def test_its_questions_do_not_grow_with_models(admin_client):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            admin_client.get(PAGE)
        return len(captured)

    before = queries()
    provider, layer = Provider.objects.get(slug="up"), Layer.objects.get(name="L0")
    for number in range(20):
        row = Model.objects.create(provider=provider, name=f"more-{number}")
        Candidate.objects.create(layer=layer, model=row, priority=10 + number)
    assert queries() == before


def test_without_a_layer_it_says_how_to_begin(admin_client):
    Policy.objects.all().delete()
    Layer.objects.all().delete()
    assert "manage.py catalog load" in admin_client.get(PAGE).content.decode()


def test_a_name_holds_no_character_that_cannot_be_kept(admin_client):
    words = refused(admin_client, "rename-layer", layer="L0", name="L0", title="a\0b")
    assert "Use no control characters" in words
    assert admin_client.get("/admin/models/add/", {"provider": "a\0b"}).status_code in (200, 400)
