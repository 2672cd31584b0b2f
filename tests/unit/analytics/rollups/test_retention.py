"""What is older than is kept goes, roll-ups of days stay, and nothing of a dropped time comes back."""

from __future__ import annotations

import logging
from datetime import timedelta

import msgspec
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone

from analytics import drainer, horizon, ids, ledger, retention
from analytics import partitions as partitions_of_postgres
from analytics.models import AuditEntry, LedgerSpan, Project, RequestBody, UsageRecord, UsageRollup
from analytics.series import DAY, Grain
from analytics.spool import Reader
from tests.unit.analytics.test_ledger import partitions, usage_row

pytestmark = pytest.mark.django_db

TODAY = horizon.day_of(timezone.now())
MOMENT = timedelta(milliseconds=1)
OLD, LATELY = TODAY - timedelta(days=450), TODAY - timedelta(days=3)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(retention, "PAUSE_S", 0)


def in_ledger():
    return set(UsageRecord.objects.values_list("id", flat=True))


def starts(grain):
    return set(UsageRollup.objects.filter(grain=grain).values_list("start", flat=True))


def test_old_rows_go_and_young_ones_stay():
    old, young = usage_row(OLD), usage_row(LATELY)
    ledger.insert([old, young])
    dropped = retention.tidy(keep_days=400)
    assert (dropped.rows, dropped.is_done) == (1, True)
    assert in_ledger() == {young.id}


def test_roll_ups_of_days_stay_and_shorter_ones_go_by_their_own_ages():
    ledger.insert([usage_row(at) for at in (OLD, TODAY - timedelta(days=20), LATELY)])
    retention.tidy(keep_days=400)
    assert starts(Grain.DAY_ALL) == starts(Grain.DAY) == {OLD, TODAY - timedelta(days=20), LATELY}
    assert starts(Grain.QUARTER) == starts(Grain.QUARTER_PROJECT) == {TODAY - timedelta(days=20), LATELY}
    assert starts(Grain.MINUTE) == {LATELY}


def test_what_is_exactly_as_old_as_is_kept_stays():
    edges = {Grain.MINUTE: TODAY - timedelta(days=8), Grain.QUARTER: TODAY - timedelta(days=400)}
    minute, moment = timedelta(minutes=1), timedelta(milliseconds=1)
    ledger.insert([usage_row(at) for edge in edges.values() for at in (edge - moment, edge)])
    retention.tidy(keep_days=0)
    assert starts(Grain.MINUTE) == {edges[Grain.MINUTE]}
    assert starts(Grain.QUARTER) == {edges[Grain.QUARTER], edges[Grain.MINUTE] - 15 * minute, edges[Grain.MINUTE]}


def test_a_row_of_the_very_moment_the_ledger_begins_stays():
    edge = (TODAY - timedelta(days=400)).replace(day=1) if connection.vendor == "postgresql" else TODAY - 400 * DAY
    first, last = usage_row(edge), usage_row(edge - timedelta(milliseconds=1))
    ledger.insert([first, last])
    assert retention.tidy(keep_days=400).rows == 1
    assert in_ledger() == {first.id}
    assert horizon.current().rows_from == edge


def test_zero_days_keep_every_row():
    ledger.insert([usage_row(OLD)])
    retention.tidy(keep_days=0)
    assert UsageRecord.objects.count() == 1


def test_more_than_go_at_once_and_what_the_deadline_leaves(monkeypatch):
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    ledger.insert([usage_row(OLD) for _ in range(5)])
    assert not retention.tidy(keep_days=400, deadline_s=0).is_done
    assert retention.tidy(keep_days=400).is_done
    assert not UsageRecord.objects.exists()


def test_again_drops_nothing_and_says_nothing():
    ledger.insert([usage_row(OLD)])
    retention.tidy(keep_days=400)
    assert retention.tidy(keep_days=400) == retention.Dropped(0, 0)
    entry = AuditEntry.objects.get(action="usage.dropped")
    assert (entry.actor, entry.severity, entry.after["rows"]) == ("system", "info", 1)
    first = OLD.replace(day=1) if connection.vendor == "postgresql" else OLD
    assert entry.before["rows_from"] == first.isoformat()


def test_the_horizon_never_moves_back():
    ledger.insert([usage_row(OLD)])
    retention.tidy(keep_days=100)
    rows_from = horizon.current().rows_from
    retention.tidy(keep_days=400)
    assert horizon.current().rows_from == rows_from


def test_where_nothing_was_dropped_an_old_row_may_still_come():
    retention.tidy(keep_days=400)
    ledger.insert([usage_row(OLD)])
    assert LedgerSpan.objects.get().rows_from is None
    assert UsageRecord.objects.count() == 1


def test_a_row_of_a_dropped_time_is_set_aside_with_the_reason_and_counted_no_second_time(own, root, caplog):
    caplog.set_level(logging.CRITICAL, logger="analytics.drainer")
    old, young = usage_row(OLD), usage_row(LATELY)
    ledger.insert([old])
    retention.tidy(keep_days=400)
    for row in (old, young):
        own.settled(row)
    drainer.drain(Reader(own.folder), root=root)
    assert in_ledger() == {young.id}
    (entry,) = [msgspec.json.decode(line) for line in (root / "rejected.jsonl").read_bytes().splitlines()]
    assert "rows were dropped" in entry["why"]
    assert msgspec.json.decode(entry["line"])["id"] == str(old.id)
    assert UsageRollup.objects.get(grain=Grain.DAY_ALL, start=OLD).requests == 1


