"""Fixtures of the use case's tests: everything a request to a provider process needs."""

import pytest

from routing import attempts
from tests.unit.routing.use_case import Gateway


@pytest.fixture
def short_pauses(monkeypatch):
    monkeypatch.setattr(attempts, "BACKOFF_S", 0.001)


@pytest.fixture
def gateway(vendor, open_door, spool, short_pauses):
    return Gateway(vendor, spool)
