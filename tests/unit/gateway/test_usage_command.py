"""`manage.py usage`, called as the command line calls it."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from analytics import ledger
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db


def ago(**span):
    return datetime.now(UTC) - timedelta(**span)


@pytest.fixture(autouse=True)
def rows(ours, theirs, layers):
    shared = {"provider": "up", "input_tokens": 1000, "output_tokens": 234, "duration_ms": 100.0}
    ledger.insert(
        [
            usage_row(ago(hours=2), **shared, model="m1", layer="L1", key_id=ours.key.pk, cost_usd=Decimal("0.5")),
            usage_row(ago(hours=3), **shared, model="m2", layer="L2", key_id=ours.key.pk, cost_usd=Decimal("1.25")),
            usage_row(ago(hours=3), key_id=theirs.key.pk, project_id=theirs.project.pk, outcome="error", status=500),
            usage_row(ago(days=9), **shared, model="m1", layer="L1", key_id=ours.key.pk, cost_usd=Decimal("7")),
        ]
    )


def test_it_tells_totals_and_what_was_before(run):
    status, out, _ = run("usage")
    assert status == 0
    assert "$1.75" in out and "2,468" in out and "33.3%" in out
    assert "Before that," in out
    assert "requests 1 (now +200.0%)" in out
    assert "cost $7 (now -75.0%)" in out


def test_groups_come_with_a_line_for_all(run):
    out = run("usage", "--by", "model", "--order", "cost")[1].splitlines()
    assert [line.split()[:2] for line in out[1:4]] == [["up", "m2"], ["up", "m1"], ["-", "-"]]
    assert out[4].split()[0] == "all"


def test_steps_are_those_of_the_zone(run):
    told = json.loads(run("usage", "--step", "day", "--since", "3d", "--zone", "Asia/Kolkata", "--json")[1])
    assert all(row["start"].endswith("T00:00:00+05:30") for row in told["data"][1:])
    assert sum(row["requests"] for row in told["data"]) == 3


@pytest.mark.parametrize(
    ("words", "requests"),
    [
        (("--project", "theirs"), 1),
        (("--key", "first", "--project", "default"), 2),
        (("--model", "m1", "--model", "up/m2"), 2),
        (("--model", "m1,m2", "--since", "10d"), 3),
        (("--status", "5xx"), 1),
        (("--layer", "none"), 1),
        (("--since", "150m"), 1),
    ],
)
def test_filters_are_those_of_the_api(run, words, requests):
    assert json.loads(run("usage", *words, "--json")[1])["totals"]["requests"] == requests


@pytest.mark.parametrize("report", ["usage", "cost", "latency", "errors", "top", "savings"])
@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
def test_every_report_has_every_form(run, report, form):
    status, out, error = run("usage", "--report", report, *form)
    assert (status, error) == (0, "")
    if form == ("--json",):
        assert json.loads(out)["report"] == report
    elif form == ("--csv",):
        heading, *lines = csv.reader(io.StringIO(out))
        assert lines and all(len(line) == len(heading) for line in lines)
    else:
        assert len(out.splitlines()) > 2


def test_savings_say_against_what(run):
    out = run("usage", "--report", "savings", "--since", "1d")[1]
    assert "2 requests were answered for $1.75" in out
    assert "every request answered by up/m3 of L3, same tokens" in " ".join(out.split())


def test_pages_go_on_from_the_mark(run):
    first = json.loads(run("usage", "--by", "model", "--limit", "2", "--json")[1])
    second = json.loads(run("usage", "--by", "model", "--limit", "2", "--after", first["after"], "--json")[1])
    assert len({str(row["model"]) for row in first["data"] + second["data"]}) == 3
    assert "There are more: --after " in run("usage", "--by", "model", "--limit", "2")[1]


def test_a_period_before_without_usage_is_told_once(run):
    ledger.insert([usage_row(datetime.now(UTC))])
    out = run("usage", "--since", "1h")[1]
    (line,) = [line for line in out.splitlines() if line.startswith("Before that")]
    assert line.endswith(": nothing was used.")


def test_without_comparing_there_is_nothing_of_before(run):
    assert "Before" not in run("usage", "--no-compare")[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--since", "soon"), "usage: --since: 'soon' is no time: write 7d, 24h"),
        (("--by", "weather"), "usage: --by: Use project, key, provider, model"),
        (("--key", "nobody"), "usage: --key: There is no key 'nobody'"),
        (("--step", "minute", "--since", "30d"), "usage: --step: That is more than 10,000 points"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(run, words, says):
    status, out, error = run("usage", *words)
    assert (status, out) == (1, "")
    assert error.startswith(says)
