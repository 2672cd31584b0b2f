"""`GET /v1/models`, one model, and the layers, as an OpenAI client reads them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from analytics import keys
from analytics.models import ApiKey, Project
from providers.models import Model, Price, Provider
from routing import snapshot
from routing.models import Layer, Policy

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("layers")]

ADDRESSES = ["/v1/models", "/v1/models/m1", "/v1/models/layers"]


@pytest.fixture
def get(client, ours):
    """GET with our key, over the configuration as it stands then."""

    def get(path, *, secret=ours.secret):
        snapshot.load()
        return client.get(path, headers={"Authorization": f"Bearer {secret}"})

    return get


def error(response):
    return response.status_code, response.json()["error"]["code"]


class TestWho:
    @pytest.mark.parametrize("path", ADDRESSES)
    def test_a_parameter_called_format_changes_no_address(self, get, path):
        assert get(f"{path}?format=csv").status_code == 200

    @pytest.mark.parametrize("path", ADDRESSES)
    def test_a_key_may_look(self, get, path):
        assert get(path).status_code == 200

    @pytest.mark.parametrize("path", ADDRESSES)
    def test_so_may_a_key_of_another_project(self, get, theirs, path):
        assert get(path, secret=theirs.secret).status_code == 200

    @pytest.mark.parametrize("path", ADDRESSES)
    def test_so_may_a_signed_in_user(self, client, path):
        snapshot.load()
        client.force_login(User.objects.create_user("ann"))
        assert client.get(path).status_code == 200

    @pytest.mark.parametrize("path", ADDRESSES)
    def test_nobody_else_may(self, client, path):
        snapshot.load()
        response = client.get(path)
        assert error(response) == (401, "not_authenticated")
        assert response["WWW-Authenticate"] == 'Bearer realm="gateway"'

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda: ApiKey.objects.update(enabled=False), "api_key_disabled"),
            (lambda: Project.objects.update(enabled=False), "project_disabled"),
            (lambda: ApiKey.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1)), "api_key_expired"),
            (lambda: ApiKey.objects.all().delete(), "invalid_api_key"),
            (lambda: ApiKey.objects.update(key_hash=keys.digest("another")), "invalid_api_key"),
        ],
    )
    def test_a_key_that_is_no_good_says_why(self, get, change, code):
        change()
        assert error(get("/v1/models")) == (401, code)

    @pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic abc", "agw_nothing", ""])
    def test_a_header_without_a_key_is_none(self, client, header):
        snapshot.load()
        assert error(client.get("/v1/models", headers={"Authorization": header})) == (401, "not_authenticated")

    def test_the_word_bearer_may_be_written_in_any_case(self, client, ours):
        snapshot.load()
        assert client.get("/v1/models", headers={"Authorization": f"bearer  {ours.secret} "}).status_code == 200

    def test_a_key_that_expires_later_still_works(self, get):
        ApiKey.objects.update(expires_at=datetime.now(UTC) + timedelta(hours=1))
        assert get("/v1/models").status_code == 200

    def test_before_the_configuration_is_loaded_it_says_so(self, client, ours):
        response = client.get("/v1/models", headers={"Authorization": f"Bearer {ours.secret}"})
        assert error(response) == (503, "starting")

    def test_looking_makes_no_query(self, get, client, ours, django_assert_num_queries):
        snapshot.load()
        with django_assert_num_queries(0):
            client.get("/v1/models", headers={"Authorization": f"Bearer {ours.secret}"})


class TestList:
    def test_every_model_is_there_once_under_its_own_id(self, get):
        body = get("/v1/models").json()
        assert (body["object"], [model["id"] for model in body["data"]]) == ("list", ["m0", "m1", "m2", "m3"])

    def test_what_is_told_of_a_model(self, get):
        Model.objects.filter(name="m2").update(context_tokens=8192, max_output_tokens=4096, title="Two", vision=True)
        told = get("/v1/models/m2").json()
        assert told == {
            "id": "m2",
            "object": "model",
            "created": int(Model.objects.get(name="m2").created_at.timestamp()),
            "owned_by": "up",
            "title": "Two",
            "layer": "L2",
            "providers": ["up"],
            "context_tokens": 8192,
            "max_output_tokens": 4096,
            "capabilities": ["json_schema", "tools", "vision"],
            "usd_per_million": {"input": "2", "output": "2"},
            "usd_each": {},
        }

    def test_what_is_counted_singly_has_a_price_each(self, get):
        Price.objects.create(model=Model.objects.get(name="m1"), unit="web_search", usd_per_unit="0.01")
        told = get("/v1/models/m1").json()
        assert (told["usd_each"], sorted(told["usd_per_million"])) == ({"web_search": "0.01"}, ["input", "output"])

    def test_prices_are_plain_digits(self, get):
        Price.objects.filter(model__name="m1", unit="input").update(usd_per_unit="0.00000015")
        assert get("/v1/models/m1").json()["usd_per_million"] == {"input": "0.15", "output": "1"}

    def test_a_key_sees_what_it_may_use(self, get):
        ApiKey.objects.update(allowed_models=["m1", "up/m3"])
        assert [model["id"] for model in get("/v1/models").json()["data"]] == ["m1", "m3"]

    def test_a_keys_layers_hide_the_models_of_others(self, get):
        ApiKey.objects.update(allowed_layers=["L0"])
        assert [model["id"] for model in get("/v1/models").json()["data"]] == ["m0"]

    def test_one_id_at_two_providers_is_one_entry(self, get):
        other = Provider.objects.create(slug="other", name="O", dialect="openai", base_url="https://o.test/v1")
        Model.objects.create(provider=other, name="m1")
        told = [model for model in get("/v1/models").json()["data"] if model["id"] == "m1"]
        assert [model["providers"] for model in told] == [["up", "other"]]


class TestOne:
    def test_ids_with_slashes_and_colons_are_found(self, get):
        Model.objects.create(provider=Provider.objects.get(slug="up"), name="meta/llama-3:70b:free")
        for name in ("meta/llama-3:70b:free", "up/meta/llama-3:70b:free"):
            assert get(f"/v1/models/{name}").json()["providers"] == ["up"]

    def test_a_model_outside_every_layer_has_none(self, get):
        Model.objects.create(provider=Provider.objects.get(slug="up"), name="rare")
        assert get("/v1/models/rare").json()["layer"] is None

    def test_an_unknown_one_is_404_with_near_names(self, get):
        response = get("/v1/models/m11")
        assert error(response) == (404, "model_not_found")
        assert "Did you mean" in response.json()["error"]["message"]

    def test_one_the_key_may_not_use_is_as_unknown(self, get):
        ApiKey.objects.update(allowed_models=["m1"])
        assert error(get("/v1/models/m3")) == (404, "model_not_found")


class TestLayers:
    def test_they_come_in_order_with_their_models(self, get):
        body = get("/v1/models/layers").json()
        assert [layer["id"] for layer in body["data"]] == ["L0", "L1", "L2", "L3"]
        assert body["data"][2] == {
            "id": "L2",
            "object": "layer",
            "title": "",
            "from_score": 0.5,
            "models": [{"id": "m2", "provider": "up", "priority": 0, "weight": None}],
        }

    def test_the_default_is_told(self, get):
        Policy.objects.update(default_layer=Layer.objects.get(name="L2"))
        assert get("/v1/models/layers").json()["default"] == "L2"

    def test_a_key_is_told_of_its_own_layers_only(self, get):
        ApiKey.objects.update(allowed_layers=["L0", "L3"])
        told = get("/v1/models/layers").json()
        assert ([layer["id"] for layer in told["data"]], told["default"]) == (["L0", "L3"], None)

    def test_a_key_is_not_told_of_models_it_may_not_use(self, get):
        ApiKey.objects.update(allowed_models=["m1"])
        told = {model["id"] for layer in get("/v1/models/layers").json()["data"] for model in layer["models"]}
        assert told == {"m1"}
