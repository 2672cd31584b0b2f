"""Reads OpenAI's event stream while it is relayed: what was used, how it ended, whether it broke.

Events are passed on with their `data:` payload byte for byte, but for a bare CR (see `sse`). Not passed on: `[DONE]`
(whoever relays writes its own, after the cost), comments, malformed events (counted), and a usage chunk that the client
did not ask for.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from providers.dialects import openai, said, unusual_json
from providers.dialects.said import FOLD_BYTES, Said
from providers.dialects.sse import END as _END
from providers.dialects.sse import Frames, data_lines_only, payload_of
from providers.types import ProviderError, Usage

_DATA = b"data: "
_DONE = _DATA + b"[DONE]" + _END
_LONGEST_MARK = 16
"""Only a payload shorter than this can be `[DONE]` or nothing."""
_MOST_CHOICES = 1024
"""OpenAI gives at most 128; an index beyond this is taken for the first choice's."""


class _Delta(msgspec.Struct, gc=False):
    """Every field that is content, whatever a vendor puts into it."""

    content: Any = None
    reasoning: Any = None
    reasoning_content: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    annotations: Any = None
    audio: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: Any = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Groq(msgspec.Struct, gc=False):
    """Groq's own part of a chunk: some of its models tell their usage nowhere else."""

    usage: dict[str, Any] | None = None


