"""Pages that answer with a key, this once: `/admin/tokens/new/` and `/admin/tokens/<id>/rotate/`."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from analytics import keys
from analytics.models import ApiKey, AuditEntry, Project
from tests.unit.gateway.members import form_of, mistakes, signed_in

pytestmark = pytest.mark.django_db
NEW = "/admin/tokens/new/"


@pytest.fixture
def operator(ours):
    return signed_in("otto", default="operator")


@pytest.fixture
def rotate(ours):
    return f"/admin/tokens/{ours.key.pk}/rotate/"


def made(answer):
    """The key that an answer shows."""
    assert answer.status_code == 200, mistakes(answer)
    [secret] = set(re.findall(r"agw_[\w-]{43}", answer.content.decode()))
    return secret


class TestNew:
    def make(self, client, **fields):
        return client.post(NEW, form_of(client.get(NEW)) | {"name": "new"} | fields)

    def test_the_key_is_in_this_answer_and_nowhere_else(self, operator):
        answer = self.make(operator)
        secret = made(answer)
        assert "no-store" in answer.headers["Cache-Control"]
        assert secret not in str(answer.headers) + str(answer.cookies)
        row = ApiKey.objects.get(key_hash=keys.digest(secret))
        assert (row.name, row.project.slug, row.scopes) == ("new", "default", ["chat", "usage:own"])
        for page in ("/admin/tokens/", f"/admin/tokens/{row.pk}/", f"/admin/tokens/{row.pk}/change/", NEW):
            assert secret not in operator.get(page).content.decode()
        assert AuditEntry.objects.get(action="api_key.created", target=str(row)).actor == "otto"

    def test_how_to_use_it_is_ready_to_paste(self, operator):
        answer = operator.post(
            NEW, {"name": "new", "project": "default", "scopes": "chat"}, secure=True, HTTP_HOST="localhost:8443"
        )
        secret = made(answer)
        told = {one.name: one.code for one in answer.context_data["snippets"]}
        assert list(told) == ["curl", "python", "javascript", "environment"]
        assert told["curl"].startswith("curl https://localhost:8443/v1/chat/completions")
        assert f'api_key="{secret}"' in told["python"]
        assert f'apiKey: "{secret}"' in told["javascript"]
        assert f'export OPENAI_API_KEY="{secret}"' in told["environment"]

    def test_sent_again_it_shows_no_other(self, operator):
        form = form_of(operator.get(NEW)) | {"name": "new"}
        operator.post(NEW, form)
        answer = operator.post(NEW, form)
        assert (answer.status_code, "already exists in default" in mistakes(answer)["name"]) == (400, True)
        assert ApiKey.objects.filter(name="new").count() == 1

    def test_with_all_it_may_be_held_to(self, operator, layers):
        answer = self.make(
            operator, expires_at="2031-01-01T00:00", allowed_models="gtp-*", allowed_layers="L0\nL1",
            allowed_networks="10.0.0.0/8", tokens_per_minute="5",
        )  # fmt: skip
        row = ApiKey.objects.get(key_hash=keys.digest(made(answer)))
        assert (row.allowed_layers, row.allowed_networks, row.tokens_per_minute) == (["L0", "L1"], ["10.0.0.0/8"], 5)
        assert row.expires_at.year == 2031
        assert "gtp-*" in " ".join(answer.context_data["warnings"])

    def test_all_that_is_wrong_with_names_is_told_at_once(self, operator):
        answer = self.make(operator, name="", project="gone", owner="nobody")
        assert (answer.status_code, set(mistakes(answer))) == (400, {"project", "owner"})

    def test_a_superuser_chooses_among_all(self, admin_client, ours, theirs):
        form = form_of(admin_client.get(NEW))
        assert form["project"] == ""
        answer = self.make(admin_client, project="theirs", scopes=["installation"])
        assert ApiKey.objects.get(key_hash=keys.digest(made(answer))).project == theirs.project

    @pytest.mark.parametrize("role", ["operator", "admin"])
    def test_scopes_that_one_may_not_give_are_not_offered(self, ours, role):
        client = signed_in("someone", default=role)
        [boxes] = [
            field
            for _, fields in client.get(NEW).context_data["groups"]
            for field in fields
            if field.options and field.kind == "boxes"
        ]
        offered = [option.value for option in boxes.options]
        assert offered == ["chat", "usage:own", "usage:project", *(["admin"] if role == "admin" else [])]

    def test_nor_given(self, operator):
        assert "Only admins" in mistakes(self.make(operator, scopes=["admin"]))["scopes"]
        assert ApiKey.objects.count() == 1

    def test_nothing_is_made_in_another_project(self, operator, theirs):
        assert "There is no project" in mistakes(self.make(operator, project="theirs"))["project"]
        assert not ApiKey.objects.filter(name="new").exists()

    def test_a_viewer_makes_none(self, ours):
        viewer = signed_in("vera", default="viewer")
        assert viewer.get(NEW).status_code == viewer.post(NEW, {"name": "x"}).status_code == 403

    def test_nor_does_an_operator_where_he_looks_alone(self, operator, theirs):
        User.objects.get(username="otto").memberships.create(project=theirs.project, role="viewer")
        form = form_of(operator.get(NEW))
        assert form["project"] == "default"
        assert operator.post(NEW, form | {"name": "new", "project": "theirs"}).status_code == 403
        assert Project.objects.get(slug="theirs").api_keys.count() == 1


class TestRotated:
    def send(self, client, page, **fields):
        form = client.get(page).context_data["form"]
        return client.post(page, {"grace_hours": 24, "replaces": form["replaces"].value()} | fields)

    def test_the_new_key_is_shown_once_and_the_old_one_stays_for_a_while(self, operator, rotate, ours):
        answer = self.send(operator, rotate)
        secret = made(answer)
        assert "no-store" in answer.headers["Cache-Control"]
        row = ApiKey.objects.get(pk=ours.key.pk)
        assert (bytes(row.key_hash), row.previous_prefix) == (keys.digest(secret), ours.key.prefix)
        assert timedelta(hours=23) < row.previous_until - timezone.now() < timedelta(hours=25)
        assert f"The old one ({ours.key.prefix}...) stays valid until" in " ".join(answer.context_data["notes"])
        assert AuditEntry.objects.get(action="api_key.rotated").actor == "otto"

    def test_at_once_where_it_leaked(self, operator, rotate, ours):
        answer = self.send(operator, rotate, grace_hours=0)
        assert "is no longer valid" in " ".join(answer.context_data["notes"])
        assert ApiKey.objects.get(pk=ours.key.pk).previous_until is None

    def test_sent_again_it_changes_nothing(self, operator, rotate, ours):
        form = {"grace_hours": 24, "replaces": ours.key.prefix}
        operator.post(rotate, form)
        row = ApiKey.objects.get(pk=ours.key.pk)
        answer = operator.post(rotate, form)
        assert (answer.status_code, "was rotated meanwhile" in answer.content.decode()) == (400, True)
        assert ApiKey.objects.get(pk=ours.key.pk).prefix == row.prefix

    def test_while_another_is_in_grace_it_asks_for_a_tick(self, operator, rotate, ours):
        first = keys.rotate(ours.key, actor="tests").row
        assert f"{ours.key.prefix}…" in operator.get(rotate).content.decode()
        answer = self.send(operator, rotate)
        assert (answer.status_code, "Tick this" in answer.content.decode()) == (400, True)
        assert ApiKey.objects.get(pk=ours.key.pk).prefix == first.prefix
        answer = self.send(operator, rotate, end_previous="on")
        assert f"({ours.key.prefix}...) was still in its grace period" in " ".join(answer.context_data["notes"])
        assert made(answer).startswith(ApiKey.objects.get(pk=ours.key.pk).prefix)

    def test_who_was_slower_is_told(self, operator, rotate, ours, monkeypatch):
        shown = keys.rotate(ours.key, actor="tests").row.prefix
        stale = ApiKey.objects.get(pk=ours.key.pk)
        stale.previous_until = None
        monkeypatch.setattr("gateway.pages.finding.key", lambda key_id, found: stale)
        answer = operator.post(rotate, {"grace_hours": 24, "replaces": shown})
        assert (answer.status_code, "another rotation would end" in answer.content.decode()) == (409, True)
        assert ApiKey.objects.get(pk=ours.key.pk).prefix == shown

    @pytest.mark.parametrize("hours", ["", "-1", "721", "1.5"])
    def test_a_wrong_time_is_refused_beside_it(self, operator, rotate, ours, hours):
        answer = self.send(operator, rotate, grace_hours=hours)
        assert (answer.status_code, 'id="wrong-hours"' in answer.content.decode()) == (400, True)
        assert ApiKey.objects.get(pk=ours.key.pk).prefix == ours.key.prefix

    def test_a_viewer_is_refused(self, ours, rotate):
        viewer = signed_in("vera", default="viewer")
        assert viewer.get(rotate).status_code == viewer.post(rotate).status_code == 403
