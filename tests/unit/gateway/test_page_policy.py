"""The content security policy: on every page, and none of it loosened."""

import re

import pytest

from routing import snapshot

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
OURS = [
    f"/admin/{name}/" for name in ("tables", "alerts", "terminal", "tokens", "tokens/new", "budgets", "budgets/new")
]


def directives(answer):
    parts = (part.split() for part in answer["Content-Security-Policy"].split(";"))
    return {name: values for name, *values in parts}


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/alerts/", "/admin/providers/model/", "/nowhere/"])
def test_pages_may_load_and_send_to_us_alone(admin_client, layers, path):
    snapshot.load()
    told = directives(admin_client.get(path))
    assert told["default-src"] == ["'self'"]
    for name in ("script-src", "style-src"):
        assert [value for value in told[name] if not re.fullmatch(r"'nonce-[A-Za-z0-9+/=]{20,}'", value)] == ["'self'"]
    assert told["object-src"] == told["base-uri"] == told["frame-ancestors"] == ["'none'"]
    assert told["form-action"] == ["'self'"]


def test_no_page_has_styles_or_scripts_within(admin_client, layers):
    snapshot.load()
    for path in ("/admin/", *OURS, "/admin/providers/model/"):
        page = admin_client.get(path).content.decode()
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|javascript:", page), path
        assert re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", page) == [], path


def test_the_api_carries_none(client):
    assert "Content-Security-Policy" not in client.get("/v1/models")


class TestPagesOfFailures:
    def test_what_is_not_there_is_said_in_our_look(self, admin_client):
        answer = admin_client.get("/admin/requests/none/")
        assert (answer.status_code, "There is nothing here" in answer.content.decode()) == (404, True)

    def test_what_is_not_allowed_says_what_is_missing(self, client, django_user_model):
        client.force_login(django_user_model.objects.create_user("staff", is_staff=True))
        page = client.get("/admin/models/")
        assert (page.status_code, "“Can view model”" in page.content.decode()) == (403, True)

    def test_a_failure_says_where_to_look(self, admin_client, monkeypatch):
        def fail(*_):
            raise RuntimeError("secret words")

        monkeypatch.setattr("gateway.pages.models.page", fail)
        admin_client.raise_request_exception = False
        answer = admin_client.get("/admin/models/")
        page = answer.content.decode()
        assert (answer.status_code, "The gateway failed at this page" in page, "secret" in page) == (500, True, False)
