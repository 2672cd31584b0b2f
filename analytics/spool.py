"""The spool: what a request cost is on disk before the database hears of it, and before the upstream is called.

Each process that calls models has a folder of its own below `SPOOL_DIR`, locked for its life, with append-only
segments in it. Before the first upstream byte of an attempt an `opened` line is written, which becomes a row if the
process dies before anything else is known (outcome `interrupted`, cost estimated). Settling writes the `settled` line
with the whole row. Killing the process loses nothing: the lines are in the kernel's page cache; `SPOOL_FSYNC` puts them
on the disk as well.

This module writes and reads the files. Moving rows to the database is `analytics.drainer`'s.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import msgspec

from analytics import ids
from analytics.types import Opened, UsageRow

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 4 * 1024 * 1024
"""A segment that has grown past this is followed by a new one, so that drained ones can go."""
BATCH_BYTES = 4 * 1024 * 1024
HALF_MADE_S = 60.0
LOCK = "lock"
_CLOSED = -1
"""In place of a descriptor: the number of a closed one may by now be another file's."""


class SpoolError(Exception):
    """The spool cannot be written: the disk is full or the folder not writable. No upstream may be called."""


Line = Opened | UsageRow

_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(Line).decode


class Spool:
    """This process's own folder of segments. Writing is thread-safe."""

    def __init__(self, root: Path, *, fsync: bool = False) -> None:
        """Raises: SpoolError."""
        self._root = root
        self._fsync = fsync
        self._mutex = threading.Lock()
        self._segment = 0
        self._size = 0
        self._unwritten: dict[UUID, UsageRow] = {}
        """Settled rows that found the disk full."""
        self._has_no_folder = False
        """The folder was deleted, and no other could be made."""
        self._old_locks: list[int] = []
        """Of folders that were moved, or deleted in part."""
        try:
            self.folder, self._lock_fd = _make_locked_folder(root)
            self._fd = self._open_segment(1)
        except OSError as error:
            raise SpoolError(f"Cannot write to {root}: {error.strerror}") from error

    def opened(self, line: Opened) -> None:
        """Notes that an upstream is about to be called. Raises: SpoolError, and then it must not be called."""
        data = _encode(line) + b"\n"
        try:
            with self._mutex:
                self._refuse_without_folder()
                self._append(data)
        except OSError as error:
            raise SpoolError(f"Cannot write to {self.folder}: {error.strerror}") from error

    def settled(self, row: UsageRow) -> None:
        """Notes the final row. Never raises: a row that cannot be written waits in memory for the drainer."""
        data = _encode(row) + b"\n"
        with self._mutex:
            is_closed = self._fd == _CLOSED
            try:
                self._append(data)
            except OSError:
                self._unwritten[row.id] = row
        if is_closed:
            logger.error("Request %s was settled after its spool was closed: its row is in memory only", row.id)

    def take_unwritten(self) -> list[UsageRow]:
        """The settled rows that could not be written, from now on the caller's alone."""
        with self._mutex:
            rows, self._unwritten = self._unwritten, {}
        return list(rows.values())

    def write_again(self) -> list[UsageRow]:
        """Tries once more to write the settled rows that could not be; returns those that go on waiting in memory."""
        if self._unwritten and self.is_writable():
            for row in self.take_unwritten():
                self.settled(row)
        with self._mutex:
            return list(self._unwritten.values())

    def forget(self, rows: Iterable[UsageRow]) -> None:
        """These have reached the database from memory, and wait no more."""
        with self._mutex:
            for row in rows:
                self._unwritten.pop(row.id, None)

    def is_writable(self) -> bool:
        """Whether an `opened` line could be written now."""
        try:
            with self._mutex:
                self._refuse_without_folder()
                self._write(b"\n")
        except OSError:
            return False
        return True

    def is_deleted(self) -> bool:
        """Whether somebody removed or moved the folder: its file still takes lines, but nobody finds them there."""
        with self._mutex:
            return self._fd != _CLOSED and not _is_at(self._fd, segment_path(self.folder, self._segment))

    def move(self, still_open: Iterable[Opened]) -> None:
        """Goes on in a new folder, with every line of the last segment, and those of `still_open`, which may have
        stood in earlier ones. A row that was read already is read twice, which does no harm. What stood in earlier
        segments and was not read, as while the database is away, went with the folder.

        Raises: OSError. Then settled rows go to the old file, and no request is opened until a move succeeds.
        """
        kept = b"".join(_encode(line) + b"\n" for line in still_open)
        with self._mutex:
            old, old_lock, lines = self._fd, self._lock_fd, os.pread(self._fd, self._size, 0)
            self._has_no_folder = True
            folder, lock = _make_locked_folder(self._root)
            try:
                descriptor = _open_and_write(segment_path(folder, 1), kept + lines)
            except OSError:
                remove_folder(folder)
                os.close(lock)
                raise
            self.folder, self._lock_fd, self._fd = folder, lock, descriptor
            self._segment, self._size = 1, len(kept + lines)
            self._has_no_folder = False
        os.close(old)
        # Kept: whoever could lock the old folder would take its open requests for those of a process that died.
        self._old_locks.append(old_lock)

    def close(self) -> None:
        """Gives up the lock. What is left in the folder is replayed by whoever finds it."""
        if self._close_segment():
            self._unlock()

    def remove(self) -> None:
        """Closes and deletes the folder: call when everything in it has reached the database."""
        if self._close_segment():
            remove_folder(self.folder)
            self._unlock()

    def _unlock(self) -> None:
        for lock in (self._lock_fd, *self._old_locks):
            os.close(lock)

    def _close_segment(self) -> bool:
        """Returns whether it was open."""
        with self._mutex:
            descriptor, self._fd = self._fd, _CLOSED
        if descriptor == _CLOSED:
            return False
        os.close(descriptor)
        return True

    # From here on every function is called with the mutex held: the descriptor may change or be closed without it.

    def _refuse_without_folder(self) -> None:
        if self._has_no_folder:
            raise OSError(errno.ENOENT, "the spool's folder was deleted and cannot be made again")

    def _append(self, data: bytes) -> None:
        if self._fd == _CLOSED:
            raise OSError(errno.EBADF, "the spool is closed")
        if self._size > SEGMENT_BYTES:
            old, self._fd = self._fd, self._open_segment(self._segment + 1)
            os.close(old)
        self._write(data)

    def _write(self, data: bytes) -> None:
        written = os.write(self._fd, data)
        if written < len(data):
            # A full disk takes half a line: it must not become the start of the next one.
            os.ftruncate(self._fd, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written
        if self._fsync:
            os.fdatasync(self._fd)

    def _open_segment(self, number: int) -> int:
        descriptor = _open_and_write(segment_path(self.folder, number), b"")
        self._segment, self._size = number, 0
        return descriptor


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines read but not yet in the database, and where reading goes on once they are."""

    lines: tuple[Line, ...]
    unreadable: tuple[bytes, ...]
    segment: int
    end: int


class Reader:
    """Reads a spool folder in order, while its owner may still be writing. Moves on only when told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The first ones may have been drained and deleted by the process that owned the folder.
        self._segment = min(_numbers(folder), default=1)
        self._offset = 0
        self._open: dict[UUID, Opened] = {}
        self._segment_of: dict[UUID, int] = {}

    @property
    def still_open(self) -> list[Opened]:
        """Requests opened and not settled, as far as batches were accepted: the latest `opened` line of each."""
        return list(self._open.values())

    def next_batch(self) -> Batch | None:
        """The next complete lines, up to `BATCH_BYTES`; None when there is nothing new. A torn last line waits."""
        while True:
            has_successor = self._has_successor()
            data = self._read_lines()
            if data:
                return _batch(data, segment=self._segment, end=self._offset + len(data))
            if not has_successor:
                return None
            # Looked for the successor first: its owner makes it only after the last line here was written.
            self._segment, self._offset = self._segment + 1, 0

    def accept(self, batch: Batch) -> None:
        """The batch is in the database: go on behind it, and delete segments nobody needs any more."""
        self._offset = batch.end
        for line in batch.lines:
            if isinstance(line, UsageRow):
                self._forget(line.id)
            else:
                self._open[line.id] = line
                self._segment_of.setdefault(line.id, batch.segment)
        needed = min(self._segment_of.values(), default=self._segment)
        for path in self.folder.glob("*.jsonl"):
            if int(path.stem) < min(needed, self._segment):
                path.unlink(missing_ok=True)

    def forget(self, rows: Iterable[UsageRow]) -> None:
        """These are in the database without ever having been in the folder: their requests are open no more."""
        for row in rows:
            self._forget(row.id)

    def _forget(self, request_id: UUID) -> None:
        self._open.pop(request_id, None)
        self._segment_of.pop(request_id, None)

    def _has_successor(self) -> bool:
        return segment_path(self.folder, self._segment + 1).exists()

    def _read_lines(self) -> bytes:
        try:
            with segment_path(self.folder, self._segment).open("rb") as file:
                file.seek(self._offset)
                data = file.read(BATCH_BYTES)
                while data and b"\n" not in data and (more := file.read(BATCH_BYTES)):
                    data += more
        except FileNotFoundError:
            return b""
        return data[: data.rfind(b"\n") + 1]


def _batch(data: bytes, *, segment: int, end: int) -> Batch:
    lines: list[Line] = []
    unreadable: list[bytes] = []
    for raw in data.splitlines():
        if not raw:
            continue
        try:
            lines.append(_decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError):
            unreadable.append(raw)
    return Batch(tuple(lines), tuple(unreadable), segment, end)


def lines(folder: Path) -> Iterator[Line]:
    """Every readable line in a folder, oldest first, also of a living process: nothing is moved on or deleted.

    What its owner drains and deletes meanwhile may be missing; it is in the ledger then.
    """
    last = 0
    while (number := min((found for found in _numbers(folder) if found > last), default=None)) is not None:
        with suppress(FileNotFoundError):
            data = segment_path(folder, number).read_bytes()
            yield from _batch(data[: data.rfind(b"\n") + 1], segment=number, end=len(data)).lines
        last = number


def folders(root: Path) -> list[Path]:
    """Of all processes, living and dead."""
    if not root.is_dir():
        return []
    return sorted(folder for folder in root.iterdir() if not folder.name.startswith(".") and folder.is_dir())


def abandoned(root: Path) -> Iterator[tuple[Path, int]]:
    """Folders whose process is gone, each with the lock we now hold on it: close it when done."""
    for folder in folders(root):
        lock = _try_lock(folder)
        if lock is not None:
            yield folder, lock


def remove_folder(folder: Path) -> None:
    """Deletes a folder whose lock is held. Hides it first: what a kill leaves of it counts as half made, and goes."""
    with suppress(OSError):
        folder = folder.rename(folder.with_name(f".{folder.name.lstrip('.')}"))
    shutil.rmtree(folder, ignore_errors=True)


def remove_half_made(root: Path) -> None:
    """Deletes folders whose process died between making one and giving it its name."""
    for folder in root.glob(".*"):
        # One that is just being made may be given its name between two looks at it.
        with suppress(OSError):
            if folder.is_dir() and time.time() - folder.stat().st_mtime > HALF_MADE_S:
                remove_folder(folder)


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.jsonl"


def _numbers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.jsonl")]


def _open_and_write(path: Path, data: bytes) -> int:
    """A new segment. Raises: OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        if data and os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _make_locked_folder(root: Path) -> tuple[Path, int]:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = str(ids.new())
    # Locked before it has its name: nobody can take a folder that has just been made for an abandoned one.
    hidden = root / f".{name}"
    hidden.mkdir(mode=0o700)
    lock = os.open(hidden / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    hidden.rename(root / name)
    return root / name, lock


def _try_lock(folder: Path) -> int | None:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return None  # just removed by another process
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    if not folder.exists():
        os.close(lock)  # replayed and removed between our open and our lock
        return None
    return lock
