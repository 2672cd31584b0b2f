"""The gateway as its users run it: a server process of its own, over a var folder (and a database) of its own.

    installation = template.copy(tmp_path / "var", upstream=upstream.url)
    with gateway_process.start(installation, env={"MAX_BODY_BYTES": "65536"}) as gateway:
        httpx.post(f"{gateway.url}/v1/chat/completions", headers=gateway.headers(), json=...)
    assert installation.rows()

Owns setting up, starting, stopping, killing, and looking from outside: its log, its ledger, its spool. Waits for what
is expected, never for a fixed time. When the `with` ends by an exception the end of the server's log is printed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import psycopg
from psycopg.rows import dict_row

ROOT = Path(__file__).resolve().parents[2]
CATALOG = Path(__file__).with_name("catalog.toml")
START_S = 30.0
STOP_S = 30.0
COMMAND_S = 60.0
WITHIN_S = 5.0
"""How long a test waits for what should happen, unless it says otherwise."""
NO_TLS = False
"""For `verify=` where something asks again and again: httpx would first read all authorities, 20 ms each time."""
SECRETS = {
    "SECRET_KEY": "process-tests-only-and-nowhere-else",
    "KEY_HASH_KEY": "process-tests-only-and-nowhere-else",
    "CREDENTIAL_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}
"""What an installation with a database of its own must be given."""
_POLL_S = 0.02
_LOG_TAIL = 6000

T = TypeVar("T")


class GatewayError(Exception):
    """The gateway did not start, or a command it needs failed; carries the end of its output."""


def eventually(look: Callable[[], T], *, what: str, within_s: float = WITHIN_S) -> T:
    """The first truthy value that `look` returns. Fails the test, saying `what` was missing, after `within_s`."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {within_s} s in vain for {what}"
        time.sleep(_POLL_S)
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the ledger, as far as these tests read it."""

    id: UUID
    outcome: str
    status: int
    session: str
    is_stream: bool
    model: str
    layer: str
    attempts: int
    error_kind: str
    trail: list[dict[str, Any]] = field(repr=False)


_COLUMNS = "id, outcome, status, session, is_stream, model, layer, attempts, error_kind, trail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A var folder that is migrated and has the catalog of `catalog.toml` and the keys of `set_up`."""

    var_dir: Path
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Secrets, by the key's name."""
    database_url: str = ""
    """A PostgreSQL; '' means SQLite in the var folder."""

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of a process of this installation: nothing of the shell's settings strays into it."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        given = {"DATABASE_URL": self.database_url, **SECRETS} if self.database_url else {}
        return {**inherited, **given, "VAR_DIR": str(self.var_dir)}

    @property
    def database_file(self) -> Path:
        return self.var_dir / "gateway.sqlite3"

    @property
    def spool_folders(self) -> list[Path]:
        """One for each process that lives, or died without settling its affairs."""
        root = self.var_dir / "spool"
        return sorted(path for path in root.iterdir() if path.name[0] != ".") if root.is_dir() else []

    def headers(self, key: str = "main") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[key]}"}

    def execute(self, statement: str) -> list[dict[str, Any]]:
        """Plain SQL, past the application, committed."""
        return self.execute_all(statement)

    def execute_all(self, *statements: str) -> list[dict[str, Any]]:
        """Several statements in one transaction; returns what the last one found."""
        if self.database_url:
            return self._in_postgres(statements)
        with closing(sqlite3.connect(self.database_file, timeout=10, isolation_level=None)) as database:
            database.row_factory = sqlite3.Row
            database.execute("BEGIN")  # closing without COMMIT rolls back
            found = [database.execute(statement).fetchall() for statement in statements]
            database.execute("COMMIT")
        return [dict(row) for row in found[-1]]

    def _in_postgres(self, statements: Sequence[str]) -> list[dict[str, Any]]:
        with psycopg.connect(self.database_url, row_factory=dict_row) as database:
            for statement in statements:
                cursor = database.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def rows(self, where: str = "1 = 1") -> list[Row]:
        """What is in the ledger now, oldest first."""
        found = self.execute(f"SELECT {_COLUMNS} FROM analytics_usagerecord WHERE {where} ORDER BY id")
        return [_row(values) for values in found]

    def row_of(self, session: str, *, within_s: float = WITHIN_S) -> Row:
        """The one row of a request sent with this X-Session-Id, once it is there."""
        rows = eventually(lambda: self.rows(f"session = '{session}'"), what=f"row of {session}", within_s=within_s)
        assert len(rows) == 1, rows
        return rows[0]

    def set_up(self, *, catalog: Path = CATALOG) -> Installation:
        """Migrates it, loads the catalog, makes the keys; returns itself with them. Raises: GatewayError."""
        self.var_dir.mkdir(parents=True, exist_ok=True)
        told = self._run("-m", "tests.process.set_up", str(catalog))
        return replace(self, keys=json.loads(told))

    def command(self, *words: str) -> str:
        """What a management command prints. Raises: GatewayError when it fails."""
        return self._run("manage.py", *words)

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode:
            raise GatewayError(f"{' '.join(words)} failed:\n{(done.stdout + done.stderr)[-_LOG_TAIL:]}")
        return done.stdout

    def copy(self, var_dir: Path, *, upstream: str) -> Installation:
        """The same in another var folder, with its provider at `upstream`. Only for SQLite, while nothing runs."""
        shutil.copytree(self.var_dir, var_dir)
        return replace(self, var_dir=var_dir).pointed_at(upstream)

    def pointed_at(self, upstream: str) -> Installation:
        self.execute(f"UPDATE providers_provider SET base_url = '{upstream}'")
        return self


