"""A client that does not read its stream, and leaves: what its provider wrote into buffers on the way is counted."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.process import gateway_process, raw_http
from tests.process.gateway_process import Installation, eventually

pytestmark = pytest.mark.process
STALLED_S = 0.5
"""A write that takes longer finds every buffer on its way full."""
MOST_TOKENS = 60_000
PER_TOKEN = Decimal("0.000002")
"""USD, of the output of `cheap`."""


class WritingVendor(socketserver.ThreadingTCPServer):
    """Writes a token after the other, until nobody takes any more."""

    allow_reuse_address = True
    daemon_threads = True
    written = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.has_stalled, self.may_end = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(socketserver.StreamRequestHandler):
    server: WritingVendor

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        self.connection.settimeout(STALLED_S)
        try:
            for _ in range(MOST_TOKENS):
                self.connection.sendall(_token())
                self.server.written += 1
        except OSError:
            self.server.has_stalled.set()
            self.server.may_end.wait(30)


def _token() -> bytes:
    """As long as OpenAI's usually are."""
    chunk = {"id": "chatcmpl-" + "x" * 29, "object": "chat.completion.chunk", "created": 1790000000, "model": "cheap"}
    choice: dict[str, Any] = {"index": 0, "delta": {"content": "\u4e00"}, "logprobs": None, "finish_reason": None}
    return b"data: " + json.dumps(chunk | {"choices": [choice], "obfuscation": "abcdefgh"}).encode() + b"\n\n"


@contextmanager
def writing() -> Iterator[WritingVendor]:
    with WritingVendor() as vendor:
        threading.Thread(target=vendor.serve_forever, daemon=True).start()
        try:
            yield vendor
        finally:
            vendor.may_end.set()
            vendor.shutdown()


def test_all_that_was_written_is_counted(template: Installation, tmp_path: Path) -> None:
    asked = {"model": "cheap", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    with writing() as vendor:
        installation = template.copy(tmp_path / "var", upstream=vendor.url)
        installation.execute("UPDATE analytics_budget SET enabled = 1 WHERE api_key_id IS NOT NULL")
        with gateway_process.start(installation) as gateway, socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", gateway.port))
            body = json.dumps(asked | {"max_tokens": MOST_TOKENS}).encode()
            client.sendall(raw_http.post("/v1/chat/completions", gateway.headers("budgeted"), body))
            assert vendor.has_stalled.wait(30)
            client.close()
            query = "SELECT outcome, budget_usd, cost_usd FROM analytics_usagerecord"
            (row,) = eventually(lambda: installation.execute(query), what="its row")
    written = vendor.written * PER_TOKEN
    assert row["outcome"] == "cancelled"
    assert Decimal(str(row["cost_usd"])) < written <= Decimal(str(row["budget_usd"]))
