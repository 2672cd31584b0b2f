"""Which dialect a provider speaks: the one place that knows them all.

A module is a dialect when it has the functions of `Dialect`. The gateway's own form is OpenAI's: requests come in it,
answers and frames leave in it, whatever the provider speaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from providers.dialects import anthropic, openai, openai_stream
from providers.dialects.anthropic import stream as anthropic_stream
from providers.dialects.said import Said
from providers.types import Answer, ChatRequest, Composed, Model, Provider, ProviderError, Usage


class Reader(Protocol):
    """Reads one stream while it is relayed. Fed with bytes as they arrive, split anywhere."""

    usage: Usage | None
    has_content: bool
    is_done: bool
    """Whether the provider has said that nothing follows."""
    said: Said
    """The text relayed: what is counted when the stream ends without usage."""
    malformed: int
    """Events that could not be read and were left out."""

    @property
    def finish_reason(self) -> str:
        """In OpenAI's words; '' until the stream has told it."""

    def feed(self, chunk: bytes) -> bytes:
        """The frames to relay.

        Raises: ProviderError; frames before the failure are given first, and the next call raises."""

    def check(self) -> None:
        """Raises what the last bytes held back, if anything."""

    def end(self) -> bytes:
        """The last frames, when the body has ended."""


class Dialect(Protocol):
    """How to call a chat model and what its answers mean."""

    def url(self, provider: Provider) -> str: ...

    def headers(self, provider: Provider, *, betas: str = "") -> dict[str, str]: ...

    def compose(self, request: ChatRequest, *, model: Model, cap_tokens: int | None = None) -> Composed:
        """The body for `model`, which allows each answer at most `cap_tokens`.

        Raises: ProviderError(UNSUPPORTED) where the dialect cannot say what the client wants, REJECTED where nobody
        could know what that is."""

    def read_answer(self, body: bytes) -> Answer:
        """Raises: ProviderError when a 200's body is no answer."""

    def read_error(self, status: int, *, body: bytes, retry_after: str | None) -> ProviderError: ...


class MakesReader(Protocol):
    def __call__(self, *, keep_usage: bool) -> Reader:
        """`keep_usage`: whether the client asked for usage at the stream's end."""


_DIALECTS: Mapping[str, Dialect] = {"openai": openai, "anthropic": anthropic}
_READERS: Mapping[str, MakesReader] = {
    "openai": openai_stream.EventReader,
    "anthropic": anthropic_stream.EventReader,
}


def dialect_of(provider: Provider) -> Dialect:
    return _DIALECTS[provider.dialect]


def reader_of(provider: Provider, *, request: ChatRequest) -> Reader:
    return _READERS[provider.dialect](keep_usage=request.wants_usage)
