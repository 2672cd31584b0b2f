"""Recorded traffic of the providers, as test input: what was asked, what was answered, in the recording's own bytes.

Owns reading the files that `WIRE_RECORDINGS` names, and saying what is missing where it is unset. Serves nothing
(`replay`) and compares nothing (`fidelity`).
"""

from __future__ import annotations

import os
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

MISSING = "WIRE_RECORDINGS is unset: it names the folder with the recorded provider traffic"
OPENAI_COMPATIBLE = {
    "openai_chat": 93,
    "openrouter_chat": 41,
    "groq_chat": 45,
    "mistral_chat": 37,
    "deepseek_chat": 4,
    "cerebras_chat": 1,
    "ollama_chat": 1,
}
"""How many recordings there are of each kind."""


class Recording(msgspec.Struct, frozen=True, eq=False):
    """One request and its answer. The answer is `body` (JSON), `sse` (a stream) or `text`."""

    id: str
    kind: str
    case: str
    request: Raw
    status: int
    content_type: str
    headers: dict[str, str] = {}
    body: Raw = msgspec.field(default_factory=Raw)
    sse: str | None = None
    text: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}-{self.id}"

    @property
    def vendor(self) -> str:
        return self.kind.partition("_")[0]

    @property
    def model(self) -> str:
        return str(self.asked["model"])

    @property
    def question(self) -> bytes:
        """The request's bytes."""
        return bytes(self.request)

    @property
    def asked(self) -> dict[str, Any]:
        """The request, decoded anew: callers may change it."""
        decoded: dict[str, Any] = msgspec.json.decode(self.request)
        return decoded

    @property
    def answer(self) -> bytes:
        """The answer's bytes."""
        if self.sse is not None:
            return self.sse.encode()
        return self.text.encode() if self.text is not None else bytes(self.body)

    @property
    def is_stream(self) -> bool:
        return self.sse is not None

    @property
    def is_error(self) -> bool:
        return self.status != HTTPStatus.OK


@cache
def load(*kinds: str) -> tuple[Recording, ...]:
    """All recordings of these kinds; none where no folder is named."""
    folder = os.environ.get("WIRE_RECORDINGS")
    if not folder:
        return ()
    decoder = msgspec.json.Decoder(Recording)
    lines = (line for kind in kinds for line in (Path(folder) / f"{kind}.jsonl").read_bytes().splitlines())
    return tuple(map(decoder.decode, lines))


def params(found: list[Recording]) -> list[Any]:
    """For `pytest.mark.parametrize`: each under its id, or one skipped test that says what is missing."""
    if not load(*OPENAI_COMPATIBLE):
        return [pytest.param(None, marks=pytest.mark.skip(reason=MISSING), id="no recordings")]
    return [pytest.param(recording, id=str(recording)) for recording in found]
