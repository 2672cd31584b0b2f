"""What gauges read: of any process its memory and descriptors, of the spool what waits in it.

Reads what is there, keeps no counts of its own and costs requests nothing.
"""

from __future__ import annotations

import copy
import os
import resource
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from analytics import spool
from analytics.types import UsageRow

_CHUNK_BYTES = 1024 * 1024


class Backlog(msgspec.Struct, frozen=True):
    """What a process's spool holds that its ledger does not know yet."""

    in_flight: int = 0
    """Requests that are opened and not settled."""
    rows: int = 0
    """Settled ones; beyond the first MiB an estimate by their usual length."""
    oldest_at: datetime | None = None
    """When the first of them was settled."""

    def lag_s(self, *, now: datetime) -> float:
        return 0.0 if self.oldest_at is None else round(max((now - self.oldest_at).total_seconds(), 0.0), 3)


def backlog(reader: spool.Reader) -> Backlog:
    """What `reader` has before it; asked from any thread, and moves nothing on."""
    batch = copy.copy(reader).next_batch()
    # Behind the copy: what is accepted between the two is read once more, and counted once.
    still_open = {line.id for line in reader.still_open}
    if batch is None:
        return Backlog(len(still_open))
    settled = [line for line in batch.lines if isinstance(line, UsageRow)]
    opened = {line.id for line in batch.lines if not isinstance(line, UsageRow)}
    in_flight = len((still_open | opened) - {row.id for row in settled})
    oldest_at = min((_settled_at(row) for row in settled), default=None)
    rest = _bytes_behind(reader.folder, segment=batch.segment, end=batch.end)
    return Backlog(in_flight, len(settled) + _estimated(len(settled), among=batch.lines, rest=rest), oldest_at)


def _estimated(rows: int, *, among: Sequence[spool.Line], rest: int) -> int:
    """How many rows the rest of the spool has, if it is like the lines that were read."""
    if not (rest and rows):
        return 0
    return round(rows * rest / sum(len(msgspec.json.encode(line)) + 1 for line in among))


def _settled_at(row: UsageRow) -> datetime:
    started_at = row.started_at if row.started_at.tzinfo else row.started_at.replace(tzinfo=UTC)
    return started_at + timedelta(milliseconds=row.duration_ms)


def _bytes_behind(folder: Path, *, segment: int, end: int) -> int:
    found = 0
    for path in folder.glob("*.jsonl"):
        with suppress(OSError):  # drained and deleted meanwhile
            number, size = int(path.stem), path.stat().st_size
            found += max(size - end, 0) if number == segment else size if number > segment else 0
    return found


class Rejected:
    """Counts the rows that the database refused, of all processes that share the spool. Reads on where it stopped."""

    def __init__(self, root: Path) -> None:
        self._path = root / "rejected.jsonl"
        self._read_to = 0
        self._count = 0

    def __call__(self) -> int:
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._read_to:  # somebody took the file away to look at it
                    self._read_to = self._count = 0
                file.seek(self._read_to)
                while chunk := file.read(_CHUNK_BYTES):
                    self._count += chunk.count(b"\n")
                    self._read_to += len(chunk)
        except FileNotFoundError:
            self._read_to = self._count = 0
        return self._count


def resident_bytes() -> int | None:
    """Memory of this process that is in use; None where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return None


def descriptors_share() -> float | None:
    """Open file descriptors, as a part of how many this process may have; None where the system does not tell."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft in (0, resource.RLIM_INFINITY):
        return None
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return round(len(os.listdir(folder)) / soft, 4)
    return None


OF_ANY_PROCESS = {"resident_bytes": resident_bytes, "descriptors_share": descriptors_share}
