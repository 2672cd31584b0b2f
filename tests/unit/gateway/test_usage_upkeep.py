"""`manage.py usage rebuild|verify|tidy`: options, words, exit status."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics import ledger
from analytics.models import UsageRecord
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db

DAY = datetime(2026, 3, 14, tzinfo=UTC)


def usage(*words: str) -> tuple[str, str, int]:
    """What it says, what it says on stderr, and its exit status."""
    out, err = StringIO(), StringIO()
    try:
        call_command("usage", *words, stdout=out, stderr=err)
    except SystemExit as ended:
        return out.getvalue(), err.getvalue(), int(ended.code or 0)
    return out.getvalue(), err.getvalue(), 0


@pytest.fixture
def two_days() -> None:
    ledger.insert([usage_row(DAY), usage_row(DAY), usage_row(DAY + timedelta(days=1))])


@pytest.fixture
def spoiled(two_days: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE analytics_usagerollup SET requests = 9 WHERE grain = 31")


def test_roll_ups_that_are_right_are_said_to_be(two_days) -> None:
    out, _, status = usage("verify")
    assert (out.strip(), status) == ("Every roll-up of 2 days is the sum of its rows: 3 of them.", 0)


def test_differences_are_shown_and_end_with_status_one(spoiled) -> None:
    out, err, status = usage("verify")
    assert status == 1
    assert "day_all" in out
    assert "2026-03-14 00:00" in out
    assert "usage rebuild" in err


def test_differences_as_json(spoiled) -> None:
    out, _, status = usage("verify", "--json", "--show", "1")
    (found,) = json.loads(out)["differences"]
    assert (found["grain"], found["column"], found["found"], found["should"], status) == (
        *("day_all", "requests", 9, 2),
        1,
    )


def test_a_rebuild_mends_them(spoiled) -> None:
    out, _, status = usage("rebuild", "--since", "2026-03-14", "--until", "2026-03-16", "--yes")
    assert (out.strip(), status) == ("Roll-ups of 2 days are written anew, from 3 rows.", 0)
    assert usage("verify")[2] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rebuild", "--yes"], "usage: Say which days"),
        (["rebuild", "--all"], "usage: Nothing was written"),
        (["verify", "--since", "2026-03-14", "--until", "2026-03-14"], "usage: There is no whole day"),
    ],
)
def test_it_says_what_is_missing(two_days, words, said) -> None:
    _, err, status = usage(*words)
    assert (err.startswith(said), status) == (True, 1)


def test_a_date_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError, match="write it like 2026-11-01"):
        usage("verify", "--since", "soon")


@pytest.mark.parametrize("word", ["24h", "30m", "now", "this hour", "2026-11-01T09:00"])
def test_what_is_no_whole_day_is_refused(word) -> None:
    with pytest.raises(CommandError, match="is no whole day; write it like 2026-11-01, 7d"):
        usage("verify", "--since", word)


@pytest.mark.parametrize(
    ("since", "days"),
    [
        (["--since", "2d"], 3),
        (["--since", "today"], 1),
        (["--since", "yesterday"], 1),
        (["--since", "2d", "--until", "today"], 2),
        (["--since", "1w", "--until", "1d"], 2),
    ],
)
def test_days_are_named_as_in_reports(since, days) -> None:
    now = datetime.now(UTC)
    ledger.insert([usage_row(now - timedelta(days=ago)) for ago in range(4)])
    found = json.loads(usage("verify", *since, "--json")[0])
    assert (found["days"], found["rows"]) == (days, days)


def test_a_month_named_is_the_whole_of_it_alone(two_days) -> None:
    ledger.insert([usage_row(DAY + timedelta(days=30))])
    assert json.loads(usage("rebuild", "--since", "2026-03", "--yes", "--json")[0]) == {"days": 2, "rows": 3}


@pytest.mark.parametrize("action", ["verify", "rebuild"])
def test_a_time_of_which_there_is_nothing_is_told_so(two_days, action) -> None:
    out, _, status = usage(action, "--since", "2020-01-01", "--until", "2020-02-01")
    assert (out.strip(), status) == ("There is no row and no roll-up from 2020-01-01 up to 2020-02-01 (UTC).", 0)


def test_one_is_not_told_as_several() -> None:
    ledger.insert([usage_row(DAY)])
    assert usage("verify")[0].startswith("Every roll-up of 1 day is")
    assert "of 1 day are written anew, from 1 row." in usage("rebuild", "--all", "--yes")[0]


def test_tidy_says_what_would_go_and_drops_it(settings) -> None:
    settings.USAGE_KEEP_DAYS = 30
    ledger.insert([usage_row(DAY - timedelta(days=300)), usage_row()])
    assert usage("tidy", "--dry-run")[0].startswith("Older than is kept: 1 row and")
    assert UsageRecord.objects.count() == 2
    assert json.loads(usage("tidy", "--json")[0])["rows"] == 1
    assert UsageRecord.objects.count() == 1
    out, err, status = usage("rebuild", "--since", "2025-06-01", "--yes")
    assert (status, "were dropped" in err) == (1, True)
