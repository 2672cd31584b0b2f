"""Counts the gateway's usage records in its SQLite file, from outside, and what budgets counted of them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

DRAIN_S = 10.0
_POLL_S = 0.01


class LedgerError(Exception):
    """The ledger does not hold exactly one row for each request."""


def wait_for(rows: int, *, var_dir: Path, within_s: float = DRAIN_S) -> None:
    """Returns once the ledger holds `rows` rows. Raises: LedgerError when it holds more, or fewer after `within_s`."""
    deadline = time.monotonic() + within_s
    while (found := count(var_dir)) < rows and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if found != rows:
        raise LedgerError(f"The ledger has {found} usage records for {rows} requests.")


def count(var_dir: Path) -> int:
    """Usage records in `var_dir`."""
    return _ask("SELECT count(*) FROM analytics_usagerecord", var_dir=var_dir)


def check_counted(var_dir: Path) -> None:
    """Raises: LedgerError when there is a row that no budget counted: it was not in force then."""
    uncounted = _ask("SELECT count(*) FROM analytics_usagerecord WHERE budget_usd = 0", var_dir=var_dir)
    if uncounted:
        raise LedgerError(f"No budget counted {uncounted} of {count(var_dir)} requests: their cost is not money's.")


def _ask(query: str, *, var_dir: Path) -> int:
    address = f"file:{var_dir / 'gateway.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=DRAIN_S)) as connection:
        return int(connection.execute(query).fetchone()[0])
