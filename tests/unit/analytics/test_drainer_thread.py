"""The drainer's thread: rows that wait in memory, folders that are deleted, and how it stops."""

import logging
import shutil
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from analytics import drainer, ledger
from analytics.models import UsageRecord
from tests.unit.analytics.spools import full_disk
from tests.unit.analytics.test_drainer import database_away, in_ledger
from tests.unit.analytics.test_ledger import opened_line, usage_row

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def expected_noise(caplog):
    caplog.set_level(logging.CRITICAL, logger="analytics.drainer")


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


class TestAFolderThatIsDeleted:
    def test_loses_no_row_of_what_was_open(self, own, root, thread):
        opened = opened_line()
        own.opened(opened)
        assert thread._try()
        shutil.rmtree(own.folder)
        own.settled(usage_row(id=opened.id))
        own.opened(opened_line())
        assert thread._try()
        assert UsageRecord.objects.get().id == opened.id
        assert len(thread._reader.still_open) == 1

    def test_is_tried_again_until_there_is_one(self, own, root, thread):
        row = usage_row()
        own.settled(row)
        shutil.rmtree(root)
        root.write_text("in the way")
        assert not thread._try()
        assert thread.problem
        root.unlink()
        assert thread._try()
        assert UsageRecord.objects.get().id == row.id


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
