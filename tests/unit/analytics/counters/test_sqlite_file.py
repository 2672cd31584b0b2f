"""What becomes of an SQLite store whose file is deleted, replaced, broken or locked."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import Balance
from analytics.counters.store import StoreAway
from tests.unit.analytics.counters.stores import admit, make_whole, opener, reserve


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters.sqlite3"


@pytest.fixture
async def open_store(clock, tmp_path):
    opens, close = opener("sqlite", folder=tmp_path, clock=clock, server=None)
    yield opens
    await close()


@pytest.fixture
def store(open_store):
    store = open_store()
    make_whole(store, ("b1", 5))
    return store


def _delete(path, *suffixes):
    for suffix in suffixes or ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()


class TestADeletedFile:
    @pytest.mark.parametrize("suffixes", [[""], ["-wal"], ["-shm"], ["", "-wal", "-shm"]])
    def test_is_an_empty_store(self, store, path, suffixes):
        _delete(path, *suffixes)
        assert store.pulse().whole_since_ms is None
        assert store.balances(["b1"]) == {}

    async def test_keeps_no_rate(self, store, path):
        await store.admit(admit(cost=10))
        _delete(path)
        assert (await store.admit(admit(cost=10))).refused is None

    def test_leads_every_process_to_the_same_new_one(self, store, open_store, path):
        other = open_store()
        assert other.balances(["b1"]) == {"b1": Balance(5, 0)}
        _delete(path)
        make_whole(store, ("b1", 7))
        assert other.balances(["b1"]) == {"b1": Balance(7, 0)}

    def test_left_by_one_process_takes_nothing_from_another(self, store, open_store, path):
        """Closing the old connection would delete the new file's `-wal`."""
        other = open_store()
        other.pulse()
        _delete(path, "")
        make_whole(store, ("b1", 7))
        other.close()
        assert open_store().balances(["b1"]) == {"b1": Balance(7, 0)}
        assert path.with_name(f"{path.name}-wal").exists()

    async def test_comes_back_with_its_folder(self, clock, tmp_path):
        opens, close = opener("sqlite", folder=tmp_path / "var", clock=clock, server=None)
        store = opens()
        make_whole(store)
        shutil.rmtree(tmp_path / "var")
        assert store.pulse().whole_since_ms is None
        await close()


class TestAReplacedFile:
    def test_put_back_is_of_another_life(self, store, open_store, path):
        store.close()
        shutil.copy(path, path.with_name("backup"))
        path.with_name("backup").replace(path)
        again = open_store()
        assert again.pulse().whole_since_ms is None
        assert again.missing([]) == []
        assert again.balances(["b1"]) == {}
        make_whole(again, ("b2", 3))
        assert again.balances(["b1", "b2"]) == {"b2": Balance(3, 0)}

    def test_opened_again_is_of_the_same_life(self, store, open_store):
        store.close()
        assert open_store().balances(["b1"]) == {"b1": Balance(5, 0)}

    def test_after_a_boot_is_of_another_life(self, store, open_store, path, monkeypatch):
        store.close()
        monkeypatch.setattr("analytics.counters.sqlite_file._boot_id", lambda: "another")
        assert open_store().pulse().whole_since_ms is None


def _break_page_of(table, path):
    with closing(sqlite3.connect(path)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(data)


class TestABrokenFile:
    def test_is_made_anew(self, open_store, path):
        path.write_bytes(b"not a database, but as long as one " * 100)
        store = open_store()
        assert store.pulse().whole_since_ms is None
        make_whole(store, ("b1", 5))
        assert open_store().balances(["b1"]) == {"b1": Balance(5, 0)}

    def test_in_use_is_away_once_and_then_made_anew(self, store, open_store, path):
        store.close()
        _break_page_of("accounts", path)
        broken = open_store()
        broken._file.current()  # the first pages are whole: it opens
        with pytest.raises(StoreAway):
            broken.balances(["b1"])
            broken.pulse()
        assert broken.pulse().whole_since_ms is None
        make_whole(broken)


class TestALockedFile:
    async def test_is_away_after_the_deadline(self, store, path):
        store._file._deadline_s = 0.05
        quick = SqliteStore(path, deadline_s=0.05)
        quick.pulse()
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(StoreAway):
            await quick.reserve(reserve())
        assert time.monotonic() - started < 1
        holder.execute("ROLLBACK")
        holder.close()
        assert (await quick.reserve(reserve())).missing == ()
        quick.close()

    def test_that_cannot_be_made_is_away(self, tmp_path):
        (tmp_path / "in the way").write_text("")
        with pytest.raises(StoreAway):
            SqliteStore(tmp_path / "in the way" / "counters.sqlite3").pulse()


def test_threads_take_turns(store):
    counted = []

    def works(name):
        for n in range(50):
            store.settle_now([])
            counted.append(store.first(f"{name}-{n}"))

    threads = [threading.Thread(target=works, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted == [True] * 150


def test_a_step_that_fails_changes_nothing(store):
    with pytest.raises(AttributeError):
        store.settle_now([None])
    assert store.balances(["b1"]) == {"b1": Balance(5, 0)}
