"""Clears what has grown old: files in a few folders under `var/`, rows that only say what changed, and gauges.

Touches the folders named here, the changes of configuration that every process has seen, old samples of gauges and
processes that are no more, what became of circuits 90 days ago, attempts to sign in, tokens and sessions that have
ended, nothing else: never the ledger, the secrets or the spool. Follows no symbolic link and leaves files alone that
somebody holds locked (the logs of running children).
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from analytics import gauges, guessing, user_tokens
from providers.models import ConfigChange
from routing import transitions

FOLDERS = {
    "celery": "*.msg",  # messages nobody fetched; beat's schedule and the exchange tables stay
    "log": "*",
    "screenshots": "*",
}
"""Folders under `var/`, and which of their files may go."""
DEADLINE_S = 60.0
KEEP_CHANGES = timedelta(days=1)
_DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Cleared:
    files: int
    bytes: int
    rows: int = 0


def clear(var_dir: Path, *, days: int) -> Cleared:
    """Deletes files older than `days` and old rows: of `ConfigChange`, of gauges, of circuits' transitions, of signing
    in; what the deadline cuts off is left for next time."""
    files = clear_files(var_dir, before=time.time() - days * _DAY_S, deadline_s=DEADLINE_S)
    rows, _ = ConfigChange.objects.filter(changed_at__lt=timezone.now() - KEEP_CHANGES).delete()
    return Cleared(files.files, files.bytes, rows + gauges.clear() + transitions.clear() + _clear_sign_ins())


def _clear_sign_ins() -> int:
    """Sessions that have expired go as well; how many, nobody tells."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return guessing.clear() + user_tokens.clear()


def clear_files(var_dir: Path, *, before: float, deadline_s: float) -> Cleared:
    """Deletes regular files last changed before `before` (Unix time), for at most `deadline_s` seconds."""
    ends_at = time.monotonic() + deadline_s
    count = size = 0
    for folder, pattern in FOLDERS.items():
        for name, directory in _files(var_dir / folder):
            if time.monotonic() >= ends_at:
                return Cleared(count, size)
            if fnmatch(name, pattern) and (freed := _delete_old(name, directory=directory, before=before)) is not None:
                count += 1
                size += freed
    return Cleared(count, size)


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Names with the descriptor of their directory: a directory swapped for a link meanwhile is not followed."""
    with suppress(OSError):  # not made yet, or gone meanwhile
        for _, _, names, directory in os.fwalk(folder, follow_symlinks=False):
            for name in names:
                yield name, directory


def _delete_old(name: str, *, directory: int, before: float) -> int | None:
    """The bytes freed; None when the file is young, not a regular file, in use, or gone."""
    with suppress(OSError):
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or found.st_mtime >= before:
            return None
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name, dir_fd=directory)
        finally:
            os.close(descriptor)
        return found.st_size
    return None
