"""Gauges: read every few seconds, kept by the minute, gone with their process, and never in anybody's way."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError

from analytics import gauges
from analytics.gauges import Recorder
from analytics.models import GaugeSample, ProcessGauges

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, 0, 3, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.at = NOON

    def __call__(self):
        return self.at

    def pass_s(self, seconds):
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def recorder(clock):
    return Recorder("server", sources={"in_flight": lambda: 3, "counters_away": lambda: False}, now=clock)


@pytest.fixture
def nothing_added(monkeypatch):
    monkeypatch.setattr(gauges, "_added", {})


def test_the_latest_row_is_the_processs_own(recorder, clock):
    recorder.look()
    clock.pass_s(5)
    recorder.look()
    (process,) = gauges.latest(now=clock)
    assert (process.instance, process.role, process.started_at, process.at) == (
        recorder.instance, "server", NOON, NOON + timedelta(seconds=5),
    )  # fmt: skip
    assert process.readings == {"in_flight": 3, "counters_away": False}


def test_a_row_a_minute_is_kept(recorder, clock):
    for _ in range(30):
        recorder.look()
        clock.pass_s(5)
    assert [row.at - NOON for row in GaugeSample.objects.order_by("at")] == [
        timedelta(0), timedelta(seconds=60), timedelta(seconds=120),
    ]  # fmt: skip


def test_two_processes_have_a_row_each(recorder, clock):
    other = Recorder("worker", sources={"tasks_running": lambda: 1}, now=clock)
    recorder.look()
    other.look()
    assert [(one.role, one.readings.get("tasks_running")) for one in gauges.latest(now=clock)] == [
        ("server", None), ("worker", 1),
    ]  # fmt: skip


def test_one_that_leaves_takes_its_row_along_and_leaves_its_history(recorder, clock):
    recorder.look()
    recorder.leave()
    assert gauges.latest(now=clock) == []
    assert GaugeSample.objects.count() == 1


def test_one_that_died_is_not_shown_and_is_cleared(recorder, clock):
    recorder.look()
    clock.pass_s(59)
    assert len(gauges.latest(now=clock)) == 1
    assert gauges.clear(now=clock) == 0
    clock.pass_s(2)
    assert gauges.latest(now=clock) == []
    assert gauges.clear(now=clock) == 1
    assert not ProcessGauges.objects.exists()


def test_samples_are_kept_for_eight_days(recorder, clock):
    recorder.look()
    clock.pass_s(8 * 24 * 3600 - 1)
    recorder.look()
    gauges.clear(now=clock)
    assert GaugeSample.objects.count() == 2
    clock.pass_s(2)
    gauges.clear(now=clock)
    assert [row.at for row in GaugeSample.objects.all()] == [NOON + timedelta(days=8, seconds=-1)]


def test_the_history_of_one_gauge(recorder, clock):
    recorder.look()
    clock.pass_s(60)
    Recorder("worker", sources={"in_flight": lambda: 7}, now=clock).look()
    assert [one.value for one in gauges.history("in_flight", since=NOON)] == [3, 7]
    assert [one.value for one in gauges.history("in_flight", since=NOON, role="worker")] == [7]
    assert gauges.history("in_flight", since=clock.at + timedelta(seconds=1)) == []
    assert gauges.history("nothing", since=NOON) == []


def test_a_source_that_fails_is_null_and_harms_no_other(recorder, clock, nothing_added, caplog):
    def broken():
        raise ZeroDivisionError

    gauges.add("broken", broken)
    recorder.look()
    recorder.look()
    (process,) = gauges.latest(now=clock)
    assert process.readings == {"in_flight": 3, "counters_away": False, "broken": None}
    assert [line.message for line in caplog.records] == ["The gauge broken cannot be read"]


def test_an_outage_of_the_database_is_told_once_and_its_end_too(recorder, clock, monkeypatch, caplog):
    caplog.set_level(logging.INFO)

    def away(at, readings):
        raise DatabaseError("it is away")

    with monkeypatch.context() as patched:
        patched.setattr(recorder, "_write", away)
        for _ in range(3):
            recorder.look()
    recorder.look()
    assert [line.message for line in caplog.records] == [
        "Gauges are not written: it is away", "Gauges are written again",
    ]  # fmt: skip
    assert len(gauges.latest(now=clock)) == 1


def test_in_words_what_is_nothing_is_left_out():
    readings = {"in_flight": 1200, "counters_away": True, "spool_rows": 0, "snapshot_age_s": 0.5, "x": None, "y": False}
    assert gauges.in_words(readings) == "in_flight 1,200, counters_away, snapshot_age_s 0.5"


def test_in_words_what_is_counted_by_name_is_told_by_name():
    assert gauges.in_words({"calls": {"acme": 1200, "idle": 0}, "queue": {}}) == "calls acme 1,200"
