"""Made-up usage in a database of its own: two ways to the same sums, and nothing that `usage verify` would find."""

from __future__ import annotations

import json

import pytest

from tests.process.gateway_process import Installation
from tests.process.test_rollups import run

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


def test_seeded_roll_ups_are_what_their_rows_amount_to(installed: Installation) -> None:
    """In PostgreSQL two days at once, by statements of their own; over more days than minutes are kept."""
    said = run(installed, "manage.py", "seed_usage", "--rows", "1200", "--days", "10", "--keys", "40", "--models", "9")
    assert "1,200 rows in" in said
    verified = json.loads(run(installed, "manage.py", "usage", "verify", "--json"))
    assert (verified["rows"], verified["differences"]) == (1200, [])
    told = json.loads(run(installed, "manage.py", "usage", "--since", "14d", "--json"))
    assert told["totals"]["requests"] == 1200
