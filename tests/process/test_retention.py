"""Old rows are dropped while new ones come."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.process.gateway_process import Installation
from tests.process.test_rollups import WITHIN_S, abandon, begin, drainer, run
from tests.unit.analytics.rollups.many_rows import rows

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


def test_what_is_old_is_dropped_while_rows_come(installed: Installation, tmp_path: Path) -> None:
    """In PostgreSQL by partitions that are detached beside the drainer."""
    dice = random.Random(1)
    abandon(tmp_path / "old", rows(300, dice=dice, start=datetime(2024, 5, 1, tzinfo=UTC), days=60))
    with drainer(installed, tmp_path / "old") as process:
        begin(process)
        assert process.wait(WITHIN_S) == 0
    before = len(installed.rows())
    abandon(tmp_path / "new", rows(2000, dice=dice, start=datetime.now(UTC) - timedelta(days=3), days=1))
    with drainer(installed, tmp_path / "new") as process:
        begin(process)
        told = json.loads(run(installed, "manage.py", "usage", "tidy", "--json"))
        assert process.wait(WITHIN_S) == 0
    assert (told["rows"], told["is_done"]) == (300, True)
    assert len(installed.rows()) == before - 300 + 2000
    run(installed, "manage.py", "usage", "verify")
