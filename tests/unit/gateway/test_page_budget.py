"""`/admin/budgets/new/` and `/admin/budgets/<id>/`: budgets made, changed, deleted; who may, beside a second tenant."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from analytics import budget_rows
from analytics.models import AuditEntry, Budget
from tests.unit.gateway.members import form_of, mistakes, said, signed_in

pytestmark = pytest.mark.django_db
NEW = "/admin/budgets/new/"


@pytest.fixture
def admin(ours):
    return signed_in("adam", default="admin")


@pytest.fixture
def row(ours):
    return budget_rows.create(actor="tests", project=ours.project, window="day", limit_usd="12.50")


def form(client, path=NEW, **fields):
    return form_of(client.get(path)) | fields


def made(client, **fields):
    answer = client.post(NEW, form(client, **fields), follow=True)
    assert "holds: in every process" in said(answer), mistakes(answer)
    return Budget.objects.latest("pk")


class TestNew:
    def test_of_a_project(self, admin, layers):
        row = made(
            admin, whose="project:default", limit_usd="0.25", window="hour", action="degrade", layer="L0",
            near_edge="deny", severity="critical", starts_at="2031-01-01T00:00", ends_at="2032-01-01T00:00",
        )  # fmt: skip
        assert (row.project.slug, row.limit_usd, row.window) == ("default", Decimal("0.25"), "hour")
        assert (row.action, row.layer, row.near_edge, row.severity) == ("degrade", "L0", "deny", "critical")
        assert (row.starts_at, row.ends_at) == (datetime(2031, 1, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC))
        assert AuditEntry.objects.get(action="budget.created").actor == "adam"

    def test_of_a_token_from_its_page(self, admin, ours):
        at = f"{NEW}?whose=key:{ours.key.pk}"
        assert at.replace(":", "%3A") in admin.get(f"/admin/tokens/{ours.key.pk}/").content.decode().replace(":", "%3A")
        answer = admin.post(NEW, form(admin, at, limit_usd="5"), follow=True)
        assert answer.redirect_chain == [("/admin/budgets/?project=default", 302)]
        assert Budget.objects.get().api_key == ours.key

    def test_of_the_installation(self, admin_client, ours):
        row = made(admin_client, whose="installation", limit_usd="1000000")
        assert (row.project, row.api_key, row.limit_usd) == (None, None, Decimal(10**6))

    def test_one_who_may_for_one_project_alone_is_offered_that(self, admin, theirs):
        [whose] = [
            field for _, fields in admin.get(NEW).context_data["groups"] for field in fields if field.name == "whose"
        ]
        assert [option.value for option in whose.options] == ["", "project:default"]

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("limit_usd", "", "Use an amount in US dollars"), ("limit_usd", "much", "Use an amount in US dollars"),
            ("limit_usd", "NaN", "Use an amount in US dollars"), ("limit_usd", "0", "Use more than 0 US dollars."),
            ("limit_usd", "1000000000", "Use at most 1,000,000"), ("limit_usd", "0.00000000001", "ten digits"),
            ("window", "a\0b", "Use no control"), ("action", "a\0b", "Use no control"),
            ("layer", "\0", "Use no control"), ("limit_usd", "5\0", "Use no control"),
            ("starts_at", "\0", "Use no control"),
            ("window", "year", "is not a window"), ("action", "explode", "is not an action"),
            ("layer", "L0", "Only a budget that degrades"), ("severity", "mild", "is not a severity"),
            ("near_edge", "jump", "near the edge"), ("ends_at", "2020-01-01T00:00", "lies in the past"),
            ("ends_at", "2400-01-01T00:00", "between 2000 and 2199"), ("starts_at", "soon", "invalid format"),
            ("whose", "", "Say whose"), ("whose", "project:gone", "Say whose"), ("whose", "project:\0", "Say whose"),
            ("whose", "key:x", "Say whose"), ("whose", "key:1000000000", "Say whose"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said_beside_its_field(self, admin, field, value, says):
        answer = admin.post(NEW, form(admin, whose="project:default", limit_usd="5") | {field: value})
        assert answer.status_code == 400
        told = mistakes(answer)
        assert list(told) == [field]
        assert says in told[field]
        assert not Budget.objects.exists()

    def test_a_layer_to_degrade_to_is_one_there_is(self, admin, layers):
        sent = form(admin, whose="project:default", limit_usd="5", action="degrade")
        assert "Name the layer" in mistakes(admin.post(NEW, sent))["layer"]
        assert "L9" in mistakes(admin.post(NEW, sent | {"layer": "L9"}))["layer"]

    def test_not_twice(self, admin, row):
        answer = admin.post(NEW, form(admin, whose="project:default", limit_usd="5", window="day"))
        assert "holds at that time already" in mistakes(answer)["starts_at"]
        assert Budget.objects.count() == 1

    def test_another_projects_is_none_one_can_name(self, admin, theirs):
        for whose in ("project:theirs", f"key:{theirs.key.pk}"):
            answer = admin.post(NEW, form(admin, limit_usd="5") | {"whose": whose})
            assert (answer.status_code, "Say whose" in mistakes(answer)["whose"]) == (400, True)
        page = admin.get(f"{NEW}?whose=key:{theirs.key.pk}").content.decode()
        assert "of theirs" not in page

    def test_the_installations_is_for_superusers(self, admin):
        assert admin.post(NEW, form(admin, limit_usd="5") | {"whose": "installation"}).status_code == 403
        assert not Budget.objects.exists()

    def test_who_is_admin_nowhere_is_refused(self, ours):
        operator = signed_in("otto", default="operator")
        sent = {"whose": "project:default", "limit_usd": "5", "window": "day"}
        assert operator.get(NEW).status_code == operator.post(NEW, sent).status_code == 403

    def test_who_is_admin_elsewhere_too(self, ours, theirs):
        client = signed_in("eve", default="viewer", theirs="admin")
        for whose in ("project:default", f"key:{ours.key.pk}"):
            assert client.post(NEW, form(client, limit_usd="5") | {"whose": whose}).status_code == 403
        assert not Budget.objects.exists()


class TestChanged:
    def change(self, client, row, **fields):
        path = f"/admin/budgets/{row.pk}/"
        return client.post(path, form(client, path) | fields, follow=True)

    def test_each_field(self, admin, row, layers):
        answer = self.change(
            admin, row, limit_usd="99.9999999999", action="degrade", layer="L0", near_edge="deny", severity="info",
            ends_at="2031-01-01T00:00",
        )  # fmt: skip
        assert "changed" in said(answer)
        row.refresh_from_db()
        assert (row.limit_usd, row.action, row.layer) == (Decimal("99.9999999999"), "degrade", "L0")
        assert (row.near_edge, row.severity, row.ends_at.year) == ("deny", "info", 2031)
        assert AuditEntry.objects.get(action="budget.changed").actor == "adam"

    def test_nothing_touched_is_nothing_done(self, admin, row):
        self.change(admin, row)
        assert not AuditEntry.objects.filter(action="budget.changed").exists()

    def test_what_others_changed_meanwhile_stays(self, admin, row):
        sent = form(admin, f"/admin/budgets/{row.pk}/")
        budget_rows.edit(row, actor="tests", changes={"limit_usd": "7"})
        admin.post(f"/admin/budgets/{row.pk}/", sent | {"severity": "info"})
        row.refresh_from_db()
        assert (row.limit_usd, row.severity) == (Decimal(7), "info")

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("limit_usd", "-1", "more than 0"),
            ("limit_usd", "", "Use an amount"),
            ("layer", "L0", "Only a budget"),
            ("severity", "a\0b", "Use no control"),
        ],
    )
    def test_what_is_wrong_is_said_beside_its_field(self, admin, row, field, value, says):
        answer = self.change(admin, row, **{field: value})
        assert (answer.status_code, list(mistakes(answer))) == (400, [field])
        assert says in mistakes(answer)[field]
        assert form_of(answer)[field] == value
        row.refresh_from_db()
        assert row.limit_usd == Decimal("12.5")


class TestDeleted:
    def test_it_asks_first(self, admin, row):
        path = f"/admin/budgets/{row.pk}/delete/"
        assert "$12.5 per day for project default goes for good" in admin.get(path).content.decode()
        assert "is deleted" in said(admin.post(path, follow=True))
        assert not Budget.objects.exists()
        assert AuditEntry.objects.get(action="budget.deleted").actor == "adam"


@pytest.mark.parametrize("below", ["", "delete/"])
class TestWhoMay:
    def test_another_projects_does_not_exist(self, row, theirs, below):
        client = signed_in("eve", theirs="admin")
        for number in (row.pk, 10**9, 10**30):
            path = f"/admin/budgets/{number}/{below}"
            assert client.get(path).status_code == client.post(path).status_code == 404
        assert Budget.objects.exists()

    def test_the_installations_is_for_superusers(self, admin, admin_client, below):
        whole = budget_rows.create(actor="tests", window="day", limit_usd="5")
        path = f"/admin/budgets/{whole.pk}/{below}"
        assert (admin.get(path).status_code, admin_client.get(path).status_code) == (404, 200)

    @pytest.mark.parametrize("role", ["viewer", "operator"])
    def test_who_looks_changes_nothing(self, row, below, role):
        client = signed_in("someone", default=role)
        path = f"/admin/budgets/{row.pk}/{below}"
        assert client.get(path).status_code == client.post(path).status_code == 403
        assert Budget.objects.exists()
