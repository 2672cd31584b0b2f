"""What the gauges of a spool and of a process read."""

from datetime import UTC, datetime, timedelta

import pytest

from analytics import gauge_sources, spool
from analytics.gauge_sources import Backlog, Rejected
from tests.unit.analytics.spools import read_all
from tests.unit.analytics.test_ledger import opened_line, request_id, usage_row

BEGAN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def own(tmp_path):
    made = spool.Spool(tmp_path / "spool")
    yield made
    made.close()


@pytest.fixture
def reader(own):
    return spool.Reader(own.folder)


def test_an_empty_spool_has_nothing(reader):
    assert gauge_sources.backlog(reader) == Backlog()
    assert Backlog().lag_s(now=BEGAN) == 0.0


def test_what_is_settled_and_not_read_yet_waits_since_the_first_was_settled(own, reader):
    own.settled(usage_row(id=request_id(BEGAN), duration_ms=2000.0))
    own.settled(usage_row(id=request_id(BEGAN + timedelta(seconds=9)), duration_ms=0.0))
    found = gauge_sources.backlog(reader)
    assert (found.rows, found.oldest_at) == (2, BEGAN + timedelta(seconds=2))
    assert found.lag_s(now=BEGAN + timedelta(seconds=12)) == 10.0


def test_looking_moves_nothing_on(own, reader):
    row = usage_row()
    own.settled(row)
    assert gauge_sources.backlog(reader) == gauge_sources.backlog(reader)
    assert [line.id for line in read_all(reader)[0]] == [row.id]
    assert gauge_sources.backlog(reader) == Backlog()


def test_requests_in_flight_are_those_opened_and_not_settled_read_or_not(own, reader):
    first, second, third = (opened_line() for _ in range(3))
    own.opened(first)
    own.opened(second)
    read_all(reader)
    assert gauge_sources.backlog(reader).in_flight == 2
    own.opened(third)
    own.opened(third)  # another attempt
    own.settled(usage_row(id=first.id))
    assert gauge_sources.backlog(reader).in_flight == 2
    own.settled(usage_row(id=third.id))
    read_all(reader)
    assert gauge_sources.backlog(reader).in_flight == 1


def test_what_lies_behind_the_first_mebibyte_is_estimated(own, reader, monkeypatch):
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 200_000)
    monkeypatch.setattr(spool, "BATCH_BYTES", 50_000)
    for _ in range(1000):
        own.settled(usage_row())
    found = gauge_sources.backlog(reader)
    assert abs(found.rows - 1000) < 20


def test_a_folder_that_is_gone_has_nothing(own, reader):
    own.settled(usage_row())
    own.remove()
    assert gauge_sources.backlog(reader) == Backlog()


def test_rejected_rows_are_counted_on(tmp_path):
    rejected, path = Rejected(tmp_path), tmp_path / "rejected.jsonl"
    assert rejected() == 0
    path.write_bytes(b"{}\n{}\n")
    assert rejected() == 2
    with path.open("ab") as file:
        file.write(b"{}\n")
    assert rejected() == 3
    path.write_bytes(b"{}\n")
    assert rejected() == 1
    path.unlink()
    assert rejected() == 0


def test_a_process_knows_its_memory_and_descriptors():
    assert (gauge_sources.resident_bytes() or 0) > 10_000_000
    assert 0 < (gauge_sources.descriptors_share() or 0) < 1
