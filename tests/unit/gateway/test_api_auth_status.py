"""`GET /v1/auth/status`, and what an access token opens: all that its user's session would, without a CSRF token."""

import json

import pytest
from django.contrib.auth.models import User
from django.test import AsyncRequestFactory, Client

from analytics import keys
from analytics.models import AuditEntry, Membership
from gateway.api.authentication import ApiKeyAuthentication, BearerAuthentication
from gateway.api.chat import ChatCompletionsView
from gateway.urls import short_way_views
from routing import snapshot
from tests.unit.gateway.conftest import Asker
from tests.unit.gateway.signing_in import PASSWORD, Api, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("layers")]


@pytest.fixture
def token(api, ann):
    return api.login().json()["access"]


@pytest.fixture
def by_token(token):
    """Asks the management API with ann's token; her browser would ask for a CSRF token."""
    return Asker(Client(enforce_csrf_checks=True), {"Authorization": f"Bearer {token}"})


@pytest.fixture
def superuser(ann):
    User.objects.update(is_superuser=True)


def made_member(user, project, role):
    Membership.objects.create(user=user, project=project, role=role)


class TestStatus:
    def test_nobody_is_no_error(self, api):
        answer = api.status()
        assert (answer.status_code, answer.json()) == (200, {"signed_in": False})
        assert answer.headers["Cache-Control"] == "no-store"

    def test_by_token(self, api, token, ann, ours):
        made_member(ann, ours.project, "viewer")
        told = api.status(token).json()
        assert "T" in told.pop("expires_at")
        user = {"name": "ann", "is_superuser": False, "projects": [{"project": "default", "role": "viewer"}]}
        assert told == {"signed_in": True, "by": "token", "user": user, "api_key": None}

    def test_by_session(self, api, ann, superuser):
        api.client.force_login(ann)
        user = {"name": "ann", "is_superuser": True, "projects": []}
        assert api.status().json() == {"signed_in": True, "by": "session", "user": user, "api_key": None}

    def test_by_api_key(self, api, ours):
        made = keys.create("k", actor="tests", project=ours.project, scopes=["chat", "admin"])
        snapshot.load()
        key = {
            "id": made.row.pk,
            "name": "k",
            "prefix": made.row.prefix,
            "project": "default",
            "scopes": ["admin", "chat"],
            "expires_at": None,
        }
        assert api.status(made.secret).json() == {"signed_in": True, "by": "api_key", "user": None, "api_key": key}

    @pytest.mark.parametrize(
        ("secret", "code"),
        [("agw_unknown", "invalid_api_key"), ("eyJhbGciOi", "invalid_token"), ("a.b.c", "invalid_token")],
    )
    def test_who_sends_what_is_wrong_is_told_what(self, api, secret, code):
        snapshot.load()
        answer = api.status(secret)
        assert refusal(answer) == (401, code)
        assert answer.headers["Cache-Control"] == "no-store"

    def test_a_refresh_token_opens_nothing(self, api, ann):
        assert refusal(api.status(api.login().json()["refresh"])) == (401, "invalid_token")

    def test_it_asks_for_the_user_and_their_projects_alone(self, api, token, django_assert_num_queries):
        with django_assert_num_queries(2):
            api.status(token)

    def test_an_api_key_costs_no_query(self, api, ours, django_assert_num_queries):
        snapshot.load()
        with django_assert_num_queries(0):
            assert api.status(ours.secret).status_code == 200


class TestAuthority:
    """That of the same user's session, no more and no less."""

    def test_without_a_project_nothing_is_managed(self, by_token):
        assert by_token.refused("get", "keys")[::2] == (403, "This is for members of a project.")

    def test_a_projects_admin_manages_it_and_no_other(self, by_token, ann, ours, theirs):
        made_member(ann, ours.project, "admin")
        assert {row["project"] for row in by_token("get", "keys")[1]["data"]} == {"default"}
        assert by_token("patch", f"keys/{theirs.key.pk}", enabled=False)[0] == 404
        assert by_token("patch", f"keys/{ours.key.pk}", enabled=False)[1]["state"] == "disabled"

    def test_a_superuser_manages_all(self, by_token, superuser, ours, theirs):
        assert {row["project"] for row in by_token("get", "keys")[1]["data"]} == {"default", "theirs"}
        assert by_token("post", "projects", slug="lab", name="Lab")[0] == 201

    def test_the_audit_trail_names_the_user_and_where(self, token, superuser, ours):
        body = {"slug": "lab", "name": "Lab"}
        headers = {"Authorization": f"Bearer {token}"}
        Client().post("/v1/admin/projects", body, "application/json", headers=headers, REMOTE_ADDR="192.0.2.9")
        entry = AuditEntry.objects.get(action="project.created", target="lab")
        assert (entry.actor, entry.address) == ("ann", "192.0.2.9")

    @pytest.mark.parametrize(
        "path", ["/v1/models", "/v1/models/layers", "/v1/health/routes", "/v1/requests", "/v1/analytics/usage"]
    )
    def test_what_a_session_reads_a_token_reads_too(self, api, token, ann, path):
        snapshot.load()
        session = Client()
        session.force_login(ann)
        by_session, by_token = session.get(path), api.get(path, token)
        assert (by_session.status_code, by_token.status_code) == (200, 200)

    def test_the_token_counts_before_the_cookie(self, token, admin_user):
        client = Client()
        client.force_login(admin_user)
        assert Api(client).status(token).json()["user"]["name"] == "ann"


class TestKeysAlone:
    """Where requests are paid for, API keys are asked for; on the short way no user is looked up."""

    MESSAGE = "This is a user's access token: this address takes API keys (agw_...) alone."

    @pytest.fixture
    def chat(self, token):
        async def chat():
            headers = {"Authorization": f"Bearer {token}"}
            request = AsyncRequestFactory().post("/v1/chat/completions", "", "application/json", headers=headers)
            answer = await ChatCompletionsView.as_view()(request)
            return answer.status_code, json.loads(answer.content)["error"]

        return chat

    async def test_chat_says_so(self, chat):
        status, error = await chat()
        assert (status, error["code"], error["message"]) == (401, "api_key_required", self.MESSAGE)

    def test_so_does_a_dry_run(self, token):
        headers = {"Authorization": f"Bearer {token}"}
        answer = Client().post("/v1/route", "{}", "application/json", headers=headers)
        assert refusal(answer) == (401, "api_key_required")

    def test_no_address_of_the_short_way_looks_users_up(self):
        classes = [kind for view in short_way_views.values() for kind in view.view_class.authentication_classes]
        assert classes == [ApiKeyAuthentication]
        assert not issubclass(ApiKeyAuthentication, BearerAuthentication)


def test_the_password_opens_no_address(api, ann):
    snapshot.load()
    assert refusal(api.status(PASSWORD.replace(" ", "_"))) == (401, "invalid_api_key")
