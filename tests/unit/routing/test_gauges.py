"""The gauges of a process that answers requests."""

import asyncio
from dataclasses import replace

import pytest

from providers import places
from routing import gauges, runtime
from tests.unit.analytics.test_ledger import opened_line
from tests.unit.routing.test_plan import ACME

ALL = {
    "in_flight", "spool_lag_s", "spool_rows", "spool_rows_in_memory", "rejected_rows", "ledger_has_problem",
    "counters_away", "admitted_unchecked", "not_reserved", "snapshot_age_s", "circuits_open", "circuits_half_open",
    "resident_bytes", "descriptors_share", "provider_calls", "provider_queue", "malformed_events",
    "bodies_dropped", "bodies_waiting_bytes",
}  # fmt: skip


@pytest.fixture
def made(tmp_path, settings):
    settings.SPOOL_DIR, settings.COUNTERS_FILE = tmp_path / "spool", tmp_path / "counters.sqlite3"
    made = runtime._made()
    yield made
    made.guard.close()
    made.spool.remove()


def test_its_parts_are_read_without_a_database(made, tmp_path):
    read = {name: source() for name, source in gauges.sources(made, spool_root=tmp_path / "spool").items()}
    assert set(read) == ALL
    assert (read["in_flight"], read["spool_rows"], read["spool_lag_s"]) == (0, 0, 0.0)
    assert (read["counters_away"], read["ledger_has_problem"], read["snapshot_age_s"]) == (False, False, None)


def test_they_follow_what_happens(made, tmp_path, monkeypatch):
    monkeypatch.setattr(gauges, "SAME_LOOK_S", -1.0)
    sources = gauges.sources(made, spool_root=tmp_path / "spool")
    made.spool.opened(opened_line())
    made.guard.hear(False)
    made.guard.missed.admitted_unchecked = 4
    made.drainer.problem = "away"
    assert (sources["in_flight"](), sources["counters_away"](), sources["admitted_unchecked"]()) == (1, True, 4)
    assert sources["ledger_has_problem"]() is True


@pytest.mark.django_db
@pytest.mark.parametrize(("role", "is_there"), [("server", True), (None, False)])
async def test_only_a_process_that_lives_long_records_them(role, is_there, tmp_path, settings, monkeypatch):
    settings.SPOOL_DIR, settings.COUNTERS_FILE = tmp_path / "spool", tmp_path / "counters.sqlite3"
    settings.DRAIN_EVERY_S = 60.0
    written = []
    # Another connection than the test's would wait for its transaction.
    monkeypatch.setattr("analytics.gauges.Recorder._write", lambda recorder, at, readings: written.append(readings))
    monkeypatch.setattr("analytics.gauges.Recorder.leave", lambda recorder: written.append("left"))
    async with runtime.running(role=role) as process:
        assert (process.recorder is not None) is is_there
    assert (bool(written), written[-1:] == ["left"]) == (is_there, is_there)


async def test_calls_and_queues_are_told_by_provider(made, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_desks", {})
    sources = gauges.sources(made, spool_root=tmp_path / "spool")
    assert (sources["provider_calls"](), sources["provider_queue"]()) == ({}, {})
    busy = replace(ACME, max_concurrent=1)
    place = await places.take(busy, within_s=1.0)
    waiting = asyncio.create_task(places.take(busy, within_s=1.0))
    await asyncio.sleep(0)
    assert (sources["provider_calls"](), sources["provider_queue"]()) == ({"acme": 1}, {"acme": 1})
    place.leave()
    (await waiting).leave()
    assert (sources["provider_calls"](), sources["provider_queue"]()) == ({}, {})
