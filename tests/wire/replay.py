"""A provider that answers with what it is given, byte for byte and in pieces of any size, and keeps what it received.

    with replay.running() as provider:
        provider.reply = Reply(body=b"data: ...", content_type="text/event-stream", piece=7)
        ...  # POST to any path below provider.url
        assert provider.received[-1].path == "/openai/v1/chat/completions"

A real HTTP server on loopback, in a thread of the test's process. Any path will do, so that every dialect can use it.
Knows nothing of recordings or of what a request means.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

START_S = 10.0
MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered to every request until another one is set."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    piece: int | None = None
    """Bytes written at a time; None: all at once, with a Content-Length."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(slots=True)
class Replayer:
    """Set `reply`, send a request, look at `received`; one at a time."""

    reply: Reply = field(default_factory=lambda: Reply(body=b"{}"))
    received: list[Received] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.method, request.path_qs, headers, await request.read()))
        reply = self.reply
        response = web.StreamResponse(status=reply.status, headers=reply.headers | {"Content-Type": reply.content_type})
        if reply.piece is None:
            response.content_length = len(reply.body)
        await response.prepare(request)
        step = reply.piece or max(1, len(reply.body))
        for at in range(0, len(reply.body), step):
            await response.write(reply.body[at : at + step])
        await response.write_eof()
        return response


@contextmanager
def running() -> Iterator[Replayer]:
    """A replayer that listens, for the length of a `with`."""
    replayer = Replayer()
    with serving("/{path:.*}", replayer.handle) as replayer.port:
        yield replayer


@contextmanager
def serving(path: str, handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Iterator[int]:
    """The port at which `handle` answers, in a thread of its own with a loop of its own."""
    loop, listens, leaves = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def serve() -> None:
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", path, handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(runner.addresses[0][1])
        listens.set()
        await leaves.wait()
        await runner.cleanup()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run, name="replayer", daemon=True)
    thread.start()
    try:
        assert listens.wait(START_S), f"the replayer did not listen within {START_S} s"
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(leaves.set)
        thread.join(START_S)
