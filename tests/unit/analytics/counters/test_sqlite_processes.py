"""Several processes at one counters' file at once, also while somebody deletes it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import Admit, Balance, Rate
from tests.unit.analytics.counters.hammer import LIMIT
from tests.unit.analytics.counters.stores import make_whole


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters.sqlite3"


@pytest.fixture
def store(path):
    store = SqliteStore(path, deadline_s=2)
    yield store
    store.close()


@pytest.fixture
def hammers(path):
    """Starts processes; tells them to stop; gives what they saw."""
    started = []

    def starts(mode, *, names):
        for name in names:
            command = [sys.executable, "-m", "tests.unit.analytics.counters.hammer", str(path), mode, name]
            started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for process in started:
            assert process.stdout.readline() == "ready\n"

    def stops():
        return [json.loads(process.communicate("stop\n", timeout=20)[0]) for process in started]

    yield starts, stops
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_three_processes_spend_one_budget_and_never_more(store, hammers):
    starts, stops = hammers
    make_whole(store, ("b1", 0))
    starts("spend", names=["a", "b", "c"])
    _wait_until(lambda: store.balances(["b1"])["b1"].spent > LIMIT - 5_000)
    seen = stops()
    assert store.balances(["b1"])["b1"] == Balance(sum(each["spent"] for each in seen), 0)
    assert max(each["highest"] for each in seen) <= LIMIT


@pytest.mark.parametrize("which", ["the database alone", "all files"])
def test_processes_meet_in_a_new_file_after_each_deletion(store, path, hammers, which):
    starts, stops = hammers
    suffixes = {"the database alone": [""], "all files": ["", "-wal", "-shm"]}
    starts("count", names=["a", "b"])
    with ExitStack() as kept:
        for _ in range(5):
            _wait_until(path.exists)
            # Held open, its inode is not given to the new file, which could not be told from it.
            before = os.fstat(kept.enter_context(path.open("rb")).fileno())
            for suffix in suffixes[which]:
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            _wait_until(lambda before=before: path.exists() and not os.path.samestat(path.stat(), before))
    seen = stops()
    assert all(each["admitted"] > 0 for each in seen)
    rates = (Rate("a-after", LIMIT, 0), Rate("b-after", LIMIT, 0))
    states = asyncio.run(store.admit(Admit("r", rates, (), 3_600_000, 1))).states
    assert [state.used for state in states] == [50, 50]


def _wait_until(true, *, within_s=10):
    give_up_at = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)
