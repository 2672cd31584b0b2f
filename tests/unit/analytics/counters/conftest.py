"""One suite for every store: `store` is each of them in turn, at the time that `clock` shows."""

from __future__ import annotations

import pytest

from tests.redis_server import running
from tests.unit.analytics.counters.stores import STORES, Clock, make_whole, opener


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=STORES)
async def open_store(request, clock, tmp_path):
    """Opens the same store again, as another process would."""
    opens, close = opener(request.param, folder=tmp_path, clock=clock, server=_server(request))
    yield opens
    await close()


@pytest.fixture
def empty_store(open_store):
    return open_store()


@pytest.fixture
def store(empty_store, clock):
    """Whole since a minute."""
    make_whole(empty_store)
    clock.ms += 60_000
    return empty_store


def _server(request):
    return request.getfixturevalue("redis_server") if request.param == "redis" else None


@pytest.fixture(scope="session")
def one_redis_server():
    with running() as server:
        yield server


@pytest.fixture
def redis_server(one_redis_server):
    """Running and empty."""
    one_redis_server.flush()
    return one_redis_server
