"""What the upstream saw, as a file of JSON lines: the truth about spend, also when a client was killed.

Owns the two records, both ends of the file, and what the records tell of a call together. A `SeenRequest` is written,
with one system call and no buffer, before its answer starts; the `SeenAnswer` with the same sequence follows when the
answer ended, and tells what is billed. Judges nothing, and knows no price.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
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
    model: str = ""
    """As it was asked for; '' where nobody was to answer, as for an error."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """What the vendor bills: of a stream what it wrote until it noticed that the client had left, of JSON all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, how its answer ended, and what is billed for it."""

    request: SeenRequest
    answer: SeenAnswer | None
    """None while it is still being answered."""

    @property
    def at(self) -> float:
        """Unix seconds of its arrival."""
        return self.request.at

    @property
    def model(self) -> str:
        return self.answer.model if self.answer else ""

    @property
    def prompt_tokens(self) -> int:
        return self.answer.prompt_tokens if self.answer else 0

    @property
    def completion_tokens(self) -> int:
        return self.answer.completion_tokens if self.answer else 0

    @property
    def is_finished(self) -> bool:
        return self.answer is not None and self.answer.how is Ending.FINISHED


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


def calls(records: Iterable[Seen]) -> list[Call]:
    """Every POST in the records with its answer, in the order of arrival."""
    seen = list(records)
    answers = {record.sequence: record for record in seen if isinstance(record, SeenAnswer)}
    found = [record for record in seen if isinstance(record, SeenRequest) and record.method == "POST"]
    return [Call(request=request, answer=answers.get(request.sequence)) for request in found]
