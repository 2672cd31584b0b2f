"""The file of the SQLite store: opens it, notices that somebody deleted or replaced it, and lets go of it unharmed.

Knows no step. Files of one store: the database, its `-wal` and `-shm`, and `.lock`, under whose flock alone the others
are made and removed by us. Whoever else deletes them may do so at any time.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

from analytics.counters.store import StoreAway

BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    life TEXT NOT NULL,
    whole_since_ms INTEGER,
    began_ms INTEGER NOT NULL DEFAULT 0,
    rebuild TEXT NOT NULL DEFAULT '',
    rebuild_ends_ms INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS rates (
    name TEXT, span_ms INTEGER, bucket INTEGER, used INTEGER NOT NULL, PRIMARY KEY (name, span_ms, bucket)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS heads (
    name TEXT, span_ms INTEGER, bucket INTEGER NOT NULL, used INTEGER NOT NULL, before INTEGER NOT NULL,
    PRIMARY KEY (name, span_ms)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slots (
    name TEXT, id TEXT, ends_ms INTEGER NOT NULL, PRIMARY KEY (name, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY, spent INTEGER NOT NULL, open INTEGER NOT NULL, ends_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reservations (
    id TEXT PRIMARY KEY, cap INTEGER NOT NULL, accounts TEXT NOT NULL, ends_ms INTEGER NOT NULL,
    lapsed INTEGER NOT NULL DEFAULT 0  -- 1 once charged, then when it was last looked for
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reservations_by_end ON reservations (lapsed, ends_ms);
CREATE TABLE IF NOT EXISTS late (id TEXT PRIMARY KEY, nano_usd INTEGER NOT NULL, accounts TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, made_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS registers (
    kind TEXT, name TEXT,  -- '' holds the last version that was given
    version INTEGER NOT NULL, value BLOB NOT NULL, ends_ms INTEGER NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
"""

Stamp = tuple[tuple[int, int], ...]
"""Device and inode of the database and its side files."""
Folder = tuple[int, int, int]
"""Device, inode and when it last changed, in nanoseconds."""
COARSE_NS = 100_000_000
"""Far above the tick of the clock that file systems take a change's time from."""


class Opened:
    """One connection, and what its files were when it was made."""

    def __init__(self, db: sqlite3.Connection, *, stamp: Stamp) -> None:
        self.db = db
        self.stamp = stamp
        self.life = f"{stamp[0][1]}:{_boot_id()}"
        self.folder: Folder | None = None
        """As it was when the files were last compared."""
        self.whole_since_ms: int | None = None
        """Remembered once it is known: a file that is whole stays so."""


class CountersFile:
    """One connection at a time. Not safe for several threads at once. Raises: StoreAway, sqlite3.Error."""

    def __init__(self, path: Path, *, deadline_s: float) -> None:
        self._path = path
        self._folder = str(path.parent)
        self._names = tuple(f"{path}{suffix}" for suffix in ("", "-wal", "-shm"))
        self._deadline_s = deadline_s
        self._opened: Opened | None = None
        self._left: tuple[int, int] | None = None
        """The database that the last connection was left to, while another has not been opened."""

    def current(self) -> Opened:
        """The connection to what is at the path now."""
        opened = self._opened
        if opened is not None:
            if self._is_there(opened):
                return opened
            self._leave()
        try:
            return self._open()
        except OSError as error:
            raise StoreAway(f"the counters' file cannot be opened: {error.strerror}") from error

    def failed(self, error: BaseException) -> None:
        """Ends the transaction that `error` broke off; a file that can no longer be read is left."""
        opened = self._opened
        if opened is None:
            return
        if isinstance(error, sqlite3.Error) and _is_broken(error):
            self._leave()
            return
        try:
            opened.db.rollback()
        except sqlite3.Error:
            self._leave()

    def close(self) -> None:
        """Under the lock nobody makes new files, whose `-wal` SQLite would take for the old one's."""
        opened, self._opened = self._opened, None
        with suppress(OSError, StoreAway, sqlite3.Error):
            if opened is not None:
                with self._locked():
                    if self._stamp() == opened.stamp:
                        opened.db.close()

    def _leave(self) -> None:
        """Lets the connection be, open for ever: closing it would delete side files by their path, and these may be
        another process's by now. Its open files keep their inodes from being given to others, too."""
        if self._opened is not None:
            self._left, self._opened = self._opened.stamp[0], None

    def _is_there(self, opened: Opened) -> bool:
        """One look at the folder does as long as it has not changed: files come and go by changing it."""
        try:
            found = os.stat(self._folder)
        except OSError:
            return False
        folder = (found.st_dev, found.st_ino, found.st_mtime_ns)
        if folder == opened.folder:
            return True
        if self._stamp() != opened.stamp:
            return False
        # A change of just now may be followed by one with the same time.
        opened.folder = folder if time.time_ns() - found.st_mtime_ns > COARSE_NS else None
        return True

    def _stamp(self) -> Stamp | None:
        database, wal, shm = self._names
        try:
            a, b, c = os.stat(database), os.stat(wal), os.stat(shm)
        except OSError:
            return None
        return (a.st_dev, a.st_ino), (b.st_dev, b.st_ino), (c.st_dev, c.st_ino)

    def _open(self) -> Opened:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            if self._is_new() or self._is_left():
                self._remove()
            try:
                self._opened = self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_broken(error):
                    raise
                self._remove()
                self._opened = self._connect()
            self._left = None
            return self._opened

    def _is_new(self) -> bool:
        return not self._path.exists()

    def _is_left(self) -> bool:
        """The database that could not be read, or whose side files are not those it was written with."""
        found = self._path.stat()
        return (found.st_dev, found.st_ino) == self._left

    def _remove(self) -> None:
        for name in self._names:
            with suppress(FileNotFoundError):
                os.unlink(name)

    def _connect(self) -> Opened:
        if self._is_new():
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(self._path, timeout=self._deadline_s, isolation_level=None, check_same_thread=False)
        # Never closed by the interpreter, at its end least of all, but only where that is safe: see `_leave`.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(db))
        try:
            return Opened(db, stamp=self._prepare(db))
        except BaseException:
            db.close()  # safe under the lock
            raise

    def _prepare(self, db: sqlite3.Connection) -> Stamp:
        # Small: a step changes a few short rows, and each page of theirs is written whole.
        db.execute("PRAGMA page_size = 1024")
        db.execute("PRAGMA journal_mode = WAL").fetchone()
        # What a power cut loses is rebuilt from the ledger: another boot is another life.
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
        stamp = self._stamp()
        if stamp is None:
            raise StoreAway("the counters' file was deleted while it was opened")
        return stamp

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._path.with_name(f"{self._path.name}.lock")
        give_up_at = time.monotonic() + self._deadline_s
        while True:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with closing(os.fdopen(descriptor, "rb")):
                if _take(descriptor) and _is_at(descriptor, lock):
                    yield
                    return
            if time.monotonic() > give_up_at:
                raise StoreAway("the counters' file is being opened by another process")
            time.sleep(0.001)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _is_broken(error: sqlite3.Error) -> bool:
    """A primary result code is the low byte of an extended one (sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in BROKEN


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
