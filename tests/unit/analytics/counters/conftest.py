"""One suite for every store: `store` is each of them in turn, whole and empty, at the time that `clock` shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import Rebuilt
from tests.unit.analytics.counters.clocks import Clock

STORES = ["sqlite"]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=STORES)
def open_store(request, clock, tmp_path) -> Callable[[], object]:
    """Opens the same store again, as another process would."""
    opened = []

    def opens():
        opened.append(SqliteStore(tmp_path / "counters.sqlite3", deadline_s=2, clock=clock))
        return opened[-1]

    yield opens
    for store in opened:
        store.close()


@pytest.fixture
def empty_store(open_store):
    return open_store()


@pytest.fixture
def store(empty_store, clock):
    """Whole since a minute."""
    assert empty_store.begin("first", ttl_ms=1_000)
    assert empty_store.finish("first", Rebuilt((), (), ttl_ms=1_000))
    clock.ms += 60_000
    return empty_store
