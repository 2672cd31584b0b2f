"""The keeper and the rebuild over one file of counters, and what stands in their way."""

import logging
import sqlite3
import time
from contextlib import closing, contextmanager
from decimal import Decimal
from types import SimpleNamespace

import pytest

from analytics import budget_book, keeper, rebuilding
from analytics.counters.sqlite_store import SqliteStore, unix_ms
from analytics.counters.steps import Settle
from analytics.lengths import Lengths
from tests.unit.analytics.accounting import (
    now,
)


@pytest.fixture(autouse=True)
def expected_noise(caplog):
    for name in ("drainer", "keeper"):
        caplog.set_level(logging.CRITICAL, logger=f"analytics.{name}")


@pytest.fixture
def no_close(monkeypatch):
    """The keeper closes its thread's connection; here that is the one the test's transaction is open on."""
    monkeypatch.setattr(keeper, "connection", SimpleNamespace(close=lambda: None))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters.sqlite3"


class Clock:
    """The store's time: the real one, and what was added to it."""

    def __init__(self):
        self.ahead_ms = 0

    def __call__(self):
        return unix_ms() + self.ahead_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def deadline_s():
    """How long the store waits for its file: not long, as the keeper's tests keep it waiting."""
    return 0.1


@pytest.fixture
def store(path, deadline_s, clock):
    store = SqliteStore(path, deadline_s=deadline_s, clock=clock)
    yield store
    store.close()


@pytest.fixture
def another(path):
    """The same counters in another process."""
    store = SqliteStore(path, deadline_s=2)
    yield store
    store.close()


@pytest.fixture
def make_keeper(own, root, no_close):
    def makes(store, **options):
        usual = {"spool": own, "spool_root": root, "book": _the_same(), "lengths": Lengths(), "announce_s": 0}
        return keeper.Keeper(store, **(usual | options))

    return makes


def _the_same():
    """A book as a snapshot has it: another value only when budgets have changed."""
    last = [budget_book.load()]

    def book():
        fresh = budget_book.load()
        if fresh != last[-1]:
            last.append(fresh)
        return last[-1]

    return book


@pytest.fixture
def kept(make_keeper, store):
    return make_keeper(store)


@contextmanager
def busy(path):
    """Somebody holds the counters' file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield


def look_again(kept):
    """A round in which everything is due."""
    kept._due_at = {"seed": float("inf")}
    kept._fill_at = 0.0
    kept.look()


def look_until(kept, condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        kept.look()


def wanted(*, at=None):
    return rebuilding.targets(budget_book.load().all(), at=at or now())


@pytest.fixture
def rebuild(root):
    def rebuilds(store, *, at=None, replayed=lambda rows: None, wait=lambda seconds: None):
        return rebuilding.rebuild(
            store,
            wanted=wanted(at=at or now()),
            spool_root=root,
            announce_s=0,
            replayed=replayed,
            wait=wait,
        )

    return rebuilds


def settle(store, request_id, usd):
    """Whether a reservation was settled by this."""
    return bool(store.settle_now([Settle(request_id.hex, int(Decimal(usd) * 10**9))])[0].spent)
