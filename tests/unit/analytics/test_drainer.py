"""From the spool to the ledger: each settled row once, none lost, whatever the database says."""

import logging
import os
import threading
from contextlib import nullcontext
from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest
from django.db import OperationalError, connection

from analytics import drainer, ids, ledger, spool
from analytics.models import UsageRecord
from analytics.spool import Reader, Spool
from tests.unit.analytics.spools import full_disk
from tests.unit.analytics.test_ledger import opened_line, usage_row

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def own(root):
    own = Spool(root)
    yield own
    own.close()


@pytest.fixture(autouse=True)
def expected_noise(caplog):
    caplog.set_level(logging.CRITICAL, logger="analytics.drainer")


def abandon(root, *, opened=(), settled=()):
    """The spool of a process that died with these lines in it."""
    left = Spool(root)
    for row in opened:
        left.opened(row)
    for row in settled:
        left.settled(row)
    left.close()
    return left.folder


def database_away():
    def refuse(execute, sql, params, many, context):
        if "INSERT" in sql:
            raise OperationalError("gone")
        return execute(sql, params, many, context)

    return connection.execute_wrapper(refuse)


def rejected(root):
    path = root / "rejected.jsonl"
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def in_ledger():
    return set(UsageRecord.objects.values_list("id", flat=True))


class TestDrain:
    def test_settled_rows_reach_the_ledger_and_opened_ones_do_not(self, own, root):
        settled, still_open = usage_row(), opened_line()
        own.opened(opened_line(id=settled.id))
        own.opened(still_open)
        own.settled(settled)
        drainer.drain(Reader(own.folder), root=root)
        assert in_ledger() == {settled.id}

    def test_the_settled_row_is_what_is_stored(self, own, root):
        line = opened_line()
        own.opened(line)
        own.settled(usage_row(id=line.id, cost_usd=Decimal("0.25")))
        drainer.drain(Reader(own.folder), root=root)
        assert UsageRecord.objects.values_list("outcome", "status", "cost_usd").get() == ("ok", 200, Decimal("0.25"))

    def test_again_from_the_start_changes_nothing(self, own, root):
        for _ in range(3):
            own.settled(usage_row())
        for _ in range(2):
            drainer.drain(Reader(own.folder), root=root)
        assert UsageRecord.objects.count() == 3

    def test_more_rows_than_go_at_once(self, own, root, monkeypatch):
        monkeypatch.setattr(drainer, "ROWS_AT_ONCE", 4)
        for _ in range(11):
            own.settled(usage_row())
        drainer.drain(Reader(own.folder), root=root)
        assert UsageRecord.objects.count() == 11

    def test_while_the_database_is_away_rows_wait_for_it(self, own, root):
        row = usage_row()
        own.settled(row)
        reader = Reader(own.folder)
        with database_away(), pytest.raises(OperationalError):
            drainer.drain(reader, root=root)
        assert (in_ledger(), rejected(root)) == (set(), [])
        drainer.drain(reader, root=root)
        assert in_ledger() == {row.id}


class TestBadRows:
    @pytest.mark.parametrize(
        "bad",
        [
            {"cost_usd": Decimal(-1)},
            {"input_tokens": -1},
            {"input_tokens": 2**70},
            {"outcome": "odd"},
            {"cost_source": "guess"},
        ],
    )
    def test_a_row_the_database_refuses_is_set_aside_and_the_rest_goes_in(self, own, root, bad):
        good = [usage_row(), usage_row()]
        refused = usage_row(**bad)
        for row in (good[0], refused, good[1]):
            own.settled(row)
        drainer.drain(Reader(own.folder), root=root)
        assert in_ledger() == {row.id for row in good}
        (entry,) = rejected(root)
        assert entry["why"]
        assert msgspec.json.decode(entry["line"])["id"] == str(refused.id)

    def test_a_line_nobody_can_read_is_set_aside(self, own, root):
        own.settled(usage_row())
        with spool.segment_path(own.folder, 1).open("ab") as file:
            file.write(b"{half\n")
        own.settled(usage_row())
        drainer.drain(Reader(own.folder), root=root)
        assert UsageRecord.objects.count() == 2
        assert rejected(root) == [{"why": "unreadable line", "line": "{half"}]

    def test_it_is_set_aside_once_however_often_the_database_is_away(self, own, root):
        with spool.segment_path(own.folder, 1).open("ab") as file:
            file.write(b"{half\n")
        own.settled(usage_row())
        reader = Reader(own.folder)
        for _ in range(3):
            with database_away(), pytest.raises(OperationalError):
                drainer.drain(reader, root=root)
        drainer.drain(reader, root=root)
        assert len(rejected(root)) == 1


