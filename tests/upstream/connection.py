"""The bare connection below the scripted upstream's HTTP server: heads by hand, small pieces, ends that are none."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from aiohttp import web

FLOOD_BYTES = 17 * 1024 * 1024
"""More than any reader should hold of one event."""
_BLOCK = b"x" * 65536
_RESETS = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time."""


def head(status: int, headers: Mapping[str, str]) -> list[bytes]:
    """Status line, headers and the blank line behind them."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Scripted"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items()), ""]
    return [f"{line}\r\n".encode("latin-1") for line in lines]


def write(request: web.Request, data: bytes) -> None:
    """Past the HTTP server, which knows nothing of it."""
    if request.transport is not None:
        request.transport.write(data)


def pieces(data: bytes, *, size: int) -> Iterator[bytes]:
    """`data` in pieces of so many bytes; 0: as one."""
    size = size or len(data)
    return (data[start : start + size] for start in range(0, len(data), size or 1))


def flood() -> Iterator[bytes]:
    """An event that does not end."""
    yield b'data: "'
    for _ in range(FLOOD_BYTES // len(_BLOCK)):
        yield _BLOCK


def hang_up(request: web.Request, *, is_reset: bool = False) -> web.Response:
    transport = request.transport
    if transport is None:
        pass  # the client was quicker
    elif is_reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
        transport.abort()
    else:
        transport.close()  # sends what was written, then FIN; abort() would throw it away
    return web.Response()
