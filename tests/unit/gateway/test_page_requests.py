"""`/admin/requests/`: search, and the story of one; beside a second tenant."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from django.contrib.auth.models import User

from analytics import ids, ledger
from analytics.models import Membership, UsageRecord
from routing import snapshot
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db
LIST = "/admin/requests/"


@pytest.fixture(autouse=True)
def loaded(layers):
    snapshot.load()


def ago(**span):
    return datetime.now(UTC) - timedelta(**span)


@pytest.fixture
def rows(ours, theirs):
    our = {"project_id": ours.project.pk, "project": "default", "key_id": ours.key.pk, "key_name": "first"}
    their = {"project_id": theirs.project.pk, "project": theirs.project.slug, "key_id": theirs.key.pk}
    failed = {"outcome": "error", "status": 502, "error_kind": "timeout"}
    made = [
        usage_row(ago(hours=1), **our, provider="up", model="m1", layer="L1", cost_usd=Decimal("0.5")),
        usage_row(ago(hours=2), **our, **failed, error_message="<i>slept</i>"),
        usage_row(ago(hours=3), **their, provider="up", model="m2", layer="L2", cost_usd=Decimal("2")),
        usage_row(ago(hours=30), **our, provider="up", model="m0", layer="L0"),
    ]
    ledger.insert(made)
    return [ids.new() if row is None else row.id for row in made]


@pytest.fixture
def viewer(client, ours):
    user = User.objects.create_user("vera")
    Membership.objects.create(user=user, project=ours.project, role="viewer")
    client.force_login(user)
    return client


def shown(client, **query):
    answer = client.get(LIST, query)
    assert answer.status_code == 200, answer.context_data["fields"]
    return [row.pk for row in answer.context_data["rows"]]


class TestSearch:
    def test_it_shows_the_last_day_newest_first(self, admin_client, rows):
        assert shown(admin_client) == rows[:3]

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"since": "2d"}, [0, 1, 2, 3]), ({"layer": "L1"}, [0]), ({"model": "up/m2"}, [2]),
            ({"error": "SLEPT"}, [1]), ({"cost_over": "0.4"}, [0, 2]), ({"outcome": "error"}, [1]),
            ({"status": "5xx"}, [1]),
            ({"key": "first", "since": "90m"}, [0]), ({"since": " ", "layer": ""}, [0, 1, 2]),
            ({"session": "none"}, []),
        ],
    )  # fmt: skip
    def test_it_is_narrowed_by_each_field(self, admin_client, rows, query, found):
        assert shown(admin_client, **query) == [rows[number] for number in found]

    @pytest.mark.parametrize(
        ("query", "field", "says"),
        [
            ({"since": "nonsense"}, "since", "is no time"), ({"cost_over": "much"}, "cost_over", "Use an amount"),
            ({"project": "gone"}, "project", "gone"), ({"status": "9xx"}, "status", "Use 2xx"),
            ({"since": "40d"}, "since", "31 days at a time"),
            ({"session": "a\0b"}, "session", "no control"), ({"error": "a\0b"}, "error", "no control"),
            ({"project": "a\0b"}, "project", "no control"), ({"cost_over": "\0"}, "cost_over", "Use an amount"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said_beside_its_field(self, admin_client, rows, query, field, says):
        answer = admin_client.get(LIST, query)
        assert answer.status_code == 400
        told = {one.name: (one.mistake, one.value) for one in answer.context_data["fields"] if one.mistake}
        assert list(told) == [field]
        assert says in told[field][0]
        assert told[field][1] == query[field]
        assert f'id="wrong-{field}"' in answer.content.decode()

    def test_a_mark_of_a_page_that_is_none_is_told(self, admin_client, rows):
        answer = admin_client.get(LIST, {"after": "here"})
        assert (answer.status_code, "the page before" in answer.content.decode()) == (400, True)

    def test_older_ones_are_a_page_further(self, admin_client, rows, monkeypatch):
        monkeypatch.setattr("gateway.pages.requests.MOST_SHOWN", 2)
        first = admin_client.get(LIST, {"since": "2d", "live": "1"}).context_data
        second = admin_client.get(LIST + first["older"]).context_data
        assert [row.pk for page in (first, second) for row in page["rows"]] == rows
        assert (first["is_live"], second["is_live"], second["older"], second["newest"]) == (
            True,
            False,
            "",
            "?since=2d",
        )

    def test_what_was_searched_for_stays_in_its_links(self, admin_client, rows):
        told = admin_client.get(LIST, {"layer": "L1", "error": "a&b"}).context_data
        assert (told["live"], told["still"]) == ("?layer=L1&error=a%26b&live=1", "?layer=L1&error=a%26b")
        csv = admin_client.get(f"/v1/requests?{admin_client.get(LIST, {'layer': 'L1'}).context_data['csv']}")
        assert (csv["Content-Type"].split(";")[0], csv.content.decode().count("\n")) == ("text/csv", 2)

    def test_a_member_finds_the_own_projects_alone(self, viewer, rows, theirs):
        assert shown(viewer) == rows[:2]
        told = {}
        for slug in (theirs.project.slug, "gone"):
            [field] = [one for one in viewer.get(LIST, {"project": slug}).context_data["fields"] if one.mistake]
            told[slug] = field.mistake.replace(slug, "X")
        assert len(set(told.values())) == 1

    def test_its_questions_do_not_grow_with_rows(self, admin_client, rows, django_assert_max_num_queries):
        ledger.insert([usage_row(ago(minutes=number)) for number in range(1, 40)])
        with django_assert_max_num_queries(12):
            admin_client.get(LIST)

    def test_none_yet(self, admin_client):
        assert "No request has come in during the last 24 hours" in admin_client.get(LIST).content.decode()


class TestTheStory:
    @pytest.fixture
    def row(self, ours):
        decision = {
            "reasons": [["code", 0.25], ["short", -0.1]], "entry": "L1", "entry_reason": "score",
            "is_last_resort": False, "attempts": [["up/m1", "L1"], ["up/m2", "L2"]], "left_usd": "3.21",
            "dropped": [["up/m0", "L0", "below the layer it enters", ""], ["up/m9", "L1", "too dear", "$5"]],
        }  # fmt: skip
        step = {"provider": "up", "layer": "L1", "status": 503, "message": "<b>busy</b>"}
        trail = [
            step | {"model": "m1", "outcome": "server_error", "started_ms": 5.0, "duration_ms": 95.0},
            step | {"model": "m2", "outcome": "ok", "status": 200, "message": "", "started_ms": 100.0,
                    "duration_ms": 300.0, "waited_ms": 50.0},
        ]  # fmt: skip
        made = usage_row(
            ago(minutes=1), project_id=ours.project.pk, project="default", provider="up", model="m2", layer="L2",
            score=0.42, fell_back=True, input_tokens=1000, cached_input_tokens=10, output_tokens=20,
            cost_usd=Decimal("0.0123"), duration_ms=500.0, decision=msgspec.Raw(msgspec.json.encode(decision)),
            trail=msgspec.Raw(msgspec.json.encode(trail)),
            prices=msgspec.Raw(b'{"input": {"usd": "0.000001", "valid_from": "2026-01-01T00:00:00Z"}}'),
        )  # fmt: skip
        ledger.insert([made])
        return UsageRecord.objects.get()

    def page(self, client, row):
        answer = client.get(f"{LIST}{row.pk}/")
        assert answer.status_code == 200
        return answer.context_data["story"], answer.content.decode()

    def test_it_tells_each_hop(self, admin_client, row):
        told, page = self.page(admin_client, row)
        assert [(one.name, one.points) for one in told.reasons] == [("code", 0.25), ("short", -0.1)]
        assert [one.model for one in told.plan] == ["up/m1", "up/m2"]
        assert [one.reason for one in told.dropped] == ["below the layer it enters", "too dear ($5)"]
        assert [(one.begins, one.lasts, one.is_ok) for one in told.attempts] == [(0.01, 0.19, False), (0.2, 0.6, True)]
        assert [(one.title, one.amount) for one in told.buckets] == [
            ("Input", 1000),
            ("Cached input", 10),
            ("Output", 20),
        ]
        assert "waited 50 ms before" in re.sub(r"<[^>]+>", "", page)

    def test_what_others_said_cannot_write_html(self, admin_client, row):
        assert "&lt;b&gt;busy&lt;/b&gt;" in self.page(admin_client, row)[1]

    def test_a_budgets_room_is_not_on_it(self, viewer, row):
        assert "3.21" not in self.page(viewer, row)[1]

    def test_another_projects_does_not_exist(self, client, row, theirs):
        user = User.objects.create_user("otto")
        Membership.objects.create(user=user, project=theirs.project, role="admin")
        client.force_login(user)
        assert client.get(f"{LIST}{row.pk}/").status_code == 404

    @pytest.mark.parametrize("request_id", [ids.new(), "0e4a5a0e-3c4f-4f5e-8a3f-5b2f6f6d7c8e"])
    def test_one_that_is_not_there(self, admin_client, request_id, monkeypatch):
        monkeypatch.setattr("gateway.pages.requests.WAIT_S", 0.0)
        assert admin_client.get(f"{LIST}{request_id}/").status_code == 404

    @pytest.mark.parametrize("outcome", ["error", "cancelled", "interrupted"])
    def test_one_of_which_little_is_known(self, admin_client, ours, outcome):
        made = usage_row(
            ago(minutes=1), outcome=outcome, status=0 if outcome == "interrupted" else 502, cost_usd=Decimal(0)
        )
        ledger.insert([made])
        told, page = self.page(admin_client, UsageRecord.objects.get())
        assert told.attempts == ()
        assert "Nobody was called" in page
