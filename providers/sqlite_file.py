"""Notices that SQLite's file was deleted, moved or replaced under an open connection.

Such a connection goes on without an error, reading and writing a file that nobody will find again. Whoever must not
lose what it writes, or serve what it reads, asks `require` first. A database server says by itself that it is gone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

_OPENED = "_opened_file"


def remember(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Receiver of `connection_created`: which file the connection has open."""
    if path := _path(connection):
        setattr(connection, _OPENED, _identity(path))


def require(connection: BaseDatabaseWrapper) -> None:
    """Raises: OperationalError when the file is not, or no longer, where the settings say."""
    path = _path(connection)
    if path is None:
        return
    found = _identity(path)
    is_open = connection.connection is not None
    if found is None and not hasattr(connection, _OPENED):
        raise OperationalError(f"there is no database at {path}: run `manage.py quickstart`, or put the file back")
    if found is None or (is_open and getattr(connection, _OPENED, None) != found):
        raise OperationalError(f"{path} was deleted, moved or replaced; put it back, or restart the gateway")


def _path(connection: BaseDatabaseWrapper) -> Path | None:
    """None for a server's database, and for one in memory."""
    name = Path(str(connection.settings_dict["NAME"]))
    return name if connection.vendor == "sqlite" and name.is_absolute() else None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stat.st_dev, stat.st_ino
