"""`POST /v1/route`: what would happen to a chat request, without calling anyone."""

import pytest

from analytics.models import ApiKey, UsageRecord
from providers.models import Model
from routing import snapshot
from routing.models import Layer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("layers")]

HELLO = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def post(client, ours):
    """POST with our key, over the configuration as it stands then."""

    def post(body=None, *, secret=ours.secret, **headers):
        snapshot.load()
        return client.post(
            "/v1/route",
            HELLO if body is None else body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"} | headers,
        )

    return post


def error(response):
    return response.status_code, response.json()["error"]["code"]


def models(response):
    return [attempt["model"] for attempt in response.json()["attempts"]]


class TestDecision:
    def test_a_greeting_enters_at_the_bottom_and_may_go_up(self, post):
        response = post()
        body = response.json()
        assert (response.status_code, body["entry"], models(response)) == (200, "L0", ["m0", "m1", "m2", "m3"])
        assert (body["dropped"], body["warnings"], body["capabilities"]) == ([], [], [])
        assert 0 <= body["score"] < 0.25
        assert "score" in body["entry_reason"]

    def test_the_score_is_the_sum_of_reasons_with_names(self, post):
        reasons = post(HELLO | {"messages": [{"role": "user", "content": "Prove it, step by step."}]}).json()["reasons"]
        assert reasons
        assert all(set(reason) == {"name", "points"} for reason in reasons)

    def test_each_attempt_says_what_it_may_cost(self, post):
        attempts = post(HELLO | {"model": "L2", "max_tokens": 1000}).json()["attempts"]
        assert attempts[0] | {"cost_usd_at_most": ""} == {
            "model": "m2",
            "provider": "up",
            "layer": "L2",
            "priority": 0,
            "cost_usd_at_most": "",
        }
        assert 0.002 < float(attempts[0]["cost_usd_at_most"]) < 0.0021

    def test_a_free_model_costs_nothing(self, post):
        assert post().json()["attempts"][0]["cost_usd_at_most"] == "0"

    def test_what_is_dropped_says_why(self, post):
        Model.objects.filter(name="m2").update(tools=False)
        body = post(HELLO | {"model": "auto:L2", "tools": [{"type": "function"}]}).json()
        assert {entry["model"]: entry["reason"] for entry in body["dropped"]} == {
            "up/m0": "below the entry layer",
            "up/m1": "below the entry layer",
            "up/m2": "lacks a capability the request needs",
        }

    def test_headers_count_as_in_a_live_request(self, post):
        response = post(HELLO | {"model": "m3"}, **{"X-Gateway-Layer": "=L1"})
        assert models(response) == ["m1"]
        assert response.json()["warnings"] == ["model m3 was not used: X-Gateway-Layer decides"]

    def test_a_cost_ceiling_counts_too(self, post):
        assert models(post(**{"X-Gateway-Max-Cost": "0.005"})) == ["m0", "m1"]

    def test_an_exact_model_has_no_entry(self, post):
        response = post(HELLO | {"model": "m3"})
        assert (response.json()["entry"], models(response)) == (None, ["m3"])

    def test_nothing_to_try_is_an_answer_here(self, post):
        ApiKey.objects.update(allowed_layers=["gold"])
        response = post()
        body = response.json()
        assert (response.status_code, body["attempts"], body["dropped"]) == (200, [], [])
        assert body["dropped_not_allowed"] == 4

    def test_models_the_key_may_not_use_are_counted_not_named(self, post):
        ApiKey.objects.update(allowed_models=["m1", "up/m2"], allowed_layers=["L0", "L1", "L2"])
        Model.objects.filter(name="m2").update(tools=False)
        body = post(HELLO | {"model": "auto:L2", "tools": [{"type": "function"}]}).json()
        assert [entry["model"] for entry in body["dropped"]] == ["up/m1", "up/m2"]
        assert body["dropped_not_allowed"] == 2
        assert not any(name in str(body) for name in ("m0", "m3", "L3"))

    def test_a_layer_that_was_not_entered_hides_its_models_too(self, post):
        ApiKey.objects.update(allowed_layers=["L2"])
        body = post(HELLO | {"model": "L2"}).json()
        assert (body["dropped"], body["dropped_not_allowed"], [a["model"] for a in body["attempts"]]) == ([], 3, ["m2"])

    def test_a_key_that_may_use_all_is_told_all(self, post):
        body = post(HELLO | {"model": "L3"}).json()
        assert ([entry["model"] for entry in body["dropped"]], body["dropped_not_allowed"]) == (
            ["up/m0", "up/m1", "up/m2"],
            0,
        )

    def test_the_model_may_be_left_out(self, post):
        assert post({"messages": HELLO["messages"]}).json()["entry"] == "L0"

    def test_nothing_is_called_recorded_or_queried(self, client, ours, django_assert_num_queries):
        snapshot.load()
        with django_assert_num_queries(0):
            headers = {"Authorization": f"Bearer {ours.secret}"}
            client.post("/v1/route", HELLO, content_type="application/json", headers=headers)
        assert not UsageRecord.objects.exists()


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "headers", "told"),
        [
            (HELLO | {"messages": []}, {}, (400, None, "messages")),
            (HELLO | {"model": "nobody"}, {}, (404, "model_not_found", "model")),
            (HELLO | {"model": "auto:L9"}, {}, (400, "unknown_layer", "model")),
            (HELLO, {"X-Gateway-Layer": "L9"}, (400, "unknown_layer", "X-Gateway-Layer")),
            (HELLO, {"X-Gateway-Layer": "="}, (400, None, "X-Gateway-Layer")),
            (HELLO, {"X-Gateway-Max-Cost": "free"}, (400, None, "X-Gateway-Max-Cost")),
            (HELLO, {"X-Gateway-Max-Attempts": "0"}, (400, None, "X-Gateway-Max-Attempts")),
        ],
    )
    def test_a_bad_request_is_told(self, post, body, headers, told):
        response = post(body, **headers)
        assert (*error(response), response.json()["error"]["param"]) == told

    def test_a_key_without_the_scope_may_not(self, post):
        ApiKey.objects.update(scopes=["usage:own"])
        assert error(post()) == (403, "permission_denied")

    def test_without_a_key_it_is_401(self, client):
        snapshot.load()
        assert error(client.post("/v1/route", HELLO, content_type="application/json")) == (401, "not_authenticated")

    def test_an_unknown_key_is_401(self, post):
        assert error(post(secret="agw_unknown")) == (401, "invalid_api_key")

    def test_another_method_is_told_which_are_allowed(self, client, ours):
        snapshot.load()
        response = client.get("/v1/route", headers={"Authorization": f"Bearer {ours.secret}"})
        assert error(response) == (405, "method_not_allowed")
        assert "POST" in response["Allow"]

    def test_their_key_is_held_to_its_own_limits(self, post, theirs):
        ApiKey.objects.filter(pk=theirs.key.pk).update(allowed_layers=["L0"])
        assert models(post(secret=theirs.secret)) == ["m0"]
        assert models(post()) == ["m0", "m1", "m2", "m3"]


class TestBounds:
    def test_what_it_may_take_is_told(self, post):
        body = post().json()
        assert (body["max_attempts"], body["deadline_s"]) == (6, 600.0)

    def test_the_layer_entered_says_it_and_headers_lower_it(self, post):
        Layer.objects.filter(name="L2").update(max_attempts=3, deadline_s=20)
        wishes = {"X-Gateway-Max-Attempts": "9", "X-Gateway-Timeout-Ms": "1500"}
        body = post(HELLO | {"model": "L2"}, **wishes).json()
        assert (body["max_attempts"], body["deadline_s"]) == (3, 1.5)
