"""Moves rows from the spool to the ledger, in a thread of its own, in batches; also those of processes that died.

A row is never lost: what the database refuses for its content goes to `rejected.jsonl` beside the spool with the
reason, and everything else waits until the database is back.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection

from analytics import cost, gauge_sources, ids, ledger, spool
from analytics.gauge_sources import Backlog
from analytics.models import CostSource, Outcome
from analytics.types import Opened, UsageRow

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 3_000
LOOK_FOR_DEAD_S = 2.0
LONGEST_PAUSE_S = 1.0
"""Between two tries while the database is away."""
_WAITS = (DatabaseError, InterfaceError, OSError)
"""The database, or the disk for what it refuses, is away: the rows stay where they are and are tried again."""

Replayed = Callable[[Sequence[UsageRow]], None]
"""Told of rows of dead processes that are in the ledger now, settled and interrupted ones: nobody else settles what
budgets hold for them. Called again with the same rows when a replay is tried again."""


def _nobody(rows: Sequence[UsageRow]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Refused:
    """A line that will never become a row, and the reason."""

    line: bytes
    why: str


class Drainer(threading.Thread):
    """Drains one process's spool until stopped, and adopts the spools of dead processes on the way."""

    def __init__(self, own: spool.Spool, *, root: Path, every_s: float, replayed: Replayed = _nobody) -> None:
        super().__init__(name="drainer", daemon=True)
        self._own = own
        self._reader = spool.Reader(own.folder)
        self._root = root
        self._every_s = every_s
        self._replayed = replayed
        self._stopping = threading.Event()
        self.problem = ""
        """Why rows are not reaching the database, '' while they do."""
        self.rows_in_memory = 0
        """Settled rows that the disk did not take."""

    def backlog(self) -> Backlog:
        """What this process's spool holds that the ledger does not know yet. For any thread."""
        return gauge_sources.backlog(self._reader)

    def run(self) -> None:
        try:
            self._run()
        finally:
            connection.close()

    def _run(self) -> None:
        pause_s, until_dead_s = self._every_s, 0.0
        while not self._stopping.wait(pause_s):
            until_dead_s -= pause_s
            looks_for_dead = until_dead_s <= 0
            if self._try(looks_for_dead=looks_for_dead) and looks_for_dead:
                until_dead_s = LOOK_FOR_DEAD_S
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S) if self.problem else self._every_s

    def stop(self, *, timeout_s: float) -> bool:
        """Drains what is left and ends the thread; returns whether everything reached the database."""
        self._stopping.set()
        self.join(timeout_s)
        if self.is_alive():
            self._own.write_again()  # the thread hangs in the database: what is on the disk outlives it
            return False
        try:
            return self._try() and not self._reader.still_open
        finally:
            connection.close()  # this thread's own

    def _try(self, *, looks_for_dead: bool = False) -> bool:
        try:
            self._drain_own()
            if looks_for_dead:
                replay_abandoned(self._root, replayed=self._replayed)
        except _WAITS as error:
            connection.close()
            if not self.problem:
                logger.error("Usage rows wait in %s: %s", self._own.folder, error)
            self.problem = str(error)[:200] or type(error).__name__
            return False
        except Exception as error:
            # What nobody thought of must not end the thread that would see it mended.
            connection.close()
            logger.exception("Usage rows wait in %s", self._own.folder)
            self.problem = f"{type(error).__name__}, see the log"
            return False
        self.problem = ""
        return True

    def _drain_own(self) -> None:
        if self._own.is_deleted():
            self._own.move(self._reader.still_open)
            self._reader = spool.Reader(self._own.folder)
            logger.error("The spool's folder was deleted; what was not in the ledger yet is in %s", self._own.folder)
        # Before the database is asked: what is on the disk outlives this process even while the database is away.
        in_memory = self._own.write_again()
        self.rows_in_memory = len(in_memory)
        # Behind it, so that the reader has seen the `opened` line of each of these and can forget it.
        drain(self._reader, root=self._root)
        if in_memory:
            _set_aside(_insert_all(in_memory), root=self._root)
            self._own.forget(in_memory)
            self._reader.forget(in_memory)
            self.rows_in_memory = 0


def drain(reader: spool.Reader, *, root: Path, inserted: Replayed = _nobody) -> None:
    """Moves every settled row that the reader has before it. Raises what the database raises when it is away."""
    while (batch := reader.next_batch()) is not None:
        rows = [line for line in batch.lines if isinstance(line, UsageRow)]
        refused = [_Refused(bytes(raw), "unreadable line") for raw in batch.unreadable] + _insert_all(rows)
        if rows:
            inserted(rows)
        # Last, so that a batch that is tried again because the database went away sets nothing aside twice.
        _set_aside(refused, root=root)
        reader.accept(batch)


def replay_abandoned(root: Path, *, replayed: Replayed = _nobody) -> int:
    """Settles the requests of dead processes: what they settled, and `interrupted` for what they had open.

    Returns how many folders were adopted. A folder stays for the next try when the database is away.
    """
    adopted = 0
    spool.remove_half_made(root)
    for folder, lock in spool.abandoned(root):
        try:
            _replay(folder, root=root, replayed=replayed)
            adopted += 1
        except _WAITS as error:
            logger.error("The spool of a dead process waits: %s", error)
        finally:
            os.close(lock)
    return adopted


def _replay(folder: Path, *, root: Path, replayed: Replayed) -> None:
    reader = spool.Reader(folder)
    drain(reader, root=root, inserted=replayed)
    if interrupted := [_interrupted(opened) for opened in reader.still_open]:
        logger.warning("%d requests of a process that died are settled as interrupted", len(interrupted))
        refused = _insert_all(interrupted)
        replayed(interrupted)
        _set_aside(refused, root=root)
    spool.remove_folder(folder)


def _interrupted(opened: Opened) -> UsageRow:
    """The row of a request whose process died: charged at its estimate, as the provider has probably been at work.
    Budgets that held nothing for it count the estimate as well."""
    asked = msgspec.structs.asdict(opened)
    return UsageRow(
        budget_usd=cost.rounded(max(asked.pop("cap_usd"), opened.cost_usd)),  # a cap has as many places as its prices
        **asked,
        started_at=ids.started_at(opened.id),
        outcome=Outcome.INTERRUPTED.value,
        status=0,
        cost_source=CostSource.ESTIMATE.value,
    )


def _insert_all(rows: Sequence[UsageRow]) -> list[_Refused]:
    refused: list[_Refused] = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        refused += _insert(rows[start : start + ROWS_AT_ONCE])
    return refused


def _insert(rows: Sequence[UsageRow]) -> list[_Refused]:
    """Puts the rows into the ledger; returns those it refuses for what they hold."""
    try:
        ledger.insert(rows)
    except (DataError, IntegrityError, ValueError, OverflowError) as error:
        if len(rows) == 1:
            return [_Refused(msgspec.json.encode(rows[0]), str(error))]
        # One bad row must not hold up the others; halves find it with few transactions.
        half = len(rows) // 2
        return _insert(rows[:half]) + _insert(rows[half:])
    return []


def _set_aside(refused: Sequence[_Refused], *, root: Path) -> None:
    if not refused:
        return
    path = root / "rejected.jsonl"
    logger.error("%d usage rows cannot be stored and went to %s: %s", len(refused), path, refused[0].why)
    with path.open("ab") as file:
        for row in refused:
            file.write(msgspec.json.encode({"why": row.why, "line": row.line.decode(errors="replace")}) + b"\n")
