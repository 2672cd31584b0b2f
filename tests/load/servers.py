"""Starts and stops the servers under test, pins them to a core, and reads what they used. Linux only.

Owns how the floor and the gateway are started (the gateway on nothing but a `VAR_DIR`, and a Redis where there is to be
one), and the readings of /proc.
Does not send requests and does not judge.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.load import money

ROOT = Path(__file__).resolve().parents[2]
CATALOG = Path(__file__).with_name("catalog.toml")
KEY = "bench"
START_S = 60.0
STOP_S = 20.0
COMMAND_S = 120.0
REDIS_WITHIN_S = "0.5"
"""The bench's Redis shares a core with the upstream and the clients: 50 ms may pass before its turn comes."""
_POLL_S = 0.005
_LOG_TAIL = 2000


class ServerError(Exception):
    """A server under test did not start, or a command it needs failed; carries the end of its output."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready."""

    port: int
    pid: int
    started_in_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    """What a client has to send."""

    def cpu_ms(self) -> float:
        """CPU the process, its threads and its living descendants have used so far."""
        return sum(_cpu_ns(pid) for pid in _tree(self.pid)) / 1e6

    def rss_mb(self) -> float:
        """Resident memory of the same processes, in MiB."""
        return sum(_rss_kb(pid) for pid in _tree(self.pid)) / 1024


@contextmanager
def floor(*, upstream: str, core: int, log: Path) -> Iterator[Server]:
    """The floor by uvicorn; ready once its port accepts."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.load.floor:app", "--port", str(port), "--loop", "uvloop"]
    command += ["--http", "httptools", "--no-access-log", "--log-level", "warning"]
    environment = _environment() | {"FLOOR_UPSTREAM": upstream}
    with _serving(command, environment, core=core, log=log) as process:
        started_in_s = _wait_until(lambda: _accepts(port), process, log)
        yield Server(port, process.pid, started_in_s)


@contextmanager
def gateway(
    *, upstream: str, core: int, log: Path, var_dir: Path, has_money: bool = False, redis: str | None = None
) -> Iterator[Server]:
    """The gateway in an empty `var_dir`, migrated, with the bench's catalog and a key; ready once it says so. Where it
    `has_money`, the key is held to limits and a budget by then."""
    on_redis = {"REDIS_URL": redis, "COUNTERS_DEADLINE_S": REDIS_WITHIN_S} if redis else {}
    environment = _environment() | {"VAR_DIR": str(var_dir)} | on_redis
    key = _prepare_gateway(upstream, environment, folder=log.parent)
    port = _free_port()
    command = [sys.executable, "manage.py", "serve", "--host", "127.0.0.1", "--port", str(port), "--no-worker"]
    with _serving(command, environment, core=core, log=log) as process:
        started_in_s = _wait_until(lambda: _is_ready(port), process, log)
        if has_money:
            money.impose(key=KEY, run=partial(_manage, environment=environment))
        yield Server(port, process.pid, started_in_s, {"Authorization": f"Bearer {key}"})


def _prepare_gateway(upstream: str, environment: Mapping[str, str], *, folder: Path) -> str:
    catalog = folder / "catalog.toml"
    catalog.write_text(CATALOG.read_text().replace("{upstream}", upstream))
    _manage("migrate", environment=environment)
    _manage("catalog", "load", str(catalog), environment=environment)
    created = _manage("keys", "create", KEY, "--json", environment=environment)
    return str(json.loads(created)["key"])


def _manage(*words: str, environment: Mapping[str, str]) -> str:
    command = [sys.executable, "manage.py", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    if done.returncode:
        raise ServerError(f"manage.py {' '.join(words)} failed:\n{(done.stdout + done.stderr)[-_LOG_TAIL:]}")
    return done.stdout


@contextmanager
def _serving(
    command: list[str], environment: Mapping[str, str], *, core: int, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    os.sched_setaffinity(process.pid, {core})  # before it has threads, which inherit it
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """Nothing of the shell's settings: no DATABASE_URL or REDIS_URL strays into a measurement."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}


def _wait_until(is_up: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> float:
    """Seconds until it was up, from the call. Raises: ServerError when it ends or takes too long."""
    begin = time.monotonic()
    while not is_up():
        if process.poll() is not None or time.monotonic() - begin > START_S:
            why = "took too long" if process.returncode is None else f"ended with status {process.returncode}"
            raise ServerError(f"The {log.stem} {why}:\n{log.read_text()[-_LOG_TAIL:]}")
        time.sleep(_POLL_S)
    return time.monotonic() - begin


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # another process may take it before we do: accepted
        return int(taken.getsockname()[1])


def _tree(pid: int) -> list[int]:
    """The process and its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:  # grows while it is walked
        found.extend(children.get(one, []))
    return found


def _parent(entry: Path) -> int | None:
    try:
        stat = (entry / "stat").read_text()
    except OSError:  # gone meanwhile
        return None
    return int(stat.rpartition(")")[2].split()[1])


def _cpu_ns(pid: int) -> int:
    """utime + stime of all threads, from the process's CPU clock: /proc/PID/stat has the same in 10 ms ticks.

    The clock's id is clock_getcpuclockid(3)'s: the complement of the pid, shifted by 3, with CPUCLOCK_SCHED (2).
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:  # gone meanwhile
        return 0


def _rss_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)
