"""The addresses of an older system for models, layers and providers: the same rows, rules and permissions."""

import pytest
from django.test import Client

from analytics import keys
from providers.models import Model, Provider
from routing.models import Candidate, Layer
from tests.unit.gateway.conftest import Asker, bearing

pytestmark = pytest.mark.django_db

CHANGES = [
    ("post", "/v1/models"),
    ("put", "/v1/models/up/m1"),
    ("delete", "/v1/models/up/m1"),
    ("put", "/v1/layers/L0/reorder"),
    ("put", "/v1/layers/L0/toggle"),
    ("post", "/v1/providers"),
    ("put", "/v1/providers/up"),
    ("delete", "/v1/providers/up"),
]
LOOKS = [("get", "/v1/providers"), ("get", "/v1/providers/up")]


@pytest.fixture(autouse=True)
def four_layers(layers):
    return layers


def state():
    return [list(table.objects.order_by("pk").values()) for table in (Provider, Model, Layer, Candidate)]


@pytest.mark.parametrize(("method", "path"), CHANGES + LOOKS)
@pytest.mark.parametrize("tenant", ["ours", "theirs"])
def test_nobody_but_who_may_at_the_new_ones(request, tenant, method, path):
    before, project = state(), request.getfixturevalue(tenant).project
    for scopes in (["chat"], ["admin"]):
        made = keys.create(scopes[0], actor="tests", project=project, scopes=scopes)
        refused = bearing(made.secret).refused(method, path)
        assert refused == (403, None, "This API key lacks the scope 'installation'.")
    assert Asker(Client())(method, path)[0] == 401
    assert state() == before


def test_looking_at_models_stays_as_it_is(ours):
    for path in ("/v1/models", "/v1/models/m1", "/v1/models/up/m1", "/v1/models/layers"):
        status, answer = bearing(ours.secret)("get", path)
        assert (status, "capabilities" in answer or "data" in answer) == (200, True)
    assert bearing(ours.secret)("patch", "/v1/models/up/m1")[0] == 403


class TestModels:
    def test_made_changed_deleted(self, fitter):
        status, made = fitter("post", "/v1/models", provider="up", name="a/b:c")
        assert (status, made["id"]) == (201, "up/a/b:c")
        assert fitter("put", "/v1/models/up/a/b:c", title="B")[1] == fitter("get", "models/up/a/b:c")[1]
        assert fitter("get", "models/up/a/b:c")[1]["title"] == "B"
        assert fitter("delete", "/v1/models/a/b:c")[1] == {"id": "up/a/b:c", "object": "model", "deleted": True}

    def test_without_its_provider_where_one_has_it(self, fitter):
        assert fitter("put", "/v1/models/m1", vision=True)[1]["vision"] is True
        other = Provider.objects.create(slug="ax", name="x", base_url="https://x.example/v1")
        Model.objects.create(provider=other, name="m1")
        words = "Several providers have 'm1': say which, as in ax/m1 or up/m1."
        assert fitter.refused("put", "/v1/models/m1", vision=False) == (400, "id", words)
        assert fitter.refused("delete", "/v1/models/m9")[::2] == (404, "There is no model 'm9'.")

    def test_one_in_a_layer_stays(self, fitter):
        assert fitter("delete", "/v1/models/m1")[0] == 409
        assert fitter("delete", "/v1/models/m1?with_candidates=true")[0] == 200

    def test_the_layers_are_no_model(self, fitter):
        assert fitter("put", "/v1/models/layers", title="x")[0] == 405


class TestLayers:
    def test_the_order_of_its_models(self, fitter):
        second = Model.objects.create(provider=Provider.objects.get(), name="second")
        Candidate.objects.create(layer=Layer.objects.get(name="L0"), model=second)
        status, answer = fitter("put", "/v1/layers/L0/reorder", models=["up/second", "up/m0"])
        assert (status, [one["model"] for one in answer["data"]]) == (200, ["up/second", "up/m0"])
        assert fitter.refused("put", "/v1/layers/L0/reorder", models=["up/m0"])[:2] == (400, "models")
        assert fitter("get", "/v1/layers/L0/reorder")[0] == 405

    def test_it_is_switched(self, fitter):
        found = [fitter("put", "/v1/layers/L0/toggle", body)[1]["enabled"]
                 for body in (None, None, {"enabled": False}, {"enabled": False}, {"enabled": True})]  # fmt: skip
        assert found == [False, True, False, False, True]
        assert fitter.refused("put", "/v1/layers/L0/toggle", enabled=1)[:2] == (400, "enabled")
        assert fitter("put", "/v1/layers/L9/toggle")[0] == 404


def test_providers(fitter):
    made = fitter("post", "/v1/providers", slug="groq", base_url="https://groq.example/v1")
    assert (made[0], [row["slug"] for row in fitter("get", "/v1/providers")[1]["data"]]) == (201, ["groq", "up"])
    assert fitter("put", "/v1/providers/groq", enabled=False)[1] == fitter("get", "/v1/providers/groq")[1]
    assert fitter("get", "providers/groq")[1]["enabled"] is False
    assert fitter.refused("put", "/v1/providers/groq", base_url="http://10.0.0.1/v1")[:2] == (400, "base_url")
    assert fitter("patch", "/v1/providers/groq", enabled=True)[0] == 405
    assert fitter("delete", "/v1/providers/groq")[0] == 200
