"""Sends a fixed number of requests over a fixed number of connections and measures each.

Owns HTTP/1.1 on the client's side, with as little CPU as Python allows: the generator shares its core with the
upstream. Keeps every answer; whether it is the right one, `expected` knows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import httptools

ANSWER_S = 30.0
_LOOPS_TO_NOTICE = 3
"""Rounds of the event loop until it has read that the other side closed, and told the connection."""


class LoadError(Exception):
    """A connection broke, or an answer did not end in time: there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Request:
    """What every request of a volley says."""

    head: bytes
    body: bytes
    marker: bytes
    """The answer's first content has arrived once its body holds this; empty: with the first byte."""


@dataclass(slots=True)
class Answer:
    """One answer, timed from its request's first byte."""

    sent_at: float
    body: bytearray = field(default_factory=bytearray)
    status: int = 0
    first_ms: float = 0.0
    latency_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Volley:
    """All answers of one volley, and how long it took."""

    answers: list[Answer]
    seconds: float


def post(path: str, body: bytes, *, headers: Mapping[str, str], marker: bytes = b"") -> Request:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return Request("\r\n".join(lines).encode(), body, marker)


@asynccontextmanager
async def crowd(port: int, *, size: int) -> AsyncIterator[Crowd]:
    """So many open connections to a local port. Raises: LoadError when it refuses them."""
    made = Crowd([Connection() for _ in range(size)], port=port)
    try:
        await made.open()
        yield made
    finally:
        made.close()


class Crowd:
    """Clients that each send their next request as soon as they have the last answer."""

    def __init__(self, connections: list[Connection], *, port: int) -> None:
        self._connections = connections
        self._port = port

    async def open(self) -> None:
        """Opens what is not open: a server closes what was idle for too long while others had their turns.

        Raises: LoadError."""
        for _ in range(_LOOPS_TO_NOTICE):
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        try:
            for connection in self._connections:
                if not connection.is_open:
                    await loop.create_connection(partial(_same, connection), "127.0.0.1", self._port)
        except OSError as error:
            raise LoadError(f"port {self._port} does not accept: {error}") from error

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    async def send(self, request: Request, *, count: int) -> Volley:
        """Sends `count` requests in all. Raises: LoadError."""
        answers: list[Answer] = []
        turns = iter(range(count))
        begin = time.perf_counter()
        await asyncio.gather(*(self._client(connection, request, turns, answers) for connection in self._connections))
        return Volley(answers, time.perf_counter() - begin)

    async def _client(
        self, connection: Connection, request: Request, turns: Iterator[int], answers: list[Answer]
    ) -> None:
        for _ in turns:  # shared by all: whoever is free takes the next
            try:
                answers.append(await asyncio.wait_for(connection.ask(request), ANSWER_S))
            except TimeoutError as error:
                raise LoadError(f"no whole answer within {ANSWER_S} s") from error


def _same(connection: Connection) -> Connection:
    return connection


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request on its way at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer(0.0)
        self._marker = b""

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def ask(self, request: Request) -> asyncio.Future[Answer]:
        if self._transport is None:
            raise LoadError("the server closed a connection that should have stayed open")
        self._parser = httptools.HttpResponseParser(self)
        self._marker = request.marker
        self._answer = Answer(time.perf_counter())
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request.head + request.body)
        return self._answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(LoadError(f"connection lost after {len(self._answer.body)} body bytes"))

    def on_body(self, data: bytes) -> None:
        """httptools: a piece of the body, chunked coding removed."""
        self._answer.body += data
        if not self._answer.first_ms and self._marker in self._answer.body:
            self._answer.first_ms = self._elapsed_ms()

    def on_message_complete(self) -> None:
        """httptools: the answer is whole."""
        self._answer.status = self._parser.get_status_code()
        self._answer.latency_ms = self._elapsed_ms()
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(self._answer)

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self._answer.sent_at) * 1000
