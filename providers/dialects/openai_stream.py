"""Reads OpenAI's event stream while it is relayed: what was used, how it ended, whether it broke.

Frames are passed on with their `data:` payload byte for byte. Not passed on: `[DONE]` (whoever relays writes its own,
after the cost), comments, malformed lines (counted), and a usage chunk that the client did not ask for.
"""

from __future__ import annotations

from typing import Any

import msgspec

from providers.dialects import openai
from providers.types import FailureKind, ProviderError, Usage

MAX_FRAME_BYTES = 16 * 1024 * 1024
_decode = msgspec.json.decode


class EventReader:
    """Fed with bytes as they arrive, split anywhere; gives back the bytes to relay."""

    def __init__(self, *, keep_usage: bool) -> None:
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.has_content = False
        self.is_done = False
        """`[DONE]` was seen."""
        self.content_chars = 0
        """Characters of text relayed: what an estimate is made from when the stream ends without usage."""
        self.malformed = 0
        self._keep_usage = keep_usage
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> bytes:
        """Takes the next bytes of the stream; returns complete frames, ready to send.

        Raises: ProviderError on an error object in the stream or a frame of absurd size.
        """
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_FRAME_BYTES:
            raise ProviderError(FailureKind.BROKEN_STREAM, "sent a frame of more than 16 MiB")
        frames: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].strip(b" \r"))
            elif self._data and line in (b"", b"\r"):
                self._finish_event(frames)
        return b"".join(frames)

    def end(self) -> bytes:
        """The stream is over: handles a last event whose blank line never came."""
        frames: list[bytes] = []
        if self._rest.startswith(b"data:"):
            self._data.append(self._rest[5:].strip(b" \r"))
        if self._data:
            self._finish_event(frames)
        return b"".join(frames)

    def _finish_event(self, frames: list[bytes]) -> None:
        payload = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        lines, self._data = self._data, []
        if payload == b"[DONE]":
            self.is_done = True
        elif self._read(payload):
            frames += [b"data: " + line + b"\n" for line in lines]
            frames.append(b"\n")

    def _read(self, payload: bytes) -> bool:
        """Notes what a chunk says; returns whether the client gets it."""
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunk = None
        if not isinstance(chunk, dict):
            self.malformed += 1
            return False
        if chunk.get("error"):
            raise openai.error_in_answer(chunk)
        choices = chunk.get("choices")
        if choices and isinstance(choices, list):
            for choice in choices:
                self._read_choice(choice)
        usage = chunk.get("usage")
        if usage:
            self.usage = openai.read_usage(usage)
            return self._keep_usage or bool(choices)
        return True

    def _read_choice(self, choice: Any) -> None:
        if not isinstance(choice, dict):
            return
        delta = choice.get("delta")
        if isinstance(delta, dict):
            text = delta.get("content")
            if isinstance(text, str) and text:
                self.content_chars += len(text)
                self.has_content = True
            elif not self.has_content:
                self.has_content = openai.has_content(delta)
        if choice.get("finish_reason"):
            self.finish_reason = str(choice["finish_reason"])


def text_of(frames: bytes) -> str:
    """The text in complete frames, for a reader who wants nothing else."""
    pieces: list[str] = []
    for line in frames.split(b"\n"):
        if line.startswith(b"data: {"):
            choices = _decode(line[6:]).get("choices") or [{}]
            pieces.append((choices[0].get("delta") or {}).get("content") or "")
    return "".join(pieces)
