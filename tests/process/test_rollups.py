"""Roll-ups and the ledger's rows move together, or not at all: drainers that are killed, drainers that bring the same
rows at the same time, and a comparison beside them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from analytics import horizon, spool
from analytics.types import UsageRow
from tests.process.gateway_process import ROOT, Installation
from tests.unit.analytics.rollups.many_rows import rows

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

KILLS = 6
WITHIN_S = 120
LATEST_S = 0.4
"""When a drainer is killed, from the moment it begins."""


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    seed = request.config.getoption("randomly_seed")
    print(f"seed {seed}")
    return random.Random(seed)


def abandon(root: Path, left: Sequence[UsageRow]) -> None:
    """The spool of a process that died with these rows in it."""
    dead = spool.Spool(root)
    for row in left:
        dead.settled(row)
    dead.close()


@contextmanager
def drainer(installed: Installation, root: Path) -> Iterator[subprocess.Popen[str]]:
    """One that is ready, and begins when it is sent a line; killed in the end."""
    command = [sys.executable, "-m", "tests.process.draining", str(root)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=installed.env, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.stderr and process.stderr.read()
        try:
            yield process
        finally:
            process.kill()


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def run(installed: Installation, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=installed.env,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def checked(installed: Installation) -> dict[str, Any]:
    found = json.loads(run(installed, "-m", "tests.process.draining", "--check"))
    assert found["is_equal"]
    assert found["rows"] == len(installed.rows())
    return found


def test_kills_lose_nothing_and_count_nothing_twice(
    installed: Installation, tmp_path: Path, dice: random.Random
) -> None:
    before, coming, amid = len(installed.rows()), 0, 0
    for _ in range(KILLS):
        made = rows(300, dice=dice)
        abandon(tmp_path, made)
        coming += len(made)
        with drainer(installed, tmp_path) as process:
            begin(process)
            time.sleep(dice.uniform(0, LATEST_S))  # a random point is what is wanted
        amid += bool(spool.folders(tmp_path))
    print(f"{amid} of {KILLS} kills came before the end, {len(installed.rows()) - before} rows are there")
    assert amid
    with drainer(installed, tmp_path) as process:
        begin(process)
        assert process.wait(WITHIN_S) == 0
    assert checked(installed)["rows"] == before + coming


def test_two_that_bring_the_same_rows_at_once_count_them_once(
    installed: Installation, tmp_path: Path, dice: random.Random
) -> None:
    before, made = len(installed.rows()), rows(1200, dice=dice, days=1)
    for name in ("one", "other"):
        abandon(tmp_path / name, dice.sample(made, len(made)))
    with drainer(installed, tmp_path / "one") as one, drainer(installed, tmp_path / "other") as other:
        for process in (one, other):
            begin(process)
        for process in (one, other):
            _, said = process.communicate(timeout=WITHIN_S)
            assert (process.returncode, said) == (0, ""), "one had to wait for good, or was refused"
    assert checked(installed)["rows"] == before + len(made)


def test_a_comparison_beside_a_drainer_sees_one_moment(
    installed: Installation, tmp_path: Path, dice: random.Random
) -> None:
    day = horizon.day_of(timezone.now()) - timedelta(days=1)  # minutes of it are kept
    abandon(tmp_path, rows(3000, dice=dice, start=day, days=1))
    with drainer(installed, tmp_path) as process:
        begin(process)
        for _ in range(2):
            run(installed, "manage.py", "usage", "verify", "--since", f"{day:%Y-%m-%d}")
        assert process.wait(WITHIN_S) == 0
    run(installed, "manage.py", "usage", "rebuild", "--since", f"{day:%Y-%m-%d}", "--yes")
    checked(installed)
