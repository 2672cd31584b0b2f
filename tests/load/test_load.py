"""The clients of the bench, over loopback. Unmarked: nothing here measures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.load import load
from tests.load.load import LoadError

REQUEST = load.post("/", b"{}", headers={})
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Answers every request, and hangs up when told."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while await reader.read(65536):
            writer.write(ANSWER)
        writer.close()

    async def hang_up(self) -> None:
        for writer in self.writers:
            writer.close()
            await writer.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()
    await made.hang_up()


async def test_connections_that_were_closed_while_idle_are_opened_again(server: Server) -> None:
    async with load.crowd(server.port, size=3) as crowd:
        await crowd.send(REQUEST, count=6)
        await server.hang_up()
        await crowd.open()
        volley = await crowd.send(REQUEST, count=6)
    assert [(answer.status, answer.body) for answer in volley.answers] == [(200, b"ok")] * 6
    assert len(server.writers) == 6


async def test_those_that_are_open_stay(server: Server) -> None:
    async with load.crowd(server.port, size=3) as crowd:
        await crowd.send(REQUEST, count=6)
        await crowd.open()
        await crowd.send(REQUEST, count=6)
    assert len(server.writers) == 3


async def test_a_connection_that_closes_amid_a_volley_is_an_error(server: Server) -> None:
    async with load.crowd(server.port, size=3) as crowd:
        await crowd.send(REQUEST, count=6)
        await server.hang_up()
        with pytest.raises(LoadError):
            await crowd.send(REQUEST, count=6)


async def test_a_port_that_nobody_listens_at_is_an_error(unused_tcp_port: int) -> None:
    with pytest.raises(LoadError, match="does not accept"):
        async with load.crowd(unused_tcp_port, size=1):
            pass
