"""`/v1/admin/models`: made, listed, changed, deleted, by their whole name `provider/name`."""

import pytest

from analytics.models import AuditEntry
from providers.models import Model, Price, Provider
from routing import snapshot
from routing.models import Candidate, Layer

pytestmark = pytest.mark.django_db

NEW = {"provider": "up", "name": "acme/large:free"}
ODD_NAMES = ["acme/large:free", "a b", "x/prices", "prices", "candidates", "ü/模型", "50%", "what?"]


@pytest.fixture(autouse=True)
def four_layers(layers):
    return layers


class TestMake:
    def test_the_rest_has_its_usual_value(self, fitter):
        status, made = fitter("post", "models", NEW)
        assert (status, made["object"], made["id"], made["provider"], made["name"]) == (
            201, "model", "up/acme/large:free", "up", "acme/large:free",
        )  # fmt: skip
        assert (made["enabled"], made["kind"], made["capabilities"], made["layers"], made["prices"]) == (
            True, "chat", [], [], [],
        )  # fmt: skip
        assert AuditEntry.objects.get(action="model.created").target == "up/acme/large:free"

    def test_every_field_is_kept(self, fitter):
        given = NEW | {
            "title": "Large", "kind": "embeddings", "enabled": False, "context_tokens": 131_072,
            "max_output_tokens": 8192, "max_input_tokens_per_file": 0, "tools": True, "vision": True,
            "json_schema": True, "audio": True, "reasoning": True, "reasoning_control": "budget",
            "inline_system": False,
        }  # fmt: skip
        made = fitter("post", "models", given)[1]
        assert {name: made[name] for name in given} == given
        assert made["capabilities"] == ["audio", "json_schema", "reasoning", "tools", "vision"]

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_any_name_has_its_address(self, fitter, name):
        made = fitter("post", "models", NEW | {"name": name})[1]
        path = "models/up/" + name.replace("%", "%25").replace("?", "%3F")
        assert fitter("get", path)[1] == made
        assert fitter("patch", path, title="new")[1]["title"] == "new"
        assert fitter("delete", path)[1] == {"id": f"up/{name}", "object": "model", "deleted": True}

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"provider": "nowhere"}, "provider", "There is no provider 'nowhere'"),
            ({"provider": ""}, "provider", "Name the provider"),
            ({"provider": None}, "provider", "Use a text."),
            ({"name": ""}, "name", "blank"),
            ({"name": "m1"}, "name", "up has a model 'm1' already."),
            ({"name": "layers"}, "name", "an address of its own"),
            ({"name": " m9"}, "name", "no space at either end"),
            ({"name": "a\0"}, "name", "no control characters"),
            ({"name": "x" * 201}, "name", "at most 200 characters"),
            ({"kind": "songs"}, "kind", "not a valid choice"),
            ({"context_tokens": 0}, "context_tokens", "Use 1 or more"),
            ({"max_output_tokens": 0}, "max_output_tokens", "Use 1 or more"),
            ({"context_tokens": -1}, "context_tokens", "greater than or equal to"),
            ({"context_tokens": 1.5}, "context_tokens", "Use a whole number."),
            ({"context_tokens": True}, "context_tokens", "Use a whole number."),
            ({"context_tokens": 2**31}, "context_tokens", "Use 2147483647 or less."),
            ({"max_input_tokens_per_file": None}, "max_input_tokens_per_file", "cannot be null"),
            ({"tools": "yes"}, "tools", "Use true or false."),
            ({"reasoning_control": ""}, "reasoning_control", "blank"),
            ({"prices": []}, "prices", "There is no field 'prices'"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, fitter, fields, field, says):
        status, param, words = fitter.refused("post", "models", NEW | fields)
        assert (status, param) == (400, field)
        assert says in words
        assert Model.objects.count() == 4

    def test_what_is_missing_is_named(self, fitter):
        assert fitter.refused("post", "models", name="x")[:2] == (400, "provider")
        assert fitter.refused("post", "models", provider="up")[:2] == (400, "name")


