"""What the upstream saw, as a file of JSON lines: the truth about spend, also when a client was killed.

Owns the two records and both ends of the file. A `SeenRequest` is written, with one system call and no buffer, before
its answer starts; the `SeenAnswer` with the same sequence follows when the answer ended. Judges nothing.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec


class Ending(StrEnum):
    """How an answer ended."""

    FINISHED = "finished"
    CUT = "cut"
    """The script closed the connection."""
    CLIENT_LEFT = "client_left"
    SERVER_STOPPED = "server_stopped"


class SeenRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="request"):
    """A request, before anything was answered."""

    sequence: int
    at: float
    """Unix seconds."""
    method: str
    path: str
    connection: str
    """The client's address and port: equal for requests on one connection."""
    has_authorization: bool
    headers: dict[str, str]
    """Lower-case names; without `authorization` and `x-api-key`, so that a log is no secret."""
    has_api_key: bool = False
    """Anthropic's way to name a credential: the header `x-api-key`."""
    body: str | None = None
    """As it came; None when the server was told not to keep bodies."""

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body or "null")


class SeenAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="answer"):
    """How the answer to the request with this sequence ended."""

    sequence: int
    at: float
    how: Ending
    sent_bytes: int
    """Body bytes handed to the connection; a client that left may have read fewer."""


Seen = SeenRequest | SeenAnswer
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Seen] = msgspec.json.Decoder(Seen)


class Log:
    """Appends records to a file, each with a single unbuffered write."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, record: Seen) -> None:
        os.write(self._file, _encoder.encode(record) + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> list[Seen]:
    """Every complete record so far; a line still being written is left for the next reading."""
    if not path.exists():
        return []
    complete, _, _ = path.read_bytes().rpartition(b"\n")
    return [_decoder.decode(line) for line in complete.splitlines()]
