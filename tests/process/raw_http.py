"""HTTP by hand over a socket, for what client libraries refuse to do: half a request, or leaving early."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from typing import Any

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Received:
    """A whole response."""

    status: int
    headers: HTTPMessage
    """Looked up without regard to case."""
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """OpenAI's error object."""
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        yield connection


def head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """Request line and headers, with the blank line."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def post(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole request."""
    return head("POST", path, {**headers, "Content-Length": str(len(body))}) + body


def receive(connection: socket.socket, *, method: str = "POST") -> Received:
    """The next response on a connection without pipelining."""
    response = HTTPResponse(connection, method=method)
    try:
        response.begin()
        return Received(response.status, response.headers, response.read())
    finally:
        response.close()


def send(port: int, request: bytes, *, method: str = "POST") -> Received:
    """One request on a connection of its own."""
    with connected(port) as connection:
        connection.sendall(request)
        return receive(connection, method=method)
