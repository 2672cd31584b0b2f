"""Calls one model at one provider: a chat completion, whole or as a stream. No retry, no choice, no money.

Owns the limits on waiting for headers, and for the first content of a stream behind them. A whole answer's body has no
limit of its own: some vendors send headers at once and the body when it is done. Whoever calls limits it all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from providers import door
from providers.deadlines import within
from providers.dialects import whole_stream
from providers.dialects.openai_stream import EventReader
from providers.dialects.spoken import Reader, dialect_of, reader_of
from providers.types import Answer, ChatRequest, FailureKind, Model, Provider, ProviderError

END_WAIT_S = 0.05
"""How long the end of a body may take after `[DONE]` before the connection is cut instead of kept."""
ERROR_BODY_S = 2.0
"""How long an error's body may take to come behind its headers."""
MAX_ERROR_BYTES = door.MIB
MAX_HELD_BYTES = 16 * door.MIB
"""The most that is taken of a stream before its first content: all of it is held back."""


async def complete(request: ChatRequest, *, model: Model, cap_tokens: int | None = None) -> Answer:
    """The model's whole answer, of at most `cap_tokens` where a budget allows no more.

    Raises: ProviderError.
    """
    with _masked(model.provider):
        response, warnings = await _send(request, model=model, cap_tokens=cap_tokens)
        try:
            answer = dialect_of(model.provider).read_answer(await door.read(response))
        finally:
            response.release()
        return msgspec.structs.replace(answer, warnings=warnings) if warnings else answer


async def stream(request: ChatRequest, *, model: Model, cap_tokens: int | None = None) -> OpenStream:
    """Starts a stream and returns once its first content is here: until then another model may still take over.
    `cap_tokens` as for `complete`.

    Raises: ProviderError.
    """
    with _masked(model.provider):
        response, warnings = await _send(request, model=model, cap_tokens=cap_tokens)
        if response.content_type == "application/json":
            return await _opened_whole(response, request=request, provider=model.provider, warnings=warnings)
        reader = reader_of(model.provider, request=request)
        opened = OpenStream(response, reader=reader, provider=model.provider, warnings=warnings)
        try:
            with _patient(model.provider.timeouts.first_content_s, for_what="content"):
                await opened.wait_for_content()
        except BaseException as error:
            opened.close()
            if isinstance(error, ProviderError):
                error.usage = error.usage or reader.usage
            raise
        return opened


async def _opened_whole(
    response: aiohttp.ClientResponse, *, request: ChatRequest, provider: Provider, warnings: tuple[str, ...]
) -> OpenStream:
    """The stream of an answer that came whole all the same: it is paid for, and asking again would buy it twice."""
    try:
        answer = dialect_of(provider).read_answer(await door.read(response))
    finally:
        response.release()
    reader = EventReader(keep_usage=request.wants_usage)  # OpenAI's: the answer is in its words by now
    opened = OpenStream(response, reader=reader, provider=provider, warnings=warnings)
    opened.hold(reader.feed(whole_stream.frames_of(answer.body)))
    reader.usage = answer.usage
    return opened


