"""An upstream that answers each request as it was answered when it was recorded: a real server on loopback.

    with replayer.running(recordings) as vendor:
        base_url = vendor.base_url(recording, step=7)

Owns the bytes on the wire: status, headers, body, and for a stream how it is cut into writes. Keeps what it received.
The address names the recording, so that requests need no order.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.wire import replay
from tests.wire.recordings import Recording

WHOLE = 0
"""As a step: a stream in one write."""


@dataclass(frozen=True, slots=True)
class Received:
    body: bytes
    headers: dict[str, str]
    """Names in lower case."""


@dataclass(slots=True)
class Replayer:
    recordings: dict[str, Recording]
    port: int = 0
    received: defaultdict[str, list[Received]] = field(default_factory=lambda: defaultdict(list))
    """By `name`."""

    @staticmethod
    def name(recording: Recording, *, step: int = WHOLE) -> str:
        return f"{recording.id}-{step}"

    def base_url(self, recording: Recording, *, step: int = WHOLE) -> str:
        return f"http://127.0.0.1:{self.port}/{recording.id}/{step}/v1"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        recording, step = self.recordings[request.match_info["id"]], int(request.match_info["step"])
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received[self.name(recording, step=step)].append(Received(await request.read(), headers))
        told = {**(recording.headers or {}), "Content-Type": recording.content_type}
        if not recording.is_stream:
            return web.Response(status=recording.status, headers=told, body=recording.answer)
        response = web.StreamResponse(status=recording.status, headers=told)
        await response.prepare(request)
        for piece in _pieces(recording.answer, step=step):
            await response.write(piece)
            await asyncio.sleep(0)  # so that the reader runs between two pieces
        await response.write_eof()
        return response


def _pieces(data: bytes, *, step: int) -> list[bytes]:
    size = step or len(data)
    return [data[at : at + size] for at in range(0, len(data), size)]


@contextmanager
def running(recordings: Sequence[Recording]) -> Iterator[Replayer]:
    """One that listens, for the length of a `with`."""
    replayer = Replayer({recording.id: recording for recording in recordings})
    with replay.serving("/{id}/{step:\\d+}/v1/messages", replayer.answer) as replayer.port:
        yield replayer
