"""Where an API key may be used: from which addresses and for which paths, on both ways in."""

import json
from datetime import timedelta

import pytest
from django.test import AsyncRequestFactory
from django.utils import timezone

from analytics import keys
from analytics.models import ApiKey, Project
from gateway import client_address
from gateway.api.chat import ChatCompletionsView
from routing import snapshot

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("layers")]


@pytest.fixture
def by_django(client, ours):
    """GET /v1/models with our key, or another; gives status and error."""

    def by_django(*, secret=ours.secret, path="/v1/models", **meta):
        snapshot.load()
        answer = client.get(path, headers={"Authorization": f"Bearer {secret}"}, **meta)
        return answer.status_code, answer.json().get("error")

    return by_django


def hold(row, **changes):
    keys.edit(row, actor="tests", changes=changes)


class TestAddresses:
    @pytest.mark.parametrize(
        ("networks", "address", "status"),
        [
            (["192.0.2.0/24"], "192.0.2.7", 200),
            (["192.0.2.7"], "::ffff:192.0.2.7", 200),
            (["::ffff:192.0.2.0/120"], "192.0.2.7", 200),
            (["2001:db8::/32"], "2001:db8::7", 200),
            (["198.51.100.1", "192.0.2.7"], "192.0.2.7", 200),
            ([], "192.0.2.7", 200),
            (["192.0.2.8"], "192.0.2.7", 403),
            (["2001:db8::/32"], "192.0.2.7", 403),
            (["0.0.0.0/0"], "2001:db8::7", 403),
            (["0.0.0.0/0"], "", 403),
        ],
    )
    def test_a_key_works_from_its_networks_alone(self, by_django, ours, networks, address, status):
        hold(ours.key, allowed_networks=networks)
        assert by_django(REMOTE_ADDR=address)[0] == status

    def test_the_refusal_names_the_address_in_openais_shape(self, by_django, ours):
        hold(ours.key, allowed_networks=["192.0.2.0/24"])
        assert by_django(REMOTE_ADDR="::ffff:198.51.100.1")[1] == {
            "message": "This API key may not be used from 198.51.100.1.",
            "type": "permission_error",
            "param": None,
            "code": "address_not_allowed",
        }

    def test_where_there_is_no_address_it_says_so(self, by_django, ours):
        hold(ours.key, allowed_networks=["192.0.2.0/24"])
        status, error = by_django(REMOTE_ADDR="")
        assert (status, error["code"]) == (403, "address_not_allowed")
        assert "is not known" in error["message"]

    def test_a_client_cannot_say_where_it_is(self, by_django, ours):
        hold(ours.key, allowed_networks=["192.0.2.0/24"])
        assert by_django(REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="192.0.2.7")[0] == 403

    def test_a_trusted_proxy_can(self, by_django, ours, settings):
        settings.TRUSTED_PROXIES = client_address.trusted(["127.0.0.1"])
        hold(ours.key, allowed_networks=["192.0.2.0/24"])
        assert by_django(REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="192.0.2.7")[0] == 200
        assert by_django(REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="192.0.2.7, 198.51.100.1")[0] == 403

    def test_a_key_without_a_list_asks_for_no_address(self, by_django, monkeypatch):
        monkeypatch.delattr(client_address, "of")
        assert by_django()[0] == 200


class TestEndpoints:
    @pytest.mark.parametrize(
        ("endpoints", "path", "status"),
        [
            (["/v1/models"], "/v1/models", 200),
            (["/v1/models"], "/v1/models/m1", 403),
            (["/v1/models*"], "/v1/models/m1", 200),
            (["/v1/chat/*", "/v1/models/*"], "/v1/models/m1", 200),
            (["/V1/models"], "/v1/models", 403),
            (["/v1/chat/*"], "/v1/models?/v1/chat/", 403),
            ([], "/v1/models", 200),
        ],
    )
    def test_a_key_works_for_its_paths_alone(self, by_django, ours, endpoints, path, status):
        hold(ours.key, allowed_endpoints=endpoints)
        assert by_django(path=path)[0] == status

    def test_the_refusal_names_the_path_in_openais_shape(self, by_django, ours):
        hold(ours.key, allowed_endpoints=["/v1/chat/*"])
        assert by_django()[1] == {
            "message": "This API key may not be used for /v1/models.",
            "type": "permission_error",
            "param": None,
            "code": "endpoint_not_allowed",
        }


class TestTheShortWay:
    @pytest.fixture
    def chat(self, ours):
        """POST to the view as the short way does it; an allowed one gets as far as its body."""
        snapshot.load()

        async def chat(*, client):
            headers = {"Authorization": f"Bearer {ours.secret}"}
            request = AsyncRequestFactory().post("/v1/chat/completions", "", "application/json", headers=headers)
            request.META["REMOTE_ADDR"] = client
            answer = await ChatCompletionsView.as_view()(request)
            return answer.status_code, json.loads(answer.content)["error"]["code"]

        return chat

    @pytest.fixture
    def held_to_a_network(self, ours):
        hold(ours.key, allowed_networks=["192.0.2.0/24"])

    @pytest.fixture
    def held_to_a_path(self, ours):
        hold(ours.key, allowed_endpoints=["/v1/models"])

    async def test_it_holds_keys_to_their_networks_too(self, held_to_a_network, chat):
        assert await chat(client="198.51.100.1") == (403, "address_not_allowed")
        assert (await chat(client="192.0.2.7"))[0] == 400

    async def test_it_holds_keys_to_their_paths_too(self, held_to_a_path, chat):
        assert await chat(client="192.0.2.7") == (403, "endpoint_not_allowed")


class TestOrder:
    """What is wrong with the key is told before what is wrong with the place."""

    @pytest.fixture(autouse=True)
    def held(self, ours):
        hold(ours.key, allowed_networks=["192.0.2.0/24"], allowed_endpoints=["/v1/chat/*"])

    @pytest.mark.parametrize(
        ("change", "status", "code"),
        [
            (lambda: ApiKey.objects.all().delete(), 401, "invalid_api_key"),
            (lambda: ApiKey.objects.update(enabled=False), 401, "api_key_disabled"),
            (lambda: Project.objects.update(enabled=False), 401, "project_disabled"),
            (lambda: ApiKey.objects.update(expires_at=timezone.now()), 401, "api_key_expired"),
            (lambda: None, 403, "address_not_allowed"),
            (lambda: ApiKey.objects.update(allowed_networks=[]), 403, "endpoint_not_allowed"),
        ],
    )
    def test_each_is_told_in_its_turn(self, by_django, change, status, code):
        change()
        found, error = by_django()
        assert (found, error["code"]) == (status, code)


class TestRotated:
    def test_both_keys_work_within_the_grace_period(self, by_django, ours):
        rotated = keys.rotate(ours.key, actor="tests")
        assert by_django()[0] == by_django(secret=rotated.secret)[0] == 200

    def test_after_it_the_old_one_is_told_that_there_is_a_new_one(self, by_django, ours):
        rotated = keys.rotate(ours.key, actor="tests")
        ApiKey.objects.update(previous_until=timezone.now())
        status, error = by_django()
        assert (status, error["code"]) == (401, "api_key_expired")
        assert error["message"] == "This API key was rotated: use the new one."
        assert by_django(secret=rotated.secret)[0] == 200

    def test_where_the_key_itself_has_ended_both_are_told_that(self, by_django, ours):
        rotated = keys.rotate(ours.key, actor="tests", grace_s=3600)
        ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        for secret in (ours.secret, rotated.secret):
            assert by_django(secret=secret)[1]["message"] == "This API key has expired."