class OpenStream:
    """A stream with content. Iterate it for the frames to relay; what it told stands in `reader`."""

    def __init__(
        self, response: aiohttp.ClientResponse, *, reader: Reader, provider: Provider, warnings: tuple[str, ...] = ()
    ) -> None:
        self.reader = reader
        self.warnings = warnings
        """What the request had to leave out for this provider."""
        self._provider = provider
        self._response = response
        self._held = b""

    def hold(self, frames: bytes) -> None:
        """Frames to give before all others."""
        self._held = frames

    async def wait_for_content(self) -> None:
        held: list[bytes] = []
        size = 0
        while not self.reader.has_content:
            chunk = await door.read_some(self._response)
            size += len(chunk)
            held.append(self.reader.feed(chunk) if chunk else self.reader.end())
            if not self.reader.has_content:
                self.reader.check()
                if size > MAX_HELD_BYTES:
                    says = f"sent more than {MAX_HELD_BYTES // door.MIB} MiB without content"
                    raise ProviderError(FailureKind.BAD_ANSWER, says, status=200)
            if not chunk or self.reader.is_done:
                break
        if not self.reader.has_content and not self._says_it_is_empty():
            raise ProviderError(FailureKind.BAD_ANSWER, self._without_content(), status=200)
        self.hold(b"".join(held))

    def _says_it_is_empty(self) -> bool:
        """Whether it ended as an answer does, and was paid for: what was said may be nothing that anybody sees."""
        usage = self.reader.usage
        return bool(self.reader.finish_reason and usage and usage.output_tokens)

    def _without_content(self) -> str:
        says, malformed = "its stream ended without content", self.reader.malformed
        return f"{says}, and {malformed} of its events could not be read" if malformed else says

    @property
    def is_ending(self) -> bool:
        return self.reader.is_done and not self._held

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Raises: ProviderError when the stream breaks, or ends without a finish reason."""
        if self._held:
            frames, self._held = self._held, b""
            return frames
        with _masked(self._provider):
            while not self.reader.is_done:
                self.reader.check()
                chunk = await door.read_some(self._response)
                if not chunk:
                    frames = self.reader.end()
                    self.reader.is_done = True
                else:
                    frames = self.reader.feed(chunk)
                if frames:
                    return frames
        await self._reach_the_end()
        if not self.reader.finish_reason:
            raise ProviderError(FailureKind.BROKEN_STREAM, "its stream ended without a finish reason")
        raise StopAsyncIteration

    async def _reach_the_end(self) -> None:
        """After `[DONE]` the body's end is usually here already; reading it lets the connection be used again."""
        if not self._response.content.at_eof():
            with contextlib.suppress(ProviderError, TimeoutError), within(END_WAIT_S):
                await door.read_some(self._response)

    def close(self) -> None:
        """Gives the connection back when the stream ended, cuts it otherwise. Never waits."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _send(
    request: ChatRequest, *, model: Model, cap_tokens: int | None
) -> tuple[aiohttp.ClientResponse, tuple[str, ...]]:
    """The answer's beginning, and what the request had to leave out."""
    provider, dialect = model.provider, dialect_of(model.provider)
    composed = dialect.compose(request, model=model, cap_tokens=cap_tokens)
    # The door limits connecting; a connection that is kept already has that time as well.
    with _patient(provider.timeouts.headers_s, after_s=provider.timeouts.connect_s, for_what="headers"):
        response = await door.post(
            dialect.url(provider),
            body=composed.body,
            headers=dialect.headers(provider, betas=request.betas),
            timeouts=provider.timeouts,
            is_local=provider.is_local,
        )
    if response.status == 200 and response.content_type != "text/html":  # a page is no answer, whatever its status
        return response, composed.warnings
    body = await _error_body(response)
    if response.status == 200:
        raise ProviderError(FailureKind.BAD_ANSWER, f"answered with {response.content_type}", status=200)
    raise dialect.read_error(response.status, body=body, retry_after=response.headers.get("Retry-After"))


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """b'' where it does not come whole, or not soon: the status says what matters."""
    try:
        with contextlib.suppress(ProviderError, TimeoutError), within(ERROR_BODY_S):
            return await door.read(response, most=MAX_ERROR_BYTES)
        return b""
    finally:
        response.release()


@contextlib.contextmanager
def _patient(seconds: float, *, for_what: str, after_s: float = 0.0) -> Iterator[None]:
    """Waits so long for a part of the answer, once `after_s` are over."""
    try:
        with within(after_s + seconds):
            yield
    except TimeoutError:
        raise ProviderError(FailureKind.TIMEOUT, f"sent no {for_what} for {seconds:g} s") from None


@contextlib.contextmanager
def _masked(provider: Provider) -> Iterator[None]:
    """Some vendors repeat the key they refuse: no failure carries it further."""
    try:
        yield
    except ProviderError as error:
        if provider.credential:
            error.mask(provider.credential)
        raise
