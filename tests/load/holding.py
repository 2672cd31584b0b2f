"""An upstream that holds streams open after their first content until it is told to let them go.

    with holding.running() as upstream:
        ...  # call upstream.url; streams are held
        upstream.release()

A request whose body says `HELD` is held, every other one answered at once. Owns as little as can hold thousands: a
protocol of its own over uvloop, in a process of its own, with a fixed answer.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import httpx
import uvloop

ROOT = Path(__file__).resolve().parents[2]
HELD = "hold this stream"
CONTENT = b"first content"
INPUT_TOKENS, OUTPUT_TOKENS = 11, 3
RELEASE = b"POST /release "
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: "
_STREAM_HEAD = _HEAD + b"text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}


def _event(**fields: object) -> bytes:
    payload = {"id": "held", "object": "chat.completion.chunk", "created": 1, "model": "cheap", **fields}
    data = b"data: " + json.dumps(payload).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def _choice(**fields: object) -> list[dict[str, object]]:
    return [{"index": 0, "delta": {}, "finish_reason": None, **fields}]


_OPENING = _STREAM_HEAD + _event(choices=_choice(delta={"role": "assistant", "content": CONTENT.decode()}))
_REST = (
    _event(choices=_choice(delta={"content": " and the rest"}))
    + _event(choices=_choice(finish_reason="stop"))
    + _event(choices=[], usage=_USAGE)
    + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)


def _whole() -> bytes:
    message = {"role": "assistant", "content": CONTENT.decode()}
    answer = {"id": "whole", "object": "chat.completion", "created": 1, "model": "cheap", "usage": _USAGE}
    body = json.dumps(answer | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    return _HEAD + b"application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


_WHOLE = _whole()


class _Connection(asyncio.Protocol):
    """One request after the other."""

    held: ClassVar[set[_Connection]] = set()

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.held.discard(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank or len(body) < _length(head):
            return
        self._received = b""
        self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(RELEASE):
            for connection in self.held:
                connection.write(_REST)
            self.held.clear()
            self.write(_WHOLE)
        elif HELD.encode() in body:
            self.held.add(self)
            self.write(_OPENING)
        elif b'"stream":true' in body.replace(b" ", b""):
            self.write(_OPENING + _REST)
        else:
            self.write(_WHOLE)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _length(head: bytes) -> int:
    lines = (line.lower().partition(b":") for line in head.split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


@dataclass(frozen=True, slots=True)
class Holding:
    url: str
    """Base URL, with `/v1`."""

    def release(self) -> None:
        """Every stream that is held goes on to its end."""
        httpx.post(self.url.removesuffix("/v1") + "/release", timeout=60).raise_for_status()


@contextmanager
def running() -> Iterator[Holding]:
    command = [sys.executable, "-m", "tests.load.holding"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Holding(f"http://127.0.0.1:{int(process.stdout.readline())}/v1")
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
