"""A process that drains abandoned spools into the ledger, and one that holds the roll-ups against plain SQL.

`python -m tests.process.draining ROOT` says `ready`, waits for a line, drains until nothing is left, and ends;
`python -m tests.process.draining --check` prints the number of rows and whether the roll-ups equal them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import django

ROWS_AT_ONCE = 50
"""So few that a process has many transactions to be killed in."""


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "gateway.settings"
    django.setup()
    if sys.argv[1] == "--check":
        _check()
    else:
        _drain(Path(sys.argv[1]))


def _drain(root: Path) -> None:
    from analytics import drainer, spool

    drainer.ROWS_AT_ONCE = ROWS_AT_ONCE
    print("ready", flush=True)
    sys.stdin.readline()
    while spool.folders(root):
        drainer.replay_abandoned(root)


def _check() -> None:
    from analytics.models import UsageRecord
    from tests.unit.analytics.rollups import plain_sql

    should, found = plain_sql.should_be(), plain_sql.are()
    print(json.dumps({"rows": UsageRecord.objects.count(), "series": len(found), "is_equal": should == found}))


if __name__ == "__main__":
    main()
