"""Fixtures of the spool's tests."""

import pytest

from analytics import spool
from analytics.spool import Spool


@pytest.fixture
def root(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def own(root):
    own = Spool(root)
    yield own
    own.close()


@pytest.fixture
def small_segments(monkeypatch):
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 1500)
