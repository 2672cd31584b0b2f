"""`GET /v1/requests`: single requests, newest first, to those who may see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User

from analytics import ledger
from analytics.models import ApiKey
from analytics.queries import search
from routing import snapshot
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db


def ago(**span):
    return datetime.now(UTC) - timedelta(**span)


@pytest.fixture
def rows(ours, theirs):
    our = {"project_id": ours.project.pk, "key_id": ours.key.pk}
    made = [
        usage_row(ago(minutes=1), **our, cost_usd=Decimal("0.5"), session="s1"),
        usage_row(ago(hours=3), **our, outcome="error", status=502, error_message="was cut", error_kind="reset"),
        usage_row(ago(hours=30), **our),
        usage_row(ago(minutes=2), project_id=theirs.project.pk, key_id=theirs.key.pk),
    ]
    ledger.insert(made)
    return made


@pytest.fixture
def get(client, ours, layers):
    def get(**parameters):
        snapshot.load()
        headers = {"Authorization": f"Bearer {ours.secret}"}
        return client.get(f"/v1/requests?{urlencode(parameters, doseq=True)}", headers=headers)

    return get


def ids(answer):
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["data"]]


def test_a_key_sees_its_own_of_the_last_day_newest_first(get, rows):
    assert ids(get()) == [str(rows[0].id), str(rows[1].id)]


@pytest.mark.parametrize(
    ("given", "which"),
    [
        ({"outcome": "error"}, [1]), ({"cost_over": "0.1"}, [0]), ({"error": "CUT"}, [1]), ({"session": "s1"}, [0]),
        ({"since": "2d"}, [0, 1, 2]), ({"since": "2d", "until": "4h"}, [2]), ({"status": "5xx"}, [1]),
        ({"error_kind": "reset"}, [1]), ({"since": "2d", "status": "2xx", "key": "first"}, [0, 2]),
    ],
)  # fmt: skip
def test_it_is_what_was_asked_for(get, rows, given, which):
    assert ids(get(**given)) == [str(rows[number].id) for number in which]


def test_pages_follow_the_last_id(get, rows):
    first = get(since="2d", limit=2).json()
    assert (first["has_more"], first["after"]) == (True, str(rows[1].id))
    second = get(since="2d", limit=2, after=first["after"]).json()
    assert ([row["id"] for row in second["data"]], second["has_more"]) == ([str(rows[2].id)], False)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"outcome": "fine"}, "outcome"), ({"cost_over": "much"}, "cost_over"), ({"cost_over": "NaN"}, "cost_over"),
        ({"cost_over": "-1"}, "cost_over"), ({"after": "x"}, "after"), ({"since": "60d"}, "since"),
        ({"limit": "1001"}, "limit"), ({"key": "nobody"}, "key"), ({"by": "key"}, "by"), ({"error": "a\0"}, "error"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(get, rows, given, param):
    answer = get(**given)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_rows_carry_no_long_columns_and_money_in_plain_digits(get, rows):
    row = get().json()["data"][0]
    assert not set(search.NOT_LISTED) & row.keys()
    assert (row["object"], row["cost_usd"], row["reported_cost_usd"]) == ("request", "0.5", None)


def test_it_comes_as_csv_too(get, rows):
    heading, *lines = get(format="csv").content.decode().splitlines()
    assert heading.startswith("id,started_at,kind,outcome")
    assert len(lines) == 2


def test_a_key_without_a_scope_of_usage_is_refused(get, rows):
    ApiKey.objects.update(scopes=["chat"])
    assert get().status_code == 403


def test_a_superuser_sees_all_and_a_stranger_nothing(client, rows, layers):
    client.force_login(User.objects.create_user("stranger"))
    assert ids(client.get("/v1/requests")) == []
    client.force_login(User.objects.create_superuser("root"))
    assert len(ids(client.get("/v1/requests?since=2d"))) == 4


def test_one_page_takes_few_statements(client, rows, layers, django_assert_max_num_queries):
    client.force_login(User.objects.create_superuser("root"))
    with django_assert_max_num_queries(6):  # in PostgreSQL some of them say how long the search may take
        client.get("/v1/requests")
