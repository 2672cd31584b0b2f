"""Processes that carry a mark in their environment: a mark is inherited, so it finds whatever a command started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

MARK = "GATEWAY_TEST_MARK"
POLL_S = 0.02


def alive(mark: str) -> dict[int, str]:
    """Command lines of the marked processes, by id; zombies are not alive."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # gone meanwhile, or somebody else's
    return found


def wait_until(condition: Callable[[], object], *, within_s: float = 10.0) -> bool:
    """Whether `condition` became true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