class TestList:
    def ids(self, fitter, query=""):
        return [row["id"] for row in fitter("get", f"models?{query}")[1]["data"]]

    def test_with_layers_and_prices_in_force(self, fitter):
        row = fitter("get", "models?limit=2")[1]["data"][1]
        assert row["id"] == "up/m1"
        assert row["layers"] == [{"layer": "L1", "priority": 0, "relative_cost": None, "weight": None, "enabled": True}]
        prices = {(one["unit"], one["usd"], one["per"], one["in_force"]) for one in row["prices"]}
        assert prices == {("input", "1", "million", True), ("output", "1", "million", True)}

    def test_pages_follow_one_another(self, fitter):
        page = fitter("get", "models?limit=3")[1]
        assert ([row["id"] for row in page["data"]], page["last_id"], page["has_more"]) == (
            ["up/m0", "up/m1", "up/m2"], "up/m2", True,
        )  # fmt: skip
        assert self.ids(fitter, f"after={page['last_id']}") == ["up/m3"]

    def test_some_alone(self, fitter):
        other = Provider.objects.create(slug="ax", name="x", base_url="https://x.example/v1")
        Model.objects.create(provider=other, name="Grand", title="Opus", enabled=False)
        assert self.ids(fitter, "provider=ax") == ["ax/Grand"]
        assert self.ids(fitter, "layer=L2") == ["up/m2"]
        assert self.ids(fitter, "enabled=false") == self.ids(fitter, "q=GRAND") == self.ids(fitter, "q=opus")
        assert self.ids(fitter, "q=up/m&layer=L0") == ["up/m0"]
        assert self.ids(fitter, "provider=nowhere") == []
        assert fitter.refused("get", "models?enabled=1")[:2] == (400, "enabled")
        assert fitter.refused("get", "models?q=%00")[:2] == (400, "q")
        assert fitter.refused("get", "models?sort=id")[:2] == (400, "sort")

    def test_one_in_two_layers_is_listed_once(self, fitter):
        Candidate.objects.create(layer=Layer.objects.get(name="L3"), model=Model.objects.get(name="m0"))
        assert self.ids(fitter) == ["up/m0", "up/m1", "up/m2", "up/m3"]
        layers = fitter("get", "models/up/m0")[1]["layers"]
        assert [one["layer"] for one in layers] == ["L0", "L3"]

    def test_it_takes_as_many_queries_for_many(self, fitter, django_assert_max_num_queries):
        fitter("get", "models")
        with django_assert_max_num_queries(5):  # with the versions of the configuration
            fitter("get", "models")


class TestOne:
    def test_a_change_leaves_what_somebody_else_changed(self, fitter):
        Model.objects.filter(name="m1").update(vision=True)
        told = fitter("patch", "models/up/m1", context_tokens=4096)[1]
        assert (told["context_tokens"], told["vision"], told["tools"]) == (4096, True, True)
        assert fitter("patch", "models/up/m1", context_tokens=None)[1]["context_tokens"] is None

    def test_it_is_in_force_at_once(self, fitter):
        fitter("patch", "models/up/m1", enabled=False)
        snapshot.load()
        assert [row["id"] for row in fitter("get", "/v1/models")[1]["data"]] == ["m0", "m2", "m3"]

    @pytest.mark.parametrize("fields", [{"name": "other"}, {"provider": "up"}])
    def test_whose_it_is_and_its_name_stay(self, fitter, fields):
        words = "This stands in the ledger and cannot be changed: make another model."
        assert fitter.refused("patch", "models/up/m1", fields) == (400, next(iter(fields)), words)

    @pytest.mark.parametrize("method", ["get", "patch", "delete"])
    @pytest.mark.parametrize("path", ["m1", "up", "up/", "up/m9", "nowhere/m1", "up/m1%00"])
    def test_an_unknown_one_is_404(self, fitter, method, path):
        status, answer = fitter(method, f"models/{path}")
        assert (status, answer["error"]["code"]) == (404, "not_found")


class TestDelete:
    def test_while_layers_hold_it_it_stays(self, fitter):
        status, answer = fitter("delete", "models/up/m1")
        assert (status, answer["error"]["code"]) == (409, "model_in_use")
        assert answer["error"]["message"] == "up/m1 stands in L1. Take it out first."
        assert Model.objects.filter(name="m1").exists()

    def test_it_takes_its_prices_along(self, fitter):
        fitter("delete", "layers/L1/candidates/up/m1")
        assert fitter("delete", "models/up/m1")[0] == 200
        assert not Price.objects.filter(model__name="m1").exists()
        assert len(AuditEntry.objects.get(action="model.deleted").before["went_with_it"]["price"]) == 2

    def test_out_of_the_layers_where_that_is_said(self, fitter):
        assert fitter("delete", "models/up/m1?with_candidates=true")[0] == 200
        assert fitter("get", "layers/L1")[1]["candidates"] == []