class TestReplay:
    def test_what_a_dead_process_settled_is_stored(self, root):
        row = usage_row()
        folder = abandon(root, opened=[opened_line(id=row.id)], settled=[row])
        assert drainer.replay_abandoned(root) == 1
        assert in_ledger() == {row.id}
        assert not folder.exists()

    def test_what_it_had_open_is_stored_as_interrupted(self, root):
        line = opened_line(cost_usd=Decimal("0.125"))
        abandon(root, opened=[line])
        drainer.replay_abandoned(root)
        record = UsageRecord.objects.get()
        assert (record.id, record.started_at) == (line.id, ids.started_at(line.id))
        assert (record.outcome, record.status) == ("interrupted", 0)
        assert (record.cost_usd, record.cost_source, record.input_tokens) == (Decimal("0.125"), "estimate", 5)
        assert (record.key_name, record.provider, record.model, record.layer) == ("first", "acme", "large", "L1")

    def test_of_several_attempts_the_last_one_counts(self, root):
        first = opened_line(model="cheap", attempts=1)
        abandon(root, opened=[first, msgspec.structs.replace(first, model="dear", attempts=2)])
        drainer.replay_abandoned(root)
        assert UsageRecord.objects.values_list("model", "attempts").get() == ("dear", 2)

    def test_a_row_that_reached_the_ledger_before_the_process_died_stays_as_it_is(self, root):
        row = usage_row(cost_usd=Decimal("0.5"))
        ledger.insert([row])
        abandon(root, opened=[opened_line(id=row.id, cost_usd=Decimal(9))])
        drainer.replay_abandoned(root)
        assert UsageRecord.objects.values_list("outcome", "cost_usd").get() == ("ok", Decimal("0.5"))

    def test_a_living_process_is_left_alone(self, own, root):
        own.settled(usage_row())
        assert drainer.replay_abandoned(root) == 0
        assert (in_ledger(), own.folder.exists()) == (set(), True)

    def test_every_dead_process_is_replayed(self, root):
        rows = [usage_row() for _ in range(3)]
        for row in rows:
            abandon(root, settled=[row])
        assert drainer.replay_abandoned(root) == 3
        assert in_ledger() == {row.id for row in rows}

    def test_while_the_database_is_away_the_folder_waits(self, root):
        line = opened_line()
        folder = abandon(root, opened=[line])
        with database_away():
            assert drainer.replay_abandoned(root) == 0
        assert folder.exists()
        assert drainer.replay_abandoned(root) == 1
        assert in_ledger() == {line.id}

    def test_while_another_process_replays_it_we_do_not(self, root):
        abandon(root, settled=[usage_row()])
        ((_, lock),) = spool.abandoned(root)
        assert drainer.replay_abandoned(root) == 0
        os.close(lock)
        assert drainer.replay_abandoned(root) == 1

    def test_requests_open_behind_deleted_segments_are_not_lost(self, root, monkeypatch):
        monkeypatch.setattr(spool, "SEGMENT_BYTES", 1500)
        left = Spool(root)
        for _ in range(12):
            left.settled(usage_row())
        drainer.drain(Reader(left.folder), root=root)
        line = opened_line()
        left.opened(line)
        left.close()
        drainer.replay_abandoned(root)
        assert line.id in in_ledger()

    def test_nothing_is_replayed_where_nothing_was(self, root):
        assert drainer.replay_abandoned(root) == 0


@pytest.fixture
def no_close(monkeypatch):
    """The drainer closes its thread's connection; here that is the one the test's transaction is open on."""
    monkeypatch.setattr(drainer, "connection", SimpleNamespace(close=lambda: None))


@pytest.fixture
def thread(own, root, no_close):
    return drainer.Drainer(own, root=root, every_s=60)


def settle_on_full_disk(own):
    """A request whose `opened` line is in the spool and whose row found no room there."""
    row = usage_row()
    own.opened(opened_line(id=row.id))
    with full_disk():
        own.settled(row)
    return row


def rows_in_ledger():
    return list(UsageRecord.objects.values_list("id", "outcome"))


