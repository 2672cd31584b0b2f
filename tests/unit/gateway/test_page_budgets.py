"""`/admin/budgets/`: budgets with how they stand, and limits, seen and changed; who may, beside a second tenant."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from analytics import budget_rows, keys, standing
from analytics.models import AuditEntry, Budget, Project
from analytics.standing import Standing
from tests.unit.gateway.members import said, signed_in

pytestmark = pytest.mark.django_db
PAGE = "/admin/budgets/"


def make(limit="5", **whose):
    return budget_rows.create(actor="tests", window="day", limit_usd=limit, **whose)


@pytest.fixture
def rows(ours, theirs):
    """A budget of everything there is."""
    return {
        "all": make("500"),
        "ours": make("50", project=ours.project),
        "our key": make("5", api_key=ours.key),
        "theirs": make("60", project=theirs.project),
        "their key": make("6", api_key=theirs.key),
    }


@pytest.fixture
def admin(ours):
    return signed_in("adam", default="admin")


def shelves(client, **query):
    answer = client.get(PAGE, query)
    assert answer.status_code == 200
    return answer.context_data["shelves"]


def seen(client, **query):
    """The limits of the budgets on the page."""
    found = shelves(client, **query)
    bars = [*found.installation, *(bar for shelf in found.projects for bar in shelf.bars)]
    bars += [bar for shelf in found.projects for line in shelf.keys for bar in line.bars]
    return sorted(int(bar.budget.limit_usd) for bar in bars)


def limits(ours, **fields):
    was = {f"was-{name}": "" for name in keys.LIMITS}
    return {"do": "limits", "project": ours.project.slug, **dict.fromkeys(keys.LIMITS, ""), **was, **fields}


class TestSeen:
    def test_a_superuser_sees_all(self, admin_client, rows):
        assert seen(admin_client) == [5, 6, 50, 60, 500]

    @pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
    def test_a_member_the_own_projects_alone(self, ours, rows, role):
        client = signed_in("someone", default=role)
        assert seen(client) == [5, 50]
        assert "The installation" not in client.get(PAGE).content.decode()

    def test_who_belongs_to_no_project_is_refused(self, client, rows):
        client.force_login(User.objects.create_user("staff", is_staff=True))
        assert client.get(PAGE).status_code == 403

    def test_how_they_stand(self, admin, rows, monkeypatch):
        Project.objects.update(time_zone="Europe/Berlin")
        stands = Standing(Decimal(45), Decimal(20), None, datetime(2031, 6, 30, 22, tzinfo=UTC))
        monkeypatch.setattr(standing, "of", lambda found, at: {row.pk: stands for row in found})
        [shelf] = shelves(admin).projects
        [bar] = shelf.bars
        assert (bar.share, round(bar.held_share, 2), bar.level) == (0.9, 0.1, "near")
        assert shelf.keys[0].bars[0].level == "spent"
        page = admin.get(PAGE).content.decode()
        assert "$45.00 spent, $20.00 held, until 2031-07-01 00:00 Europe/Berlin" in page
        assert "90.0 %" in page

    @pytest.mark.parametrize(
        ("limit", "words"),
        [("1000000", "$1,000,000"), ("5000.5", "$5,000.50"), ("0.25", "$0.25"), ("0.0000000015", "$0.0000000015")],
    )
    def test_limits_stand_there_in_full(self, admin, ours, limit, words):
        make(limit, project=ours.project)
        assert f"<strong>{words}</strong> per day" in admin.get(PAGE).content.decode()

    def test_what_nobody_can_tell_is_said(self, admin, rows, monkeypatch):
        monkeypatch.setattr(standing, "of", lambda found, at: {row.pk: Standing() for row in found})
        assert "cannot be told right now" in admin.get(PAGE).content.decode()

    def test_keys_with_limits_stand_beside_their_project(self, admin, ours):
        row = keys.create("limited", actor="tests", tokens_per_minute=10**9).row
        [shelf] = shelves(admin).projects
        assert [(line.key.name, line.limits) for line in shelf.keys] == [("limited", "1,000,000,000 tokens/min")]
        assert f'href="/admin/tokens/{row.pk}/"' in admin.get(PAGE).content.decode()

    def test_one_project_is_chosen(self, admin_client, rows):
        assert seen(admin_client, project="theirs") == [6, 60, 500]

    @pytest.mark.parametrize("slug", ["theirs", "gone"])
    def test_another_project_is_one_there_is_not(self, admin, rows, slug):
        answer = admin.get(PAGE, {"project": slug})
        assert (answer.status_code, answer.context_data["mistake"]) == (400, f"There is no project {slug!r}.")

    def test_more_projects_are_a_page_further(self, admin_client, ours, theirs, monkeypatch):
        monkeypatch.setattr("gateway.pages.budgets.MOST_SHOWN", 1)
        first = admin_client.get(PAGE).context_data
        second = admin_client.get(PAGE + first["older"]).context_data
        assert [one.project.slug for told in (first, second) for one in told["shelves"].projects] == [
            "default",
            "theirs",
        ]
        assert second["older"] == ""

    def test_more_keys_than_are_shown_are_told_of(self, admin, rows, ours, monkeypatch):
        monkeypatch.setattr("gateway.budget_shelves.MOST_KEYS", 1)
        make(api_key=keys.create("second", actor="tests").row)
        assert "choose a project" in admin.get(PAGE).content.decode()
        assert seen(admin) == [5, 50]

    def test_its_questions_do_not_grow(self, admin_client, rows):
        def queries():
            with CaptureQueriesContext(connection) as captured:
                admin_client.get(PAGE)
            return len(captured)

        before = queries()
        for number in range(10):
            project = Project.objects.create(slug=f"p{number}", name="P")
            make(project=project)
            make(api_key=keys.create("k", actor="tests", project=project).row)
        assert queries() == before
        assert before <= 15

    def test_none_yet_says_so(self, admin_client, ours):
        page = admin_client.get(PAGE).content.decode()
        assert "No budget holds for everybody together" in page
        assert "None of its own" in page


class TestSwitched:
    def test_off_and_on(self, admin, rows):
        for word, is_on in (("false", False), ("true", True)):
            answer = admin.post(PAGE, {"do": "switch", "budget": rows["our key"].pk, "enabled": word}, follow=True)
            assert f"for key first is {'on' if is_on else 'off'}" in said(answer)
            assert Budget.objects.get(pk=rows["our key"].pk).enabled is is_on
        assert AuditEntry.objects.filter(action="budget.changed", actor="adam").count() == 2

    def test_not_beside_another_of_its_kind(self, admin, rows, ours):
        budget_rows.edit(rows["ours"], actor="tests", changes={"enabled": False})
        make("70", project=ours.project)
        answer = admin.post(PAGE, {"do": "switch", "budget": rows["ours"].pk, "enabled": "true"})
        assert (answer.status_code, "holds at that time already" in answer.context_data["mistake"]) == (400, True)
        assert not Budget.objects.get(pk=rows["ours"].pk).enabled

    def test_by_htmx_it_is_said_on_the_spot(self, admin, rows):
        sent = {"do": "switch", "budget": rows["ours"].pk, "enabled": "false"}
        answer = admin.post(PAGE, sent, headers={"HX-Request": "true"})
        assert (answer.status_code, "is off" in answer.context_data["said"]) == (200, True)

    @pytest.mark.parametrize("whose", ["all", "theirs", "their key"])
    def test_anothers_does_not_exist(self, admin, rows, whose):
        sent = {"do": "switch", "budget": rows[whose].pk, "enabled": "false"}
        assert admin.post(PAGE, sent).status_code == 404
        assert Budget.objects.get(pk=rows[whose].pk).enabled

    @pytest.mark.parametrize("budget", ["", "x", "9" * 30, "1000000000"])
    def test_nor_one_that_is_not_there(self, admin, rows, budget):
        assert admin.post(PAGE, {"do": "switch", "budget": budget, "enabled": "false"}).status_code == 404

    def test_what_is_not_known_is_refused(self, admin):
        answer = admin.post(PAGE, {"do": "explode"})
        assert (answer.status_code, "load the page anew" in answer.context_data["mistake"]) == (400, True)


class TestLimits:
    def test_of_a_project_are_changed_and_lifted(self, admin, ours):
        answer = admin.post(PAGE, limits(ours, requests_per_minute="600", tokens_per_minute="1000000000"), follow=True)
        assert "The limits of default are changed" in said(answer)
        row = Project.objects.get(pk=ours.project.pk)
        assert (row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests) == (600, 10**9, None)
        admin.post(PAGE, limits(ours, **{"was-requests_per_minute": "600", "was-tokens_per_minute": "1000000000"}))
        assert Project.objects.get(pk=ours.project.pk).tokens_per_minute is None
        assert AuditEntry.objects.filter(action="project.changed", actor="adam").count() == 2

    def test_what_others_changed_meanwhile_stays(self, admin, ours):
        Project.objects.filter(pk=ours.project.pk).update(concurrent_requests=7)
        admin.post(PAGE, limits(ours, requests_per_minute="600"))
        row = Project.objects.get(pk=ours.project.pk)
        assert (row.requests_per_minute, row.concurrent_requests) == (600, 7)

    @pytest.mark.parametrize(
        ("value", "says"), [("many", "Use a whole number"), ("0", "greater than"), ("9" * 30, "less")]
    )
    def test_what_is_wrong_is_said_beside_its_field(self, admin, ours, value, says):
        answer = admin.post(PAGE, limits(ours, tokens_per_minute=value, requests_per_minute="5"))
        assert answer.status_code == 400
        [(_, fields)] = answer.context_data["projects"]
        told = {field.name: (field.value, field.mistake) for field in fields}
        assert told["requests_per_minute"] == ("5", "")
        assert told["tokens_per_minute"][0] == value
        assert says in told["tokens_per_minute"][1]
        assert Project.objects.get(pk=ours.project.pk).requests_per_minute is None

    def test_of_another_project_are_not_there(self, admin, theirs):
        for slug in ("theirs", "gone", "\0"):
            assert admin.post(PAGE, limits(theirs, project=slug, requests_per_minute="1")).status_code == 404
        assert Project.objects.get(slug="theirs").requests_per_minute is None


class TestWhoMay:
    @pytest.mark.parametrize("role", ["viewer", "operator"])
    def test_who_looks_changes_nothing(self, ours, rows, role):
        client = signed_in("someone", default=role)
        page = client.get(PAGE).content.decode().partition('id="budgets"')[2]
        assert "<button" not in page
        assert "new/" not in page
        sent = {"do": "switch", "budget": rows["ours"].pk, "enabled": "false"}
        assert client.post(PAGE, sent).status_code == 403
        assert client.post(PAGE, limits(ours, requests_per_minute="1")).status_code == 403
        assert Budget.objects.get(pk=rows["ours"].pk).enabled
        assert Project.objects.get(pk=ours.project.pk).requests_per_minute is None

    def test_an_admin_of_one_project_looks_at_another(self, rows, ours, theirs):
        client = signed_in("someone", default="viewer", theirs="admin")
        assert [shelf.may_change for shelf in shelves(client).projects] == [False, True]
        assert client.post(PAGE, limits(ours, requests_per_minute="1")).status_code == 403
        assert client.post(PAGE, limits(theirs, requests_per_minute="1")).status_code == 302

    def test_a_form_of_another_site_is_refused(self, admin_user, rows):
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(admin_user)
        assert strict.post(PAGE, {"do": "switch", "budget": rows["all"].pk}).status_code == 403
