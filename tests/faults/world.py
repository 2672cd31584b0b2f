"""A gateway with the configuration of `catalog`, the providers that it calls, and what is open in each of them."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import catalog, listeners, watched
from tests.faults.table import Where
from tests.process import gateway_process
from tests.process.gateway_process import Gateway, Installation, eventually
from tests.upstream import process as upstream_process
from tests.upstream.log import Call
from tests.upstream.process import RunningUpstream

KEEP_ALIVE_S = 0.3
"""Of the gateway's connections to providers: soon none is left that nobody uses."""
BACK_WITHIN_S = 2.0
PROGRAM = ("-m", "tests.faults.watched")
DATABASE = "gateway.sqliteN"
"""Its descriptors are not counted, those of its log are (`Open.connections`). SQLite keeps the former, when one is
closed, until no other connection of the process holds a lock, and takes it for the next."""
LOG = f"{DATABASE}-wal"
_NUMBERED = re.compile(r"\[\d+\]|\d+")


@dataclass(frozen=True, slots=True)
class Open:
    """What processes hold at one moment."""

    tasks: Counter[str]
    """Of the gateway's event loop, by the coroutine's name."""
    descriptors: Counter[str]
    """Of the gateway, by what they lead to, without numbers."""
    upstream_sockets: int
    connections: int = field(compare=False)
    """To the database: threads that look in now and then have one and give it back, so that there may be fewer."""


@dataclass(frozen=True, slots=True)
class World:
    gateway: Gateway
    upstreams: tuple[RunningUpstream, ...]

    def calls(self) -> list[Call]:
        return [call for upstream in self.upstreams for call in upstream.calls()]

    def open(self) -> Open:
        descriptors = _descriptors(self.gateway.process.pid)
        connections = descriptors.pop(LOG, 0)
        return Open(self._tasks(), descriptors, sum(map(_sockets, self.upstreams)), connections)

    def settled(self) -> Open:
        """What is open once that has not changed for longer than connections are kept."""
        found, since = self.open(), time.monotonic()

        def is_steady() -> bool:
            nonlocal found, since
            now = self.open()
            if now != found:
                found, since = now, time.monotonic()
            return time.monotonic() - since > 2 * KEEP_ALIVE_S

        eventually(is_steady, what="a process at rest", within_s=10)
        return found

    def left_over(self, before: Open) -> str:
        """What is open beyond that, when it is still there after some time; '' for nothing."""
        deadline = time.monotonic() + BACK_WITHIN_S
        while (now := self.open()) != before or now.connections > before.connections:
            if time.monotonic() > deadline:
                return f"{now} instead of {before}"
            time.sleep(0.05)
        return ""

    def _tasks(self) -> Counter[str]:
        path = _tasks_file(self.gateway.installation)
        path.unlink(missing_ok=True)
        os.kill(self.gateway.process.pid, signal.SIGUSR1)
        eventually(path.exists, what="the number of tasks")
        lines = (line.split(" ", 1) for line in path.read_text().splitlines())
        return Counter({name: int(count) for count, name in lines})


def _tasks_file(installation: Installation) -> Path:
    return installation.var_dir / "tasks.txt"


def _descriptors(pid: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[_NUMBERED.sub("N", link.readlink().name)] += 1
        except FileNotFoundError:
            continue  # closed meanwhile
    del found[DATABASE]
    return found


def _sockets(upstream: RunningUpstream) -> int:
    return _descriptors(upstream.pid)["socket:N"]


@contextmanager
def running(folder: Path, *, env: dict[str, str] | None = None) -> Iterator[World]:
    """Everything at once, in a folder of its own."""
    with ExitStack() as stack:
        vendor = stack.enter_context(upstream_process.running(log=folder / "upstream.jsonl"))
        cutting = stack.enter_context(upstream_process.running(log=folder / "cutting.jsonl"))
        refusing = stack.enter_context(listeners.refusing())
        full = stack.enter_context(listeners.full())
        no_tls = stack.enter_context(listeners.not_tls())
        urls = {
            Where.UPSTREAM: vendor.url,
            Where.CUTTING: cutting.url,
            Where.REFUSED: f"http://127.0.0.1:{refusing}/v1",
            Where.NOWHERE: "http://nowhere.invalid/v1",
            Where.NO_TLS: f"https://127.0.0.1:{no_tls}/v1",
            Where.FULL: f"http://127.0.0.1:{full}/v1",
        }
        (folder / "catalog.toml").write_text(catalog.written(urls))
        installation = Installation(var_dir=folder / "var").set_up(catalog=folder / "catalog.toml")
        settings = {
            "KEEP_ALIVE_S": str(KEEP_ALIVE_S),
            watched.FILE_NAME: str(_tasks_file(installation)),
            catalog.CREDENTIAL_ENV: "sk-of-nobody",
        }
        gateway = gateway_process.start(installation, env=settings | (env or {}), program=PROGRAM)
        yield World(stack.enter_context(gateway), (vendor, cutting))
