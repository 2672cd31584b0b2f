"""Fixtures of the spool's tests."""

import pytest

from analytics import spool
from analytics.spool import Spool


@pytest.fixture
def own(tmp_path):
    own = Spool(tmp_path / "spool")
    yield own
    own.close()


@pytest.fixture
def small_segments(monkeypatch):
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 1500)
