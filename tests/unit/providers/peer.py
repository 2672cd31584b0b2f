"""A server on loopback whose every step a test decides, down to the bytes: for what a well-behaved one never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from providers.types import Timeouts

TIMEOUTS = Timeouts(connect_s=2.0, headers_s=2.0, first_content_s=2.0, between_frames_s=2.0)

Answer = Callable[["Peer", asyncio.StreamWriter], Awaitable[None]]
"""Writes one answer; closes the writer to end the connection."""


@dataclass
class Peer:
    url: str = ""
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    """Head and body of each, as they came."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """The client ended a connection."""

    @property
    def heads(self) -> list[dict[str, str]]:
        """The headers of each request, by lower-case name."""
        lines = [request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:] for request in self.requests]
        return [{name.lower(): value for name, _, value in (one.partition(": ") for one in head)} for head in lines]


def whole(body: bytes = b"{}", *, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def says(data: bytes) -> Answer:
    """Always the same answer; the connection is kept."""

    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


@asynccontextmanager
async def running(answer: Answer, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Peer]:
    peer = Peer()
    handlers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.connections += 1
        try:
            while not writer.is_closing():
                peer.requests.append(await _request(reader))
                await answer(peer, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.transport.abort()
        finally:
            peer.closed.set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(task := asyncio.create_task(serve(reader, writer)))
        task.add_done_callback(handlers.discard)

    server = await asyncio.start_server(accept, host, port)
    async with server:
        peer.port = server.sockets[0].getsockname()[1]
        peer.url = f"http://{host}:{peer.port}/v1"
        try:
            yield peer
        finally:
            await _end(handlers)


async def _end(handlers: set[asyncio.Task[None]]) -> None:
    left = set(handlers)
    for task in left:
        task.cancel()
    await asyncio.gather(*left)
    for _ in range(3):  # until the event loop has accepted what was dialled, and closed what was aborted
        await asyncio.sleep(0)


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(length[0].partition(b":")[2]) if length else 0)
