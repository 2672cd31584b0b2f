"""Moves rows from the spool to the ledger, in a thread of its own, in batches; also those of processes that died.

A row is never lost: what the database refuses for its content goes to `rejected.jsonl` beside the spool with the
reason, and everything else waits until the database is back.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection

from analytics import ledger, spool
from analytics.types import UsageRow

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 500
LOOK_FOR_DEAD_S = 2.0
LONGEST_PAUSE_S = 5.0
_WAITS = (DatabaseError, InterfaceError, OSError)
"""The database, or the disk for what it refuses, is away: the rows stay where they are and are tried again."""


class Drainer(threading.Thread):
    """Drains one process's spool until stopped, and adopts the spools of dead processes on the way."""

    def __init__(self, own: spool.Spool, *, root: Path, every_s: float) -> None:
        super().__init__(name="drainer", daemon=True)
        self._own = own
        self._reader = spool.Reader(own.folder)
        self._root = root
        self._every_s = every_s
        self._stopping = threading.Event()
        self.failing_since: str = ""
        """Why rows are not reaching the database, '' while they do."""

    def run(self) -> None:
        try:
            self._run()
        finally:
            connection.close()

    def _run(self) -> None:
        pause_s, until_dead_s = self._every_s, 0.0
        while not self._stopping.wait(pause_s):
            until_dead_s -= pause_s
            if self._try() and until_dead_s <= 0:
                replay_abandoned(self._root)
                until_dead_s = LOOK_FOR_DEAD_S
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S) if self.failing_since else self._every_s

    def stop(self, *, timeout_s: float) -> bool:
        """Drains what is left and ends the thread; returns whether everything reached the database."""
        self._stopping.set()
        self.join(timeout_s)
        try:
            return not self.is_alive() and self._try() and not self._reader.open_rows
        finally:
            connection.close()  # this thread's own

    def _try(self) -> bool:
        try:
            drain(self._reader, root=self._root)
            _insert_from_memory(self._own, root=self._root)
        except _WAITS as error:
            connection.close()
            if not self.failing_since:
                logger.error("Usage rows wait in %s: the database does not take them (%s)", self._own.folder, error)
            self.failing_since = str(error)[:200]
            return False
        self.failing_since = ""
        return True


def drain(reader: spool.Reader, *, root: Path) -> None:
    """Moves every settled row that the reader has before it. Raises what the database raises when it is away."""
    while (batch := reader.next_batch()) is not None:
        if batch.unreadable:
            _reject([bytes(raw) for raw in batch.unreadable], root=root, why="unreadable line")
        rows = [line.row for line in batch.lines if line.is_settled]
        for start in range(0, len(rows), ROWS_AT_ONCE):
            _insert(rows[start : start + ROWS_AT_ONCE], root=root)
        reader.accept(batch)


def replay_abandoned(root: Path) -> int:
    """Settles the requests of dead processes: what they settled, and `interrupted` for what they had open.

    Returns how many folders were adopted. A folder stays for the next try when the database is away.
    """
    adopted = 0
    for folder, lock in spool.abandoned(root):
        try:
            reader = spool.Reader(folder)
            drain(reader, root=root)
            if reader.open_rows:
                logger.warning("%d requests of a process that died are settled as interrupted", len(reader.open_rows))
                _insert(reader.open_rows, root=root)
            spool.remove_folder(folder)
            adopted += 1
        except _WAITS as error:
            logger.error("The spool of a dead process waits: %s", error)
        finally:
            os.close(lock)
    return adopted


def _insert_from_memory(own: spool.Spool, *, root: Path) -> None:
    rows = own.take_unwritten()
    try:
        if rows:
            _insert(rows, root=root)
    except _WAITS:
        own.unwritten.extend(rows)
        raise


def _insert(rows: Sequence[UsageRow], *, root: Path) -> None:
    try:
        ledger.insert(rows)
    except (DataError, IntegrityError, ValueError, OverflowError) as error:
        if len(rows) == 1:
            _reject([msgspec.json.encode(rows[0])], root=root, why=str(error))
            return
        for row in rows:  # one bad row must not hold up the others
            _insert([row], root=root)


def _reject(lines: Sequence[bytes], *, root: Path, why: str) -> None:
    logger.error("%d usage rows cannot be stored and went to %s: %s", len(lines), root / "rejected.jsonl", why)
    with (root / "rejected.jsonl").open("ab") as file:
        for line in lines:
            file.write(msgspec.json.encode({"why": why, "line": line.decode(errors="replace")}) + b"\n")
