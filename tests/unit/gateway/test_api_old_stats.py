"""`GET /v1/stats` and `/v1/traces/{id}`, an older system's: what the asker may see, and nothing of another tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from analytics import keys, ledger
from tests.unit.analytics.test_ledger import usage_row
from tests.unit.gateway.conftest import Asker, bearing

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(layers, ours, theirs):
    """Of ours three, one of which failed and one is a week old; of theirs one."""
    now = datetime.now(UTC)
    our = {"project_id": ours.project.pk, "project": "default", "key_id": ours.key.pk}
    their = {"project_id": theirs.project.pk, "project": "theirs", "key_id": theirs.key.pk}
    used = {"provider": "up", "model": "m1", "layer": "L1", "input_tokens": 100, "output_tokens": 10}
    failed = {"outcome": "error", "status": 502, "error_kind": "timeout", "layer": "L2"}
    made = [
        usage_row(now - timedelta(hours=1), **our, **used, cost_usd=Decimal("0.5"), duration_ms=100.0),
        usage_row(now - timedelta(hours=2), **our, **failed),
        usage_row(now - timedelta(days=9), **our, **used, cost_usd=Decimal("4"), duration_ms=100.0),
        usage_row(now - timedelta(hours=1), **their, **used, cost_usd=Decimal("7"), duration_ms=100.0),
    ]
    ledger.insert(made)
    return made


@pytest.fixture
def reporter(ours):
    """A key of ours that sees its project's usage."""
    return bearing(keys.create("reporter", actor="tests", project=ours.project, scopes=["usage:project"]).secret)


def figures(told):
    return {name: told[name] for name in ("requests", "errors", "tokens", "cost_usd", "latency_count")}


class TestStats:
    def test_the_last_week_in_all_and_by_layer(self, reporter, rows):
        status, told = reporter("get", "/v1/stats")
        assert (status, told["object"], told["span"]["zone"]) == (200, "stats", "UTC")
        whole = {"requests": 2, "errors": 1, "tokens": 110, "cost_usd": "0.5", "latency_count": 1}
        assert figures(told["totals"]) == whole
        assert 50 < told["totals"]["latency_p50_ms"] < 200
        found = {one["layer"]: figures(one) for one in told["layers"]}
        assert found["L1"] == {"requests": 1, "errors": 0, "tokens": 110, "cost_usd": "0.5", "latency_count": 1}
        assert found["L2"] == {"requests": 1, "errors": 1, "tokens": 0, "cost_usd": "0", "latency_count": 0}

    def test_another_window_and_filters(self, reporter, rows):
        assert reporter("get", "/v1/stats?since=30d")[1]["totals"]["cost_usd"] == "4.5"
        assert reporter("get", "/v1/stats?layer=L2")[1]["totals"]["requests"] == 1
        assert reporter("get", "/v1/stats?since=5m")[1]["layers"] == []

    def test_a_superuser_sees_all(self, root, rows):
        assert root("get", "/v1/stats")[1]["totals"]["cost_usd"] == "7.5"
        assert root("get", "/v1/stats?project=theirs")[1]["totals"]["cost_usd"] == "7"

    def test_another_project_is_not_told_of(self, reporter, rows):
        told = {
            reporter.refused("get", f"/v1/stats?project={slug}")[2].replace(slug, "X") for slug in ("theirs", "gone")
        }
        assert len(told) == 1

    @pytest.mark.parametrize("query", ["since=soon", "by=model", "format=csv"])
    def test_what_cannot_be_meant_is_refused_by_name(self, reporter, layers, query):
        assert reporter.refused("get", f"/v1/stats?{query}")[:2] == (400, query.partition("=")[0])

    def test_nobody_without_leave(self, ours, layers):
        made = keys.create("chatter", actor="tests", project=ours.project, scopes=["chat"])
        assert bearing(made.secret)("get", "/v1/stats")[0] == 403
        assert Asker(Client())("get", "/v1/stats")[0] == 401

    def test_its_questions_are_few(self, reporter, rows):
        reporter("get", "/v1/stats")
        with CaptureQueriesContext(connection) as captured:
            reporter("get", "/v1/stats")
        assert len(captured) <= 4


class TestTraces:
    def test_it_is_the_requests_story(self, reporter, rows):
        path = f"requests/{rows[0].id}"
        assert reporter("get", f"/v1/traces/{rows[0].id}") == reporter("get", f"/v1/{path}")
        assert reporter("get", f"/v1/traces/{rows[0].id}")[1]["model"] == "m1"

    def test_another_projects_is_not_there(self, reporter, rows):
        assert reporter("get", f"/v1/traces/{rows[3].id}")[0] == reporter("get", "/v1/traces/nothing")[0] == 404
