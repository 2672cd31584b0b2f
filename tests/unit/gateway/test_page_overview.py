"""`/admin/`: the overview, for a superuser and for members of one project."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics import budget_rows, ledger, standing
from analytics.models import Membership
from analytics.standing import Standing
from routing import snapshot
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db
OPEN_TO_MEMBERS = {
    "Overview", "Requests", "Alerts", "Explorer", "Tokens", "Budgets and limits", "Projects and members", "Terminal",
    "HTTP API",
}  # fmt: skip


def ago(**span):
    return datetime.now(UTC) - timedelta(**span)


@pytest.fixture(autouse=True)
def loaded(layers):
    snapshot.load()


@pytest.fixture
def rows(ours, theirs):
    our = {"project_id": ours.project.pk, "project": "default", "key_id": ours.key.pk}
    their = {"project_id": theirs.project.pk, "project": theirs.project.slug, "key_id": theirs.key.pk}
    shared = {"provider": "up", "model": "m1", "layer": "L1", "input_tokens": 100, "output_tokens": 10}
    failed = {"outcome": "error", "status": 502, "error_kind": "timeout"}
    ledger.insert(
        [
            usage_row(ago(hours=2), **our, **shared, cost_usd=Decimal("0.5"), duration_ms=100.0),
            usage_row(ago(hours=3), **our, **failed, error_message="our provider slept"),
            usage_row(ago(hours=2), **their, **shared | {"model": "m2"}, cost_usd=Decimal("7"), duration_ms=100.0),
            usage_row(ago(hours=4), **their, **failed, error_message="<b>their</b> provider slept"),
            usage_row(ago(hours=30), **our, **shared, cost_usd=Decimal("0.25"), duration_ms=100.0),
        ]
    )


@pytest.fixture
def viewer(client, ours):
    user = User.objects.create_user("vera", password="a password of hers")
    Membership.objects.create(user=user, project=ours.project, role="viewer")
    client.force_login(user)
    return client


def cards(answer):
    return {card.title: card for card in answer.context_data["cards"]}


def test_it_tells_of_the_last_day_beside_the_one_before(admin_client, rows):
    answer = admin_client.get("/admin/")
    told = cards(answer)
    assert answer.status_code == 200
    assert (told["Requests"].value, told["Requests"].note, told["Requests"].change) == ("4", "before: 1", "+300 %")
    assert (told["Cost"].value, told["Cost"].note) == ("$7.50", "before: $0.25")
    assert (told["Tokens"].value, told["Errors"].value) == ("220", "50.0 %")


def test_the_window_is_chosen_by_an_address(admin_client, rows):
    answer = admin_client.get("/admin/?window=7d")
    assert cards(answer)["Requests"].value == "5"
    assert [one.title for one in answer.context_data["windows"] if one.is_chosen] == ["7 days"]


@pytest.mark.parametrize(
    ("query", "says"),
    [("window=5y", "There is no window &#x27;5y&#x27;: use 1h, 24h, 7d, 30d."), ("project=gone", "gone")],
)
def test_what_there_is_not_is_told(admin_client, rows, query, says):
    answer = admin_client.get(f"/admin/?{query}")
    assert answer.status_code == 400
    assert says in answer.content.decode()
    assert cards(answer)["Requests"].value == "4"


def test_charts_have_each_layer_of_each_step(admin_client, rows):
    told = admin_client.get("/admin/").context_data["series"]
    assert told["layers"] == ["L1", "none"]
    assert [sum(row) for row in told["requests"]] == [2, 2]
    assert [sum(row) for row in told["usd"]] == [7.5, 0.0]
    assert len(told["at"]) == len(told["requests"][0]) == len(set(told["at"]))


def test_what_failed_last_is_listed_and_cannot_write_html(admin_client, rows):
    page = admin_client.get("/admin/").content.decode()
    assert "our provider slept" in page
    assert "&lt;b&gt;their&lt;/b&gt; provider slept" in page


class TestBudgets:
    @pytest.fixture
    def spent(self, monkeypatch, ours, theirs):
        """Three budgets of $10: 79 % and 80 % of ours are spent, and all of theirs."""
        told = {
            budget_rows.create(actor="tests", project=project, api_key=None, window=window, limit_usd="10").pk: usd
            for project, window, usd in (
                (ours.project, "day", "7.9"), (ours.project, "month", "8"), (theirs.project, "day", "10.5"),
            )
        }  # fmt: skip
        stands = {number: Standing(Decimal(usd), Decimal(0)) for number, usd in told.items()}
        monkeypatch.setattr(standing, "of", lambda rows: {row.pk: stands[row.pk] for row in rows})

    def shown(self, client, **query):
        found = client.get("/admin/", query).context_data["found"].budgets
        return [(str(one.budget), round(one.share, 3)) for one in found]

    def test_those_near_their_end_are_told_of_the_nearest_first(self, admin_client, spent, theirs):
        slug = theirs.project.slug
        assert self.shown(admin_client) == [
            (f"$10 per day for project {slug}", 1.05),
            ("$10 per month for project default", 0.8),
        ]
        assert self.shown(admin_client, project=slug) == [(f"$10 per day for project {slug}", 1.05)]

    def test_to_members_of_their_project_alone(self, viewer, spent, ours):
        assert self.shown(viewer) == [("$10 per month for project default", 0.8)]


class TestPoints:
    def test_both_charts_have_them_as_a_table(self, admin_client, rows):
        answer = admin_client.get("/admin/")
        points, page = answer.context_data["found"].points, answer.content.decode()
        for label in {point.group.label or "none" for point in points}:
            named = sum((point.group.label or "none") == label for point in points)
            assert page.count(f'</td><td>{label}</td><td class="number">') == 2 * named

    def test_what_they_are_called_is_no_markup(self, admin_client, ours):
        ledger.insert([usage_row(ago(hours=1), project_id=ours.project.pk, model="m", layer="<i>L")])
        page = admin_client.get("/admin/").content.decode()
        assert "<i>L" not in page
        assert "<td>&lt;i&gt;L</td>" in page


class TestAMember:
    def test_sees_the_own_project_alone(self, viewer, rows):
        answer = viewer.get("/admin/")
        page = answer.content.decode()
        assert (cards(answer)["Requests"].value, cards(answer)["Cost"].value) == ("2", "$0.50")
        assert "our provider slept" in page
        assert "&lt;b&gt;their" not in page
        assert "up/m2" not in page

    def test_does_not_learn_of_another_project(self, viewer, rows, theirs):
        told = {}
        for slug in (theirs.project.slug, "gone"):
            answer = viewer.get("/admin/", {"project": slug})
            assert answer.status_code == 400
            told[slug] = answer.context_data["mistakes"][0].replace(slug, "X")
        assert len(set(told.values())) == 1

    def test_is_led_nowhere_that_is_shut(self, viewer, rows):
        links = [link for group in viewer.get("/admin/").context_data["navigation"] for link in group.links]
        assert {link.title for link in links} == OPEN_TO_MEMBERS
        assert {viewer.get(link.url).status_code for link in links} == {200}

    def test_of_no_project_does_not_come_in(self, client, rows):
        client.force_login(User.objects.create_user("nobody"))
        assert client.get("/admin/").status_code == 302


def test_nothing_yet_says_how_to_begin(admin_client):
    page = admin_client.get("/admin/").content.decode()
    assert "No request has come in during the last 24 hours" in page
    assert "http://testserver/v1" in page


def test_a_window_of_one_hour_is_called_an_hour(admin_client):
    page = admin_client.get("/admin/", {"window": "1h"}).content.decode()
    assert "compared with the hour before" in page
    assert "No request has come in during the last hour." in page
    assert "None in the last hour." in page


def test_before_the_configuration_is_loaded_it_says_so(admin_client):
    snapshot.forget()
    answer = admin_client.get("/admin/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "has not been loaded yet" in answer.content.decode()


def test_its_queries_do_not_grow_with_what_there_is(admin_client, rows, ours):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            admin_client.get("/admin/")
        return len(captured)

    before = queries()
    ledger.insert([usage_row(ago(minutes=number), model=f"m{number}") for number in range(1, 30)])
    assert queries() <= before + 1
    assert before <= 40
