"""Ends what takes the database too long, in either one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

_STEPS = 100_000
"""So many of SQLite's own, some milliseconds, lie between two looks at the clock."""


class TookTooLong(Exception):
    """A statement was stopped."""


@contextmanager
def statements_within(seconds: float) -> Iterator[None]:
    """Raises: TookTooLong."""
    limited = _in_postgresql if connection.vendor == "postgresql" else _in_sqlite
    with limited(seconds):
        yield


@contextmanager
def _in_postgresql(seconds: float) -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{seconds * 1000:.0f}"])
        try:
            yield
        except OperationalError as error:
            if isinstance(error.__cause__, QueryCanceled):
                raise TookTooLong from error
            raise


@contextmanager
def _in_sqlite(seconds: float) -> Iterator[None]:
    connection.ensure_connection()
    ends = monotonic() + seconds
    connection.connection.set_progress_handler(lambda: monotonic() > ends, _STEPS)
    try:
        yield
    except OperationalError as error:
        if str(error) == "interrupted":
            raise TookTooLong from error
        raise
    finally:
        connection.connection.set_progress_handler(None, 0)
