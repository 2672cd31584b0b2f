"""`GET /v1/analytics/*`: reports of one's own rows, as JSON and CSV, page by page, beside a second tenant."""

from __future__ import annotations

import base64
import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

import msgspec
import pytest
from django.contrib.auth.models import User
from django.test import Client

from analytics import keys, ledger
from analytics.models import ApiKey, Membership, Project
from routing import snapshot
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db
REPORTS = ["usage", "cost", "latency", "errors", "top", "savings"]


@dataclass(frozen=True)
class Asker:
    client: Client
    secret: str = ""

    def answer(self, report, accept="application/json", **parameters):
        snapshot.load()
        headers = {"Accept": accept} | ({"Authorization": f"Bearer {self.secret}"} if self.secret else {})
        return self.client.get(f"/v1/analytics/{report}?{urlencode(parameters, doseq=True)}", headers=headers)

    def __call__(self, report, **parameters):
        answer = self.answer(report, **parameters)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def refused(self, report, **parameters):
        answer = self.answer(report, **parameters)
        error = answer.json()["error"]
        return answer.status_code, error["param"], error["message"]

    def rows(self, report, **parameters):
        answer = self.answer(report, format="csv", **parameters)
        return list(csv.reader(io.StringIO(answer.content.decode())))


@pytest.fixture
def us(client, ours, layers):
    ApiKey.objects.filter(pk=ours.key.pk).update(scopes=["usage:project"])
    return Asker(client, ours.secret)


@pytest.fixture
def me(client, ours, layers):
    return Asker(client, ours.secret)


@pytest.fixture
def root(admin_client, layers):
    return Asker(admin_client)


def ago(**span):
    return datetime.now(UTC) - timedelta(**span)


@pytest.fixture
def rows(ours, theirs):
    """Of our key, a colleague's, and theirs."""
    colleague = keys.create("colleague", actor="tests", project=ours.project).row
    our = {"project_id": ours.project.pk, "project": "default"}
    shared = {"provider": "up", "model": "m1", "layer": "L1", "input_tokens": 100, "output_tokens": 10}
    made = [
        usage_row(ago(hours=2), **our, **shared, key_id=ours.key.pk, cost_usd=Decimal("0.5"), duration_ms=100.0),
        usage_row(ago(hours=3), **our, key_id=ours.key.pk, outcome="error", status=502, error_kind="timeout"),
        usage_row(
            ago(hours=4), **our, provider="up", model="m3", layer="L3", input_tokens=7, key_id=colleague.pk,
            key_name="colleague", cost_usd=Decimal("0.25"), duration_ms=900.0, first_token_ms=50.0,
        ),
        usage_row(ago(days=8), **our, **shared, key_id=ours.key.pk, cost_usd=Decimal("2")),
        usage_row(
            ago(hours=2), project_id=theirs.project.pk, project="theirs", key_id=theirs.key.pk, key_name="secret key",
            provider="hidden", model="secret", layer="L9", cost_usd=Decimal("100"),
        ),
    ]  # fmt: skip
    ledger.insert(made)
    return made


class TestWho:
    @pytest.mark.parametrize(
        ("scopes", "requests"),
        [(["usage:own"], 2), (["usage:project"], 3), (["usage:own", "usage:project"], 3), (["usage:own", "admin"], 2)],
    )
    def test_a_key_sees_what_its_scopes_say(self, me, rows, ours, scopes, requests):
        ApiKey.objects.filter(pk=ours.key.pk).update(scopes=scopes)
        assert me("usage")["totals"]["requests"] == requests

    @pytest.mark.parametrize("scopes", [["chat"], ["admin"], []])
    @pytest.mark.parametrize("report", REPORTS)
    def test_a_key_without_a_scope_of_usage_is_refused(self, me, ours, report, scopes):
        ApiKey.objects.filter(pk=ours.key.pk).update(scopes=scopes)
        assert me.refused(report)[0] == 403

    @pytest.mark.parametrize("report", REPORTS)
    def test_without_a_key_it_is_401(self, client, report, layers):
        assert Asker(client).refused(report)[0] == 401

    @pytest.mark.parametrize("report", REPORTS)
    def test_nobody_is_told_of_another_projects_rows(self, me, us, rows, report):
        for asker in (me, us):
            told = asker.answer(
                report, **({} if report == "savings" else {"by": "key,provider,model"})
            ).content.decode()
            assert "secret" not in told and "hidden" not in told

    def test_a_superuser_sees_all(self, root, rows):
        assert root("cost")["totals"]["cost_usd"] == "100.75"

    def test_a_member_sees_their_projects(self, client, theirs, rows, layers):
        ann = User.objects.create_user("ann")
        client.force_login(ann)
        assert Asker(client)("usage")["totals"]["requests"] == 0
        Membership.objects.create(user=ann, project=theirs.project)
        assert Asker(client)("usage")["totals"]["requests"] == 1


