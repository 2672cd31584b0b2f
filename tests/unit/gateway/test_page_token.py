"""`/admin/tokens/<id>/`: one key seen, switched, ended, changed, deleted; who may do what, beside a second tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from analytics import budget_rows, keys, ledger
from analytics.models import ApiKey, AuditEntry, Budget, Membership, Project
from tests.unit.analytics.test_ledger import usage_row
from tests.unit.gateway.members import form_of, mistakes, said, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(ours):
    return f"/admin/tokens/{ours.key.pk}/"


@pytest.fixture
def admin(ours):
    """Of our project."""
    return signed_in("adam", default="admin")


@pytest.fixture
def operator(ours):
    return signed_in("otto", default="operator")


@pytest.fixture
def viewer(ours):
    return signed_in("vera", default="viewer")


def done(client, page, do):
    answer = client.post(page, {"do": do}, follow=True)
    assert answer.redirect_chain == [(page, 302)]
    return said(answer)


class TestSeen:
    def test_its_life_is_told(self, viewer, page, ours):
        made = keys.rotate(ours.key, actor="tests")
        told = viewer.get(page).context_data
        assert (told["row"].prefix, told["in_grace"], told["state"]) == (made.row.prefix, True, "active")
        assert told["rotated_at"] is not None
        assert f"{ours.key.prefix}…</code> valid until" in viewer.get(page).content.decode()

    def test_its_usage_comes_from_its_own_requests(self, viewer, page, ours, theirs):
        now = datetime.now(UTC)
        our = {"project_id": ours.project.pk, "key_id": ours.key.pk, "provider": "up", "cost_usd": Decimal("0.5")}
        ledger.insert(
            [
                usage_row(now - timedelta(minutes=5), **our, model="m1"),
                usage_row(now - timedelta(days=9), **our, model="m2"),
                usage_row(now - timedelta(days=50), **our, model="m3"),
                usage_row(now, **our | {"project_id": theirs.project.pk}, model="m4"),
                usage_row(now, **our | {"key_id": theirs.key.pk}, model="m5"),
            ]
        )
        told = viewer.get(page).context_data
        assert (told["usage"].totals.requests, told["usage"].totals.cost_usd) == (2, Decimal(1))
        assert {row.group.label for row in told["usage"].models.rows} == {"up/m1", "up/m2"}
        assert sorted(day.height for day in told["usage"].days)[-3:] == [0.0, 10.0, 10.0]

    def test_a_key_never_used_says_so(self, viewer, page):
        assert "It was not used." in viewer.get(page).content.decode()

    def test_why_it_does_not_work_is_said(self, viewer, page, ours):
        Project.objects.filter(pk=ours.project.pk).update(enabled=False)
        assert "its project default is disabled" in viewer.get(page).content.decode()

    def test_its_budgets_are_on_it_and_those_of_others_not(self, viewer, page, ours, theirs):
        budget_rows.create(actor="tests", api_key=ours.key, window="day", limit_usd="5")
        budget_rows.create(actor="tests", api_key=theirs.key, window="day", limit_usd="6")
        [bar] = viewer.get(page).context_data["bars"]
        assert (bar.budget.limit_usd, bar.does) == (Decimal(5), "refuses")

    def test_what_became_of_it_is_for_admins(self, admin, operator, viewer, page, ours, theirs):
        keys.edit(ours.key, actor="tests", changes={"name": "renamed"})
        keys.rotate(ours.key, actor="tests")
        keys.disable(theirs.key, actor="tests")
        actions = [entry.action for entry, _ in admin.get(page).context_data["entries"]]
        assert actions == ["api_key.rotated", "api_key.changed", "api_key.created"]
        assert [client.get(page).context_data["entries"] for client in (operator, viewer)] == [[], []]

    def test_how_to_use_it_says_where_and_no_key(self, viewer, page, ours):
        told = {one.name: one.code for one in viewer.get(page).context_data["snippets"]}
        assert list(told) == ["curl", "python", "javascript", "environment"]
        assert 'base_url="http://testserver/v1"' in told["python"]
        assert all(f"{ours.key.prefix}..." in code for code in told.values())

    def test_a_key_that_asks_no_models_is_shown_what_it_may(self, admin):
        row = keys.create("steward", actor="tests", scopes=["admin"]).row
        [one] = admin.get(f"/admin/tokens/{row.pk}/").context_data["snippets"]
        assert "http://testserver/v1/admin/keys" in one.code

    def test_names_cannot_write_html(self, admin, page, ours):
        keys.edit(ours.key, actor="tests", changes={"name": "<b>bold</b>"})
        assert "<b>bold" not in admin.get(page).content.decode()

    @pytest.mark.parametrize("below", ["", "change/", "rotate/", "delete/"])
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_another_projects_does_not_exist(self, admin, theirs, below, method):
        for key_id in (theirs.key.pk, 10**9, 10**30):
            assert getattr(admin, method)(f"/admin/tokens/{key_id}/{below}").status_code == 404
        assert ApiKey.objects.filter(pk=theirs.key.pk, enabled=True).exists()

    def test_its_questions_are_few(self, admin, page, ours, django_assert_max_num_queries):
        for window in ("hour", "day", "week", "month"):
            budget_rows.create(actor="tests", api_key=ours.key, window=window, limit_usd="5")
        with django_assert_max_num_queries(30):
            admin.get(page)


class TestSwitched:
    def test_off_and_on(self, operator, page, ours):
        assert "first is disabled" in done(operator, page, "disable")
        assert not ApiKey.objects.get(pk=ours.key.pk).enabled
        assert "first is enabled" in done(operator, page, "enable")
        assert ApiKey.objects.get(pk=ours.key.pk).enabled
        entries = AuditEntry.objects.filter(actor="otto", action__startswith="api_key.").values_list(
            "action", flat=True
        )
        assert sorted(entries) == ["api_key.disabled", "api_key.enabled"]

    def test_ended_now(self, operator, page, ours):
        assert "has expired" in done(operator, page, "expire")
        assert keys.state(ApiKey.objects.get(pk=ours.key.pk)) is keys.State.EXPIRED

    def test_by_htmx_the_page_says_what_was_done(self, operator, page):
        answer = operator.post(page, {"do": "disable"}, headers={"HX-Request": "true"})
        assert (answer.status_code, answer.context_data["state"]) == (200, "disabled")
        assert "first is disabled" in answer.context_data["said"]

    def test_what_is_not_known_is_refused(self, operator, page):
        answer = operator.post(page, {"do": "explode"})
        assert (answer.status_code, "load the page anew" in answer.content.decode()) == (400, True)

    def test_a_viewer_is_refused_and_offered_nothing(self, viewer, page, ours):
        for do in ("enable", "disable", "expire"):
            assert viewer.post(page, {"do": do}).status_code == 403
        assert "<form" not in viewer.get(page).content.decode().partition('id="token"')[2]
        assert keys.state(ApiKey.objects.get(pk=ours.key.pk)) is keys.State.ACTIVE

    @pytest.mark.parametrize("scope", ["admin", "installation"])
    def test_an_operator_leaves_keys_that_may_more(self, operator, scope):
        row = keys.create("steward", actor="tests", scopes=[scope]).row
        at = f"/admin/tokens/{row.pk}/"
        assert operator.post(at, {"do": "disable"}).status_code == 403
        for below in ("change/", "rotate/", "delete/"):
            assert operator.get(at + below).status_code == operator.post(at + below).status_code == 403
        assert "Disable" not in operator.get(at).content.decode()
        assert ApiKey.objects.get(pk=row.pk).enabled

    def test_a_projects_admin_leaves_keys_of_the_installation(self, admin):
        row = keys.create("fitter", actor="tests", scopes=["installation"]).row
        assert admin.post(f"/admin/tokens/{row.pk}/", {"do": "disable"}).status_code == 403

    def test_a_form_of_another_site_is_refused(self, admin_user, page):
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(admin_user)
        assert strict.post(page, {"do": "disable"}).status_code == 403


class TestChanged:
    def change(self, client, page, follow=True, **fields):
        form = form_of(client.get(page + "change/"))
        return client.post(page + "change/", form | fields, follow=follow)

    def test_each_field(self, operator, page, ours, django_user_model):
        Membership.objects.create(user=django_user_model.objects.create_user("bob"), project=ours.project)
        answer = self.change(
            operator, page, name="renamed", owner="bob", scopes=["chat"], expires_at="2031-02-03T04:05",
            allowed_models="gpt-*\r\n\r\n llama/* ", allowed_layers="L0", allowed_endpoints="/v1/chat/*",
            allowed_networks="10.0.0.0/8\r\n2001:db8::/32", requests_per_minute="60", tokens_per_minute="1000000000",
            concurrent_requests="4",
        )  # fmt: skip
        assert "renamed is changed" in said(answer)
        row = ApiKey.objects.get(pk=ours.key.pk)
        assert (row.name, row.owner.username, row.scopes) == ("renamed", "bob", ["chat"])
        assert row.expires_at == datetime(2031, 2, 3, 4, 5, tzinfo=UTC)
        assert (row.allowed_models, row.allowed_layers) == (["gpt-*", "llama/*"], ["L0"])
        assert (row.allowed_endpoints, row.allowed_networks) == (["/v1/chat/*"], ["10.0.0.0/8", "2001:db8::/32"])
        assert (row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests) == (60, 10**9, 4)
        assert AuditEntry.objects.get(action="api_key.changed").actor == "otto"

    def test_nothing_touched_is_nothing_done(self, operator, page, ours):
        moment = timezone.now() + timedelta(days=3)
        keys.edit(ours.key, actor="tests", changes={"expires_at": moment, "scopes": ["usage:own", "chat"]})
        before = AuditEntry.objects.count()
        self.change(operator, page)
        assert AuditEntry.objects.count() == before
        assert ApiKey.objects.get(pk=ours.key.pk).expires_at == moment

    def test_what_others_changed_meanwhile_stays(self, operator, page, ours):
        form = form_of(operator.get(page + "change/"))
        keys.edit(ours.key, actor="tests", changes={"requests_per_minute": 7})
        operator.post(page + "change/", form | {"name": "renamed"})
        row = ApiKey.objects.get(pk=ours.key.pk)
        assert (row.name, row.requests_per_minute) == ("renamed", 7)

    def test_what_is_emptied_is_lifted(self, operator, page, ours):
        keys.edit(ours.key, actor="tests", changes={"requests_per_minute": 7, "allowed_models": ["m1"]})
        self.change(operator, page, requests_per_minute="", allowed_models="")
        row = ApiKey.objects.get(pk=ours.key.pk)
        assert (row.requests_per_minute, row.allowed_models) == (None, [])

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("name", "", "cannot be blank"), ("name", "a\u202eb", "Use no control characters"),
            ("owner", "nobody", "There is no user"), ("owner", "\0", "There is no user"),
            ("project", "gone", "There is no project"), ("project", "", "Choose the project"),
            ("scopes", [], "blank"), ("scopes", ["all"], "Scopes are a list out of"),
            ("scopes", ["chat", "admin"], "Only admins of the project"),
            ("scopes", ["installation"], "Only superusers"),
            ("expires_at", "2020-01-01T00:00", "lies in the past"), ("expires_at", "soon", "Use a date and time"),
            ("expires_at", "2026-99-01T00:00", "Use a date and time"),
            ("allowed_endpoints", "v1", "does not begin with"), ("allowed_networks", "10.0.0.1/8", "10.0.0.0/8"),
            ("requests_per_minute", "1.5", "Use a whole number"), ("requests_per_minute", "0", "greater than or equal"),
            ("tokens_per_minute", "9" * 30, "less than or equal"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said_beside_its_field(self, operator, page, ours, field, value, says):
        answer = self.change(operator, page, follow=False, **{field: value})
        assert answer.status_code == 400
        told = mistakes(answer)
        assert list(told) == [field]
        assert says in told[field]
        assert f'id="wrong-{field}"' in answer.content.decode()
        assert not AuditEntry.objects.filter(action="api_key.changed").exists()

    def test_what_was_typed_is_still_there(self, operator, page):
        answer = self.change(operator, page, follow=False, name="", allowed_models="gpt-*\nx")
        form = form_of(answer)
        assert (form["allowed_models"], form["was-allowed_models"], form["was-name"]) == ("gpt-*\nx", "", "first")

    def test_a_move_says_what_it_means(self, admin_client, page, ours, theirs):
        keys.edit(ours.key, actor="tests", changes={"name": "mover"})
        budget_rows.create(actor="tests", api_key=ours.key, window="day", limit_usd="5")
        assert "Its 1 budget goes with it" in said(self.change(admin_client, page, project="theirs"))
        assert ApiKey.objects.get(pk=ours.key.pk).project == theirs.project

    def test_it_does_not_move_where_one_may_not(self, operator, page, ours, theirs):
        Membership.objects.create(user=User.objects.get(username="otto"), project=theirs.project, role="viewer")
        assert self.change(operator, page, follow=False, project="theirs").status_code == 403
        assert ApiKey.objects.get(pk=ours.key.pk).project == ours.project

    def test_a_pattern_that_matches_nothing_is_told(self, operator, page, layers):
        assert "gtp-*" in said(self.change(operator, page, allowed_models="gtp-*"))

    def test_one_deleted_meanwhile_is_told(self, operator, page, ours, monkeypatch):
        form = form_of(operator.get(page + "change/"))
        monkeypatch.setattr("gateway.pages.finding.key", lambda key_id, found: ours.key)
        ApiKey.objects.filter(pk=ours.key.pk).delete()
        assert operator.post(page + "change/", form | {"name": "x"}).status_code == 404

    def test_a_viewer_is_refused(self, viewer, page):
        assert viewer.get(page + "change/").status_code == viewer.post(page + "change/").status_code == 403


class TestDeleted:
    def test_it_asks_and_names_what_goes(self, admin, page, ours):
        budget_rows.create(actor="tests", api_key=ours.key, window="day", limit_usd="5")
        asked = admin.get(page + "delete/").content.decode()
        assert "The key first goes for good, its 1 budget with it" in asked
        assert "It was never used" in asked
        assert "first is deleted" in said(admin.post(page + "delete/", follow=True))
        assert (ApiKey.objects.count(), Budget.objects.count()) == (0, 0)
        assert AuditEntry.objects.get(action="api_key.deleted").actor == "adam"

    def test_operators_do_not(self, operator, page):
        assert "delete/" not in operator.get(page).content.decode()
        assert operator.get(page + "delete/").status_code == operator.post(page + "delete/").status_code == 403
        assert ApiKey.objects.count() == 1

    def test_an_admin_elsewhere_does_not(self, ours, theirs, page):
        client = signed_in("eve", default="operator", theirs="admin")
        assert client.post(page + "delete/").status_code == 403
        assert ApiKey.objects.filter(pk=ours.key.pk).exists()
