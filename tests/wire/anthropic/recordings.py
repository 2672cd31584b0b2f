"""The recorded Messages traffic, as it was: request, status, headers and the answer's own bytes. Decides nothing."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

FILE = "anthropic_messages.jsonl"
COUNTS = {"answers": 155, "streams": 10, "errors": 2}


class Missing(Exception):
    """The recordings are not there; says which setting names them."""


class Recording(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    id: str
    case: str
    request: Raw
    status: int
    content_type: str
    headers: dict[str, str] | None = None
    body: Raw = Raw()
    """A JSON answer's bytes; empty for a stream."""
    sse: str | None = None

    def __repr__(self) -> str:
        return f"<{self.id} {self.case}>"

    @property
    def is_stream(self) -> bool:
        return self.sse is not None

    @property
    def wanted(self) -> dict[str, Any]:
        """The request, decoded anew: callers may change it."""
        decoded: dict[str, Any] = msgspec.json.decode(self.request)
        return decoded

    @property
    def model(self) -> str:
        return str(self.wanted["model"])

    @property
    def answer(self) -> bytes:
        return bytes(self.body) if self.sse is None else self.sse.encode()


@lru_cache(maxsize=1)
def load() -> tuple[Recording, ...]:
    """All of them, in the file's order. Raises: Missing."""
    folder = os.environ.get("WIRE_RECORDINGS")
    if not folder:
        raise Missing("WIRE_RECORDINGS is unset: it names the folder with the recorded provider traffic")
    path = Path(folder) / FILE
    if not path.is_file():
        raise Missing(f"WIRE_RECORDINGS names {folder}, which has no {FILE}")
    return tuple(msgspec.json.decode(line, type=Recording) for line in path.read_bytes().splitlines())


def answers() -> list[Recording]:
    return [recording for recording in load() if recording.status == 200 and not recording.is_stream]


def streams() -> list[Recording]:
    return [recording for recording in load() if recording.is_stream]


def errors() -> list[Recording]:
    return [recording for recording in load() if recording.status != 200]