class TestReports:
    def test_usage_is_counts_tokens_and_cost(self, us, rows):
        told = us("usage")
        assert (told["object"], told["report"], told["has_more"], told["after"]) == ("list", "usage", False, None)
        assert told["data"] == [told["totals"]]
        shown = {name: told["totals"][name] for name in ("requests", "answered", "errors", "tokens", "cost_usd")}
        assert shown == {"requests": 3, "answered": 2, "errors": 1, "tokens": 117, "cost_usd": "0.75"}
        assert told["totals"]["error_share"] == pytest.approx(1 / 3)

    def test_the_week_before_is_beside_it(self, us, rows):
        told = us("cost")
        assert told["before"]["cost_usd"] == "2"
        assert told["change"]["cost_usd"] == pytest.approx(-0.625)
        assert told["before"]["span"]["end"] == told["span"]["start"]

    def test_unless_nobody_wants_it(self, us, rows):
        told = us("cost", compare="false")
        assert (told["before"], told["change"]) == (None, None)

    def test_latency_is_that_of_answers(self, us, rows):
        told = us("latency", by="model")["data"]
        assert [(row["model"], row["latency_count"]) for row in told] == [("m1", 1), ("m3", 1), (None, 0)] or {
            row["model"]: row["latency_count"] for row in told
        } == {"m1": 1, "m3": 1, None: 0}
        slow = next(row for row in told if row["model"] == "m3")
        assert 900 / 1.37 <= slow["latency_p95_ms"] <= 900 * 1.37
        assert 50 / 1.37 <= slow["first_token_p50_ms"] <= 50 * 1.37

    def test_errors_are_by_status_and_kind(self, us, rows):
        told = us("errors")
        assert [(row["status"], row["error_kind"], row["errors"], row["share"]) for row in told["data"]] == [
            ("5xx", "timeout", 1, 1.0)
        ]
        assert told["totals"]["requests"] == 3

    def test_errors_may_be_told_apart_by_something_else(self, us, rows):
        told = us("errors", by="status,error_kind")["data"]
        assert {(row["status"], row["requests"], row["errors"]) for row in told} == {("2xx", 2, 0), ("5xx", 1, 1)}
        assert us("errors", by="key")["data"][0]["error_share"] == 0.5

    def test_top_is_by_model_and_cost_unless_told_otherwise(self, us, rows):
        told = us("top", limit=2)
        assert [(row["provider"], row["model"], row["cost_usd"]) for row in told["data"]] == [
            ("up", "m1", "0.5"),
            ("up", "m3", "0.25"),
        ]
        assert told["has_more"]
        assert us("top", by="key", order="requests")["data"][0]["key"] == "first"

    def test_steps_are_those_of_the_projects_time_zone(self, us, rows, ours):
        Project.objects.filter(pk=ours.project.pk).update(time_zone="Asia/Kolkata")
        told = us("usage", step="day", since="3d")
        assert told["span"]["zone"] == "Asia/Kolkata"
        assert all(row["start"].endswith("T00:00:00+05:30") for row in told["data"][1:])
        assert sum(row["requests"] for row in told["data"]) == 3

    def test_another_zone_may_be_asked_for(self, us, rows):
        assert us("usage", zone="America/St_Johns")["span"]["zone"] == "America/St_Johns"

    def test_groups_stand_beside_steps(self, us, rows):
        told = us("usage", step="hour", by="key", since="24h")["data"]
        assert {(row["key"], row["requests"]) for row in told} == {("first", 1), ("colleague", 1)}

    def test_savings_say_against_what(self, us, rows):
        told = us("savings")
        dear, mix = told["data"]
        # 107 tokens of input and 10 of output at 3 millionths.
        assert (dear["label"], dear["cost_usd"]) == (
            "every request answered by up/m3 of L3, same tokens",
            "0.000351",
        )
        assert Decimal(dear["saved_usd"]) == Decimal("0.000351") - Decimal("0.75")
        assert (mix["baseline"], mix["saved_usd"], mix["gateway_premium_share"]) == ("static_mix", "0", 0.5)

    def test_savings_name_no_model_the_key_may_not_use(self, us, rows, ours):
        ApiKey.objects.filter(pk=ours.key.pk).update(allowed_layers=["L0", "L1"])
        assert "up/m1 of L1" in us("savings")["data"][0]["label"]