def test_what_would_go_is_told_and_stays():
    ledger.insert([usage_row(OLD), usage_row(LATELY)])
    due = retention.due(keep_days=400)
    assert (due.rows, due.rollups, due.is_done) == (1, 5, False)
    assert UsageRecord.objects.count() == 2


class TestBodies:
    """Each project's go by its own days, of which today is one."""

    @pytest.fixture
    def kept(self, ours, theirs):
        Project.objects.filter(pk=theirs.project.pk).update(bodies_days=1)
        ages = {"today": timedelta(0), "yesterday": DAY, "six days": 6 * DAY, "seven days": 7 * DAY}
        for project in (ours.project, theirs.project):
            for age in ages.values():
                RequestBody.objects.create(id=ids.new(), project=project, at=TODAY - age + MOMENT, request="{}")
            RequestBody.objects.create(id=ids.new(), project=project, at=TODAY - 6 * DAY - MOMENT, request="{}")
        return ours.project, theirs.project

    def ages(self, project):
        return sorted((TODAY + MOMENT - at).days for at in project_bodies(project))

    def test_go_by_their_projects_days(self, kept):
        ours, theirs = kept
        assert retention.due(keep_days=0).bodies == 6
        assert retention.tidy(keep_days=0).bodies == 6
        assert (self.ages(ours), self.ages(theirs)) == ([0, 1, 6], [0])
        assert retention.tidy(keep_days=0) == retention.Dropped(0, 0)

    def test_of_it_the_audit_trail_has_numbers(self, kept):
        retention.tidy(keep_days=0)
        ours, theirs = kept
        entries = {entry.project_id: entry for entry in AuditEntry.objects.filter(action="bodies.dropped")}
        assert {project: entry.after["bodies"] for project, entry in entries.items()} == {ours.pk: 2, theirs.pk: 4}
        assert entries[theirs.pk].after == {"bodies": 4, "bodies_from": TODAY.isoformat()}

    def test_more_than_go_at_once_and_what_the_deadline_leaves(self, kept, monkeypatch):
        monkeypatch.setattr(retention, "BODIES_AT_ONCE", 2)
        assert retention.tidy(keep_days=0, deadline_s=0) == retention.Dropped(0, 0, is_done=False)
        assert retention.tidy(keep_days=0) == retention.Dropped(0, 0, bodies=6)

    def test_the_command_tells_of_them(self, kept, capsys):
        call_command("usage", "tidy", "--dry-run")
        assert "0 rows, 6 bodies and 0 roll-ups; nothing was dropped" in capsys.readouterr().out
        call_command("usage", "tidy")
        assert "Dropped 0 rows, 6 bodies and 0 roll-ups." in capsys.readouterr().out


def project_bodies(project):
    return RequestBody.objects.filter(project=project).values_list("at", flat=True)


class TestPartitions:
    @pytest.fixture(autouse=True)
    def only_there(self):
        if connection.vendor != "postgresql":
            pytest.skip("only PostgreSQL has partitions")

    def test_are_made_ahead(self):
        retention.tidy(keep_days=400)
        month = TODAY
        for _ in range(3):
            assert f"analytics_usagerecord_{month:%Y_%m}" in partitions()
            month = (month.replace(day=1) + timedelta(days=32)).replace(day=1)

    def test_go_when_they_are_wholly_older(self):
        ledger.insert([usage_row(OLD), usage_row(TODAY - timedelta(days=400))])
        retention.tidy(keep_days=400)
        assert f"analytics_usagerecord_{OLD:%Y_%m}" not in partitions()
        assert f"analytics_usagerecord_{TODAY - timedelta(days=400):%Y_%m}" in partitions()

    def test_that_went_before_one_that_does_not_are_told(self, monkeypatch, caplog):
        caplog.set_level(logging.CRITICAL, logger="analytics.retention")
        months = sorted({(TODAY - timedelta(days=days)).replace(day=15) for days in (450, 480, 510)})
        ledger.insert([usage_row(month) for month in months])
        asked, drop = [], partitions_of_postgres.drop

        def busy_at_the_second(name):
            asked.append(name)
            if len(asked) == 2:
                raise OperationalError("canceling statement due to lock timeout")
            return drop(name)

        with monkeypatch.context() as busy:
            busy.setattr(partitions_of_postgres, "drop", busy_at_the_second)
            dropped = retention.tidy(keep_days=400)
        assert (dropped.rows, dropped.is_done) == (1, False)
        entry = AuditEntry.objects.get(action="usage.dropped")
        assert (entry.before["rows_from"], entry.after["rows"]) == (months[0].replace(day=1).isoformat(), 1)
        dropped = retention.tidy(keep_days=400)
        assert (dropped.rows, dropped.is_done) == (len(months) - 1, True)
        assert AuditEntry.objects.filter(action="usage.dropped").count() == len(months)

    def test_one_that_another_dropped_meanwhile_is_gone(self):
        ledger.insert([usage_row(OLD)])
        name = f"analytics_usagerecord_{OLD:%Y_%m}"
        assert partitions_of_postgres.drop(name) == 1
        assert partitions_of_postgres.drop(name) == 0

    def test_one_that_was_detached_and_not_dropped_goes_too(self):
        ledger.insert([usage_row(OLD)])
        name = f"analytics_usagerecord_{OLD:%Y_%m}"
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE analytics_usagerecord DETACH PARTITION {name}")
        ledger.insert([usage_row(OLD - timedelta(days=40))])
        retention.tidy(keep_days=400)
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", [name])
            assert cursor.fetchone() == (None,)