class _Chunk(msgspec.Struct, gc=False):
    """What we read of a chunk; the rest is skipped unread, which takes a third of the time of a whole decode."""

    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    x_groq: _Groq | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class EventReader:
    """Fed with bytes as they arrive, split anywhere; gives back the bytes to relay."""

    def __init__(self, *, keep_usage: bool) -> None:
        self.usage: Usage | None = None
        self.has_content = False
        self.is_done = False
        """`[DONE]` was seen."""
        self.said = Said()
        self.malformed = 0
        self._say = self.said.pieces.append
        self._until_fold = FOLD_BYTES
        self._keep_usage = keep_usage
        self._broken: ProviderError | None = None
        self._frames = Frames()
        self._reason = ""
        """The last choice's that ended."""
        self._has_first = False
        """Whether the first choice was seen before its end; it is almost always the only one."""
        self._begun: set[int] = set()
        """Indexes of other choices that were seen and have not ended."""
        self._ended: set[int] = set()

    @property
    def finish_reason(self) -> str:
        """Empty until every choice that was seen has ended."""
        is_open = self._begun or (self._has_first and 0 not in self._ended)
        return "" if is_open else self._reason

    def feed(self, chunk: bytes) -> bytes:
        """Takes the next bytes of the stream; returns complete events, ready to send.

        Raises: ProviderError on an error object in the stream or an event of absurd size; events before it in the same
        bytes are given back first, and the next call raises.
        """
        self.check()
        self._until_fold -= len(chunk)
        if self._until_fold < 0:
            self._until_fold = FOLD_BYTES
            self.said.fold()
        events = self._frames.feed(chunk, has_content=self.has_content)
        return self._relayed(events) if events else b""

    def check(self) -> None:
        """Raises what the last bytes held back, if anything."""
        if self._broken is not None:
            raise self._broken

    def end(self) -> bytes:
        """The stream is over: handles a last event whose blank line never came."""
        self.check()
        return self._relayed_singly(self._frames.rest())

    def _relayed(self, events: bytes) -> bytes:
        """Reads complete events; returns those the client gets. Almost always they are all alike and all wanted."""
        usual = events.removesuffix(_DONE)
        chunks = _decoded_together(usual)
        if chunks is None:
            return self._relayed_singly(events)
        self.is_done = self.is_done or len(usual) < len(events)
        wanted = [self._note(chunk) for chunk in chunks]
        if all(wanted):
            return usual
        return b"".join(event + _END for event, keep in zip(usual.split(_END), wanted, strict=False) if keep)

    def _relayed_singly(self, events: bytes) -> bytes:
        kept: list[bytes] = []
        try:
            for raw in events.split(_END):
                is_plain = raw.startswith(b"data: ") and b"\n" not in raw
                event = raw if is_plain else data_lines_only(raw)
                payload = event[6:] if is_plain else payload_of(event)
                if len(payload) < _LONGEST_MARK and payload.strip() in (b"", b"[DONE]"):
                    self.is_done = self.is_done or bool(payload.strip())
                elif self._read(payload):
                    kept.append(event)
        except ProviderError as error:
            if not kept:
                raise
            self._broken = error
        return _END.join(kept) + _END if kept else b""

    def _read(self, payload: bytes) -> bool:
        """Notes what a chunk says; returns whether the client gets it."""
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._read_oddity(payload)
        if chunk.error:
            self.usage = openai.read_usage(chunk.usage) or self.usage  # what came before the error is paid for
            raise openai.error_in_answer({"error": chunk.error}, event=payload)
        # Without choices it may be an error of another form: rare enough to be read again.
        return self._note(chunk) if chunk.choices is not None else self._read_oddity(payload)

    def _note(self, chunk: _Chunk) -> bool:
        for choice in chunk.choices or ():
            delta = choice.delta
            if delta is not None:
                text = delta.content
                if text and isinstance(text, str):
                    self._say(text)
                    self.has_content = True
                else:
                    self._read_other(delta)
            if choice.finish_reason or choice.index:
                self._note_end(choice)
            else:
                self._has_first = True
        if chunk.usage:
            self.usage = openai.read_usage(chunk.usage) or self.usage
            return self._keep_usage or bool(chunk.choices)
        if chunk.x_groq:
            self.usage = openai.read_usage(chunk.x_groq.usage) or self.usage
        return True

    def _note_end(self, choice: _Choice) -> None:
        """Which choices have ended and, where there are several, which have not."""
        index = choice.index if isinstance(choice.index, int) and 0 <= choice.index < _MOST_CHOICES else 0
        if choice.finish_reason:
            self._reason = choice.finish_reason
            self._ended.add(index)
            self._begun.discard(index)
        elif index not in self._ended:
            self._begun.add(index)

    def _read_oddity(self, payload: bytes) -> bool:
        """What is not shaped like a chunk: passed on when it is a JSON object, as some vendor may mean it."""
        try:
            chunk = unusual_json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunk = None
        if not isinstance(chunk, dict):
            self.malformed += 1
            return False
        if openai.is_error(chunk):
            # A client knows an error by that name alone: one in other words is not relayed as it came.
            raise openai.error_in_answer(chunk, event=payload if chunk.get("error") else None)
        with contextlib.suppress(msgspec.ValidationError):
            return self._note(msgspec.convert(chunk, _Chunk))
        self.usage = openai.read_usage(chunk.get("usage")) or self.usage
        return True

    def _read_other(self, delta: _Delta) -> None:
        """Content that is no plain text."""
        # Vendors that send reasoning under two names send it twice: the first one found is counted.
        other = delta.reasoning or delta.reasoning_content or delta.refusal
        self.said.pieces.extend(said.texts([delta.content, other, delta.tool_calls, delta.function_call]))
        self.has_content = self.has_content or any(msgspec.structs.astuple(delta))


def _decoded_together(events: bytes) -> list[_Chunk] | None:
    """The chunks of events that are each one line `data: {...}`, in two thirds of the time that one by one takes.

    None where any is not: a comment, a name, a second line, an error, anything that is no chunk.
    """
    payloads = events[len(_DATA) : -len(_END)].split(_END + _DATA)
    if not events.startswith(_DATA) or events.count(b"\n") != 2 * len(payloads):
        return None
    try:
        chunks = [_decode(payload) for payload in payloads]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if any(chunk.error or chunk.choices is None for chunk in chunks) else chunks


def text_of(frames: bytes) -> str:
    """The text in complete frames, for a reader who wants nothing else."""
    pieces: list[str] = []
    for line in frames.split(b"\n"):
        if line.startswith(b"data: {"):
            with contextlib.suppress(msgspec.ValidationError):
                choices = msgspec.convert(unusual_json.decode(line[6:]), _Chunk).choices
                text = choices[0].delta.content if choices and choices[0].delta else None
                pieces.append(text if isinstance(text, str) else "")
    return "".join(pieces)