class TestFilters:
    @pytest.mark.parametrize(
        ("given", "requests"),
        [
            ({"project": "default"}, 3),
            ({"key": "first"}, 2),
            ({"key": ["first", "colleague"]}, 3),
            ({"key": "first,colleague"}, 3),
            ({"provider": "up"}, 2),
            ({"model": "m1"}, 1),
            ({"model": "up/m3"}, 1),
            ({"layer": "L1"}, 1),
            ({"layer": "none"}, 1),
            ({"layer": "L2"}, 0),
            ({"status": "5xx"}, 1),
            ({"status": "2xx", "model": "m1,m3", "key": "colleague"}, 1),
            ({"error_kind": "timeout"}, 1),
            ({"kind": "embeddings"}, 0),
            ({"since": "3h", "until": "1h"}, 1),
        ],
    )
    def test_a_report_is_of_what_was_asked_for(self, us, rows, given, requests):
        assert us("usage", **given)["totals"]["requests"] == requests

    def test_a_key_may_be_named_by_its_id_also_when_it_is_gone(self, us, rows, ours):
        gone = ApiKey.objects.get(name="colleague")
        number = gone.pk
        gone.delete()
        assert us("usage", key=str(number))["totals"]["requests"] == 1
        assert us("usage", key="colleague")["totals"]["requests"] == 1

    @pytest.mark.parametrize(
        ("given", "param"),
        [
            ({"model": "nothing"}, "model"), ({"model": "secret"}, "model"), ({"provider": "hidden"}, "provider"),
            ({"layer": "L9"}, "layer"), ({"project": "theirs"}, "project"), ({"key": "secret key"}, "key"),
            ({"status": "600"}, "status"), ({"kind": "x"}, "kind"), ({"zone": "Mars/Base"}, "zone"),
            ({"since": "soon"}, "since"), ({"until": "1971-01-01"}, "until"), ({"step": "second"}, "step"),
            ({"by": "weather"}, "by"), ({"limit": "0"}, "limit"), ({"limit": "x"}, "limit"), ({"after": "x"}, "after"),
            ({"order": "beauty"}, "order"), ({"compare": "maybe"}, "compare"), ({"format": "xml"}, "format"),
            ({"colour": "red"}, "colour"), ({"since": ["1d", "2d"]}, "since"), ({"key": "a\0b"}, "key"),
            ({"step": "minute", "since": "30d"}, "step"), ({"project": ","}, "project"),
            ({"since": ""}, "since"), ({"order": ""}, "order"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named(self, us, rows, given, param):
        status, named, _ = us.refused("usage", **given)
        assert (status, named) == (400, param)

    def test_what_is_another_projects_is_as_unknown_as_what_is_not(self, us, rows, theirs):
        told = us.refused("usage", key=str(theirs.key.pk))
        assert told == (400, "key", f"There is no key '{theirs.key.pk}' that you may see.")
        assert us.refused("usage", key="nobody") == (400, "key", "There is no key 'nobody' that you may see.")

    def test_a_key_that_sees_its_own_rows_learns_no_names_of_others(self, me, rows):
        assert me.refused("usage", key="colleague")[1] == "key"
        assert me.refused("usage", model="secret")[1] == "model"


class TestPages:
    def test_groups_come_once_each_whatever_the_page(self, us, ours):
        ledger.insert(
            [usage_row(ago(hours=1), project_id=ours.project.pk, key_id=number, cost_usd=Decimal(number % 3))
             for number in range(1000, 1011)]
        )  # fmt: skip
        seen, after = [], {}
        while True:
            told = us("top", by="key", limit=4, **after)
            seen += [row["key_id"] for row in told["data"]]
            if not told["has_more"]:
                break
            after = {"after": told["after"]}
        assert sorted(seen) == list(range(1000, 1011))

    @pytest.mark.parametrize("mark", ["[]", "[1,2]", '["q","","",5]', "[1,9e99,0]", "x", '"', "\\ud800"])
    def test_a_mark_that_is_none_is_refused(self, us, mark):
        after = base64.urlsafe_b64encode(mark.encode()).decode()
        assert us.refused("top", after=after)[:2] == (400, "after")

    @pytest.mark.parametrize(
        "changed",
        [{3: 9, 4: 8}, {5: "age"}, {5: "total"}, {3: "a"}, {3: -1}, {4: 10**12}, {6: "x"}, {0: "another"}, {1: "3d"}],
    )
    def test_a_mark_that_somebody_changed_is_refused(self, us, rows, changed):
        mark = msgspec.json.decode(base64.urlsafe_b64decode(self.first(us) + "=="))
        changed_mark = [changed.get(number, value) for number, value in enumerate(mark)]
        after = base64.urlsafe_b64encode(msgspec.json.encode(changed_mark)).decode()
        assert us.refused("top", since="30d", limit=1, after=after)[:2] == (400, "after")

    def first(self, us):
        return us("top", since="30d", limit=1)["after"]

    @pytest.mark.parametrize(
        ("report", "other"),
        [
            ("top", {"by": "key"}), ("top", {"order": "requests"}), ("cost", {"by": "model"}), ("errors", {}),
            ("top", {"status": "2xx"}), ("top", {"zone": "Asia/Kolkata"}), ("top", {"step": "day"}),
            ("top", {"since": "7d"}), ("top", {"until": "1d"}),
        ],
    )  # fmt: skip
    def test_the_mark_of_another_question_is_refused(self, us, rows, report, other):
        """It would leave rows out without a word."""
        status, param, message = us.refused(report, **({"since": "30d", "after": self.first(us)} | other))
        assert (status, param) == (400, "after")
        assert "another question" in message

    def test_a_mark_keeps_the_span_where_nothing_is_said_of_it(self, us, rows):
        mark = self.first(us)
        assert us("top", limit=1, after=mark) == us("top", since="30d", limit=1, after=mark)

    def test_steps_come_once_each(self, us, rows):
        whole = us("usage", step="hour", since="48h", by="model")["data"]
        first = us("usage", step="hour", since="48h", by="model", limit=1)
        second = us("usage", step="hour", since="48h", by="model", limit=9, after=first["after"])
        assert first["data"] + second["data"] == whole
        assert second["span"] == first["span"]


class TestCsv:
    def test_it_has_a_header_line_and_the_same_columns(self, us, rows):
        told = us("top", by="model")["data"]
        heading, *lines = us.rows("top", by="model")
        assert heading == list(told[0])
        assert lines == [["" if value is None else str(value) for value in row.values()] for row in told]

    def test_it_is_a_file(self, us, rows):
        answer = us.answer("usage", accept="text/csv")
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert answer["Content-Disposition"].startswith('attachment; filename="usage-20')

    @pytest.mark.parametrize("report", REPORTS)
    def test_every_report_has_its_columns_even_without_rows(self, us, report):
        assert len(us.rows(report)[0]) > 3

    @pytest.mark.parametrize("name", ["=1+2", "+x", "-x", "@x", "=cmd|' /C calc'!A0"])
    def test_a_name_is_no_formula(self, us, ours, name):
        ApiKey.objects.filter(pk=ours.key.pk).update(name=name)
        ledger.insert([usage_row(ago(hours=1), project_id=ours.project.pk, key_id=ours.key.pk)])
        heading, line = us.rows("top", by="key")
        assert line[heading.index("key")] == f"'{name}"

    def test_an_amount_below_nothing_is_still_a_number(self, us, rows):
        heading, dear, _ = us.rows("savings")
        assert dear[heading.index("saved_usd")].startswith("-0.")

    def test_the_next_page_is_told_in_a_header(self, us, rows):
        after = us.answer("top", format="csv", limit=1)["X-Gateway-After"]
        assert us.rows("top", limit=1, after=after)[1] != us.rows("top", limit=1)[1]