class TestRowsInMemory:
    @pytest.mark.parametrize("disk", [full_disk, nullcontext], ids=["full", "free_again"])
    def test_a_row_that_found_the_disk_full_arrives_once(self, own, thread, disk):
        row = settle_on_full_disk(own)
        with disk():
            for _ in range(2):
                assert thread._try()
        assert (rows_in_ledger(), own.take_unwritten()) == ([(row.id, "ok")], [])

    @pytest.mark.parametrize("disk", [full_disk, nullcontext], ids=["full", "free_again"])
    def test_it_waits_for_the_database_and_arrives_once(self, own, thread, disk):
        row = settle_on_full_disk(own)
        with disk():
            with database_away():
                assert not thread._try()
            assert (rows_in_ledger(), thread.problem) == ([], "gone")
            for _ in range(2):
                assert thread._try()
        assert (rows_in_ledger(), own.take_unwritten(), thread.problem) == ([(row.id, "ok")], [], "")

    def test_once_settled_from_memory_its_request_is_open_no_more(self, own, thread):
        settle_on_full_disk(own)
        with full_disk():
            assert thread._try()
        assert thread._reader.still_open == []

    def test_neither_when_it_was_opened_and_settled_while_the_drainer_was_at_work(self, own, thread, monkeypatch):
        """The row must not be taken from memory before its `opened` line was read: that would be forgotten too soon."""
        drain, late = drainer.drain, []

        def drain_then_settle(reader, *, root):
            drain(reader, root=root)
            if not late:
                late.append(settle_on_full_disk(own))

        monkeypatch.setattr(drainer, "drain", drain_then_settle)
        monkeypatch.setattr(own, "is_writable", lambda: False)
        for _ in range(2):
            assert thread._try()
        assert (rows_in_ledger(), thread._reader.still_open) == ([(late[0].id, "ok")], [])

    def test_after_a_stop_without_the_database_the_next_process_finds_it_settled(self, own, root, thread):
        row = settle_on_full_disk(own)
        thread.start()
        with database_away():
            assert not thread.stop(timeout_s=5)
        own.close()
        assert drainer.replay_abandoned(root) == 1
        assert rows_in_ledger() == [(row.id, "ok")]

    def test_nor_is_it_lost_when_the_thread_hangs_in_the_database(self, own, root, thread, monkeypatch):
        row = settle_on_full_disk(own)
        arrived, goes_on = threading.Event(), threading.Event()

        def hang(rows):
            arrived.set()
            goes_on.wait(5)
            raise OperationalError("gone")

        monkeypatch.setattr(ledger, "insert", hang)
        monkeypatch.setattr(thread, "_every_s", 0.001)
        with full_disk():
            thread.start()
            assert arrived.wait(5)
        assert not thread.stop(timeout_s=0)
        goes_on.set()
        thread.join(5)
        own.close()
        monkeypatch.undo()
        drainer.replay_abandoned(root)
        assert rows_in_ledger() == [(row.id, "ok")]


class TestStop:
    def test_with_everything_in_the_ledger_nothing_is_left(self, own, thread):
        row = usage_row()
        own.opened(opened_line(id=row.id))
        own.settled(row)
        thread.start()
        assert thread.stop(timeout_s=5)
        assert in_ledger() == {row.id}

    def test_with_a_request_still_open_something_is(self, own, thread):
        own.opened(opened_line())
        thread.start()
        assert not thread.stop(timeout_s=5)

    def test_a_stray_exception_does_not_get_in_its_way(self, own, thread, monkeypatch):
        monkeypatch.setattr(drainer, "drain", fail_once := FailsOnce())
        thread.start()
        assert not thread.stop(timeout_s=5)
        assert fail_once.calls == 1


class FailsOnce:
    """In place of a function: raises what nobody thought of, and from then on does nothing."""

    def __init__(self):
        self.calls = 0
        self.again = threading.Event()

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.calls == 1:
            raise RuntimeError("odd")
        self.again.set()


class TestTheThread:
    @pytest.mark.parametrize("step", ["drain", "replay_abandoned"])
    def test_a_stray_exception_does_not_end_it(self, thread, monkeypatch, caplog, step):
        caplog.set_level(logging.ERROR, logger="analytics.drainer")
        monkeypatch.setattr(drainer, step, fails_once := FailsOnce())
        monkeypatch.setattr(thread, "_every_s", 0.001)
        thread.start()
        assert fails_once.again.wait(5)
        assert thread.stop(timeout_s=5)
        assert thread.problem == ""
        assert [record.exc_info[0] for record in caplog.records] == [RuntimeError]

    def test_meanwhile_it_is_a_problem(self, thread, monkeypatch):
        monkeypatch.setattr(drainer, "replay_abandoned", FailsOnce())
        assert not thread._try(looks_for_dead=True)
        assert thread.problem == "RuntimeError, see the log"
        assert thread._try(looks_for_dead=True)
        assert thread.problem == ""
