"""A client that takes a kilobyte a second of a stream that its provider writes as fast as it can: memory stays flat."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process import gateway_process, raw_http
from tests.process.gateway_process import Gateway, Installation, eventually
from tests.process.short_way import CHAT, chat_body

MIB = 1024 * 1024
MAY_GROW = 8 * MIB
PER_SECOND = 1024
STALLED_S = 0.5
"""A write that takes longer finds every buffer on its way full."""


class GenerousVendor(socketserver.ThreadingTCPServer):
    """Offers so many bytes of each stream, and knows how many of the last one's were taken."""

    allow_reuse_address = True
    daemon_threads = True
    taken = 0

    def __init__(self, *, offered: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.offered = offered
        self.has_stalled, self.may_end = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(socketserver.StreamRequestHandler):
    server: GenerousVendor

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        self.connection.settimeout(STALLED_S)
        self.server.taken = 0
        block = _token() * 200
        rest = memoryview(block)
        while self.server.taken < self.server.offered and not self.server.may_end.is_set():
            try:
                sent = self.connection.send(rest)
            except TimeoutError:
                self.server.has_stalled.set()
                continue
            except OSError:
                return
            self.server.taken += sent
            rest = rest[sent:] or memoryview(block)


def _token() -> bytes:
    choice = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
    chunk = {"id": "chatcmpl-" + "x" * 29, "object": "chat.completion.chunk", "model": "cheap", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


@contextmanager
def offering(size: int) -> Iterator[GenerousVendor]:
    with GenerousVendor(offered=size) as vendor:
        threading.Thread(target=vendor.serve_forever, daemon=True).start()
        try:
            yield vendor
        finally:
            vendor.may_end.set()
            vendor.shutdown()


def resident(gateway: Gateway) -> int:
    """Bytes of memory that the server has."""
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def read_a_little(gateway: Gateway) -> None:
    with raw_http.connected(gateway.port) as client:
        client.sendall(raw_http.post(CHAT, gateway.headers(), chat_body(stream=True)))
        received = 0
        while received < MIB:
            received += len(client.recv(65536))
    eventually(gateway.installation.rows, what="its row")


@pytest.mark.parametrize(
    ("offered", "for_s"),
    [
        pytest.param(20 * MIB, 2, id="20_mib", marks=pytest.mark.process),
        pytest.param(100 * MIB, 60, id="100_mib", marks=pytest.mark.soak),
    ],
)
def test_memory_stays_flat_and_the_provider_waits(
    offered: int, for_s: int, template: Installation, tmp_path: Path
) -> None:
    with offering(offered) as vendor:
        installation = template.copy(tmp_path / "var", upstream=vendor.url)
        with gateway_process.start(installation) as gateway, socket.socket() as client:
            read_a_little(gateway)  # what is loaded and made on first need is no growth
            before = resident(gateway)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.settimeout(10)
            client.connect(("127.0.0.1", gateway.port))
            client.sendall(raw_http.post(CHAT, gateway.headers(), chat_body(stream=True)))
            assert vendor.has_stalled.wait(30)
            grown, taken = resident(gateway) - before, vendor.taken
            until = time.monotonic() + for_s
            while time.monotonic() < until:
                assert client.recv(PER_SECOND // 10)
                time.sleep(0.1)
                grown = max(grown, resident(gateway) - before)
    assert grown < MAY_GROW
    assert taken <= vendor.taken < offered / 2
