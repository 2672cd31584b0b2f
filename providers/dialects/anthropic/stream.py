"""Translates an event stream of the Messages API into OpenAI's chunks, event by event."""

from __future__ import annotations

from providers.types import ProviderError, Usage


class EventReader:
    def __init__(self, *, keep_usage: bool) -> None:
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.has_content = False
        self.is_done = False
        self.content_chars = 0
        self.malformed = 0
        self._keep_usage = keep_usage
        self._broken: ProviderError | None = None

    def feed(self, chunk: bytes) -> bytes:
        raise NotImplementedError

    def check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def end(self) -> bytes:
        raise NotImplementedError
