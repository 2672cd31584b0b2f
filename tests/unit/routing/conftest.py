"""Fixtures of the use case's tests: everything a request to a provider process needs."""

import pytest

from routing import attempts
from tests.unit.routing.processes import Clock, Process
from tests.unit.routing.use_case import Gateway


@pytest.fixture
def short_pauses(monkeypatch):
    monkeypatch.setattr(attempts, "BACKOFF_S", 0.001)


@pytest.fixture
def gateway(vendor, open_door, spool, short_pauses):
    return Gateway(vendor, spool)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def processes(tmp_path, clock):
    made = [Process(tmp_path / "counters.sqlite3", clock) for _ in range(2)]
    yield made
    for process in made:
        process.store.close()


@pytest.fixture
def one(processes):
    return processes[0]


@pytest.fixture
def other(processes):
    return processes[1]