def _row(values: dict[str, Any]) -> Row:
    trail = values["trail"]
    decoded = json.loads(trail) if isinstance(trail, str) else trail
    return Row(**values | {"id": UUID(str(values["id"])), "is_stream": bool(values["is_stream"]), "trail": decoded})


@dataclass(frozen=True, slots=True)
class Gateway:
    """A server process."""

    installation: Installation
    port: int
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def chat_url(self) -> str:
        return f"{self.url}/v1/chat/completions"

    def headers(self, key: str = "main") -> dict[str, str]:
        return self.installation.headers(key)

    def readiness(self) -> httpx.Response:
        return httpx.get(f"{self.url}/health/ready", timeout=WITHIN_S, verify=NO_TLS)

    def wait_until_ready(self) -> None:
        """Raises: GatewayError when it ends or takes too long."""
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise GatewayError(f"not ready (status {self.process.returncode}):\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait(STOP_S)

    def stop(self) -> int:
        """SIGTERM, and the exit code once it has ended."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def log_lines(self, text: str) -> list[str]:
        """Lines of its log that contain `text`."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if text in line]

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-_LOG_TAIL:]

    def _is_ready(self) -> bool:
        try:
            return self.readiness().status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@contextmanager
def start(
    installation: Installation,
    *,
    env: Mapping[str, str] | None = None,
    port: int | None = None,
    workers: int = 1,
    own_group: bool = False,
    program: Sequence[str] = ("manage.py",),
) -> Iterator[Gateway]:
    """A server that is ready; stopped in the end, or killed when it does not stop. One with a process group of its own
    can be sent a signal as a terminal does it: to all its processes at once.

    Raises: GatewayError.
    """
    port = port or free_port()
    command = [sys.executable, *program, "serve", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--no-worker", "--no-model", "--workers", str(workers)]
    log = installation.var_dir / f"serve-{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**installation.env, **(env or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0 if own_group else None,
        )
    gateway = Gateway(installation, port, log, process)
    try:
        gateway.wait_until_ready()
        yield gateway
    except BaseException:
        print(f"--- {log.name} ---\n{gateway.log_tail()}")
        raise
    finally:
        _end(process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # another process may take it before we do: accepted
        return int(taken.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
