"""Translates an event stream of the Messages API into OpenAI's chunks, event by event."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from msgspec import Raw

from providers.dialects.anthropic import blocks, errors, message, usage
from providers.dialects.anthropic.answer import MAX_BLOCKS, stops
from providers.dialects.anthropic.blocks import Block, Delta, Told
from providers.dialects.anthropic.halves import Halves
from providers.dialects.anthropic.message import Fields
from providers.dialects.said import FOLD_BYTES, Said
from providers.dialects.sse import END, Frames, payload_of, too_much
from providers.types import ProviderError, Usage

MAX_STREAM_BYTES = 64 * 1024 * 1024
"""Blocks are kept until the end, which alone shows whether they have to be sent once more as they were."""
_DATA = b"data: "
_USUAL = b"event: content_block_delta\n" + _DATA
"""How almost every event begins."""
_AFTER_DELTA = b',"logprobs":null,"finish_reason":null}]}\n\n'
_ROLE = b'{"role":"assistant","content":""}'
_MESSAGE_KEYS = frozenset(
    {"id", "type", "role", "content", "model", "stop_reason", "stop_sequence", "stop_details", "usage", "delta"}
)
"""Of a message and of its last delta those that have a place of their own in chunks."""
_IMPLIED = {
    "text_delta": Raw(b'{"type":"text","text":""}'),
    "thinking_delta": Raw(b'{"type":"thinking","thinking":""}'),
}
"""Blocks whose start was lost: what they say is worth having all the same."""
_KNOWN_DELTAS = frozenset({"text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta"})
_KNOWN_EVENTS = frozenset({"message_start", "content_block_start", "content_block_stop", "message_delta"})
"""Those that say nothing unless they can be read."""

_encode = msgspec.json.encode


class _Event(msgspec.Struct, gc=False):
    """What we read of every event; the rest is read where the type says so."""

    type: str = ""
    index: int = 0
    delta: Delta | None = None
    content_block: Raw = Raw(b"null")
    error: Any = None


class _Named(msgspec.Struct):
    """An event or a delta that says what it is, and nothing else that we could read."""

    type: str


class _NamedDelta(msgspec.Struct):
    index: int
    delta: _Named


class _Start(msgspec.Struct):
    id: str = ""
    model: str = ""
    usage: dict[str, Any] | None = None


class _Started(msgspec.Struct):
    message: _Start


class _StartedFields(msgspec.Struct):
    message: Fields


class _End(msgspec.Struct):
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None


class _Ended(msgspec.Struct):
    delta: _End
    usage: dict[str, Any] | None = None


class _EndedFields(msgspec.Struct):
    delta: Fields


_decode = msgspec.json.Decoder(_Event).decode
_read_named = msgspec.json.Decoder(_Named).decode
_read_named_delta = msgspec.json.Decoder(_NamedDelta).decode
_read_started = msgspec.json.Decoder(_Started).decode
_read_started_fields = msgspec.json.Decoder(_StartedFields).decode
_read_ended = msgspec.json.Decoder(_Ended).decode
_read_ended_fields = msgspec.json.Decoder(_EndedFields).decode


class EventReader:
    """Fed with bytes as they arrive, split anywhere; gives back the chunks that they amount to."""

    def __init__(self, *, keep_usage: bool) -> None:
        self.usage: Usage | None = None
        """Partial until the provider has told what it wrote: its first figure is a placeholder."""
        self.finish_reason = ""
        self.has_content = False
        self.is_done = False
        """`message_stop` was seen."""
        self.said = Said()
        """Text, thinking and arguments."""
        self._until_fold = FOLD_BYTES
        self.malformed = 0
        self._keep_usage = keep_usage
        self._broken: ProviderError | None = None
        self._frames = Frames()
        self._size = 0
        self._halves = Halves()
        self._told = Told()
        self._open: dict[int, Block] = {}
        self._used: dict[str, Any] = {}
        """The vendor's usage object, as far as it is known."""
        self._head: dict[str, Any] = {}
        """What all chunks say alike; empty until the first one."""
        self._before_delta = b""
        self._extras: Fields = {}
        """Fields of the vendor's message that OpenAI's dialect does not have."""
        self._out: list[bytes] = []

    def feed(self, chunk: bytes) -> bytes:
        """Takes the next bytes of the stream; returns complete chunks, ready to send.

        Raises: ProviderError on an error event or an absurd size; chunks before it in the same bytes are given back
        first, and the next call raises.
        """
        self.check()
        self._size += len(chunk)
        if self._size > MAX_STREAM_BYTES:
            raise too_much("a stream of more than 64 MiB", has_content=self.has_content)
        self._until_fold -= len(chunk)
        if self._until_fold < 0:
            self._until_fold = FOLD_BYTES
            self.said.fold()
        events = self._frames.feed(chunk, has_content=self.has_content)
        return self._translated(events) if events else b""

    def check(self) -> None:
        """Raises what the last bytes held back, if anything."""
        if self._broken is not None:
            raise self._broken

    def end(self) -> bytes:
        """The stream is over: handles a last event whose blank line never came, and the usage that is still owed."""
        self.check()
        chunks = self._translated(self._frames.rest())
        self._tell_usage()
        return chunks + self._taken()

    def _translated(self, events: bytes) -> bytes:
        try:
            for event in events.split(END):
                payload = _payload(event)
                if payload and not self.is_done:
                    self._read(payload)
        except ProviderError as error:
            if not self._out:
                raise
            self._broken = error
        return self._taken()

    def _taken(self) -> bytes:
        chunks = b"".join(self._out)
        self._out.clear()
        return chunks

    def _read(self, payload: bytes) -> None:
        if self._halves.is_held:
            self._read_mended(payload)
            return
        try:
            self._read_event(payload)
        except msgspec.ValidationError:
            self._read_oddity(payload)
        except msgspec.DecodeError:
            self._read_mended(payload)
        except (ValueError, RecursionError):
            self.malformed += 1

    def _read_event(self, payload: bytes) -> None:
        event = _decode(payload)
        if event.type == "content_block_delta":
            self._add(event, payload=payload)
        else:
            self._take(event, payload=payload)

    def _read_mended(self, payload: bytes) -> None:
        """JSON that the fast decoder refuses, as it does half of a surrogate pair; and the event behind such a half."""
        try:
            for event in self._halves.mended(payload):
                self._read_event(event)
        except msgspec.ValidationError:
            self._read_oddity(payload)
        except (ValueError, RecursionError):
            self.malformed += 1

    def _take(self, event: _Event, *, payload: bytes) -> None:
        match event.type:
            case "content_block_start":
                self._begin(event.index, raw=event.content_block)
            case "content_block_stop":
                self._end(event.index)
            case "message_start":
                self._start(payload)
            case "message_delta":
                self._finish(payload)
            case "message_stop":
                self._tell_usage()
                self.is_done = True
            case _ if event.type == "error" or event.error:
                raise errors.error_in_answer(msgspec.json.decode(payload))
            case "":
                self.malformed += 1
            case _:
                pass  # `ping`, and what we have not heard of

    def _read_oddity(self, payload: bytes) -> None:
        """JSON that is not shaped like an event we know: counted, unless it is one that we do not know."""
        try:
            kind = _read_named(payload).type
            if kind == "error":
                raise errors.error_in_answer({})
            if kind == "content_block_delta":
                self._add_unknown(payload)
            elif kind in _KNOWN_EVENTS:
                self.malformed += 1
        except (ValueError, RecursionError):
            self.malformed += 1

    def _add_unknown(self, payload: bytes) -> None:
        event = _read_named_delta(payload)
        block = self._open.get(event.index)
        if block is None or event.delta.type in _KNOWN_DELTAS:
            self.malformed += 1
        else:
            block.add_unknown(payload)

    def _start(self, payload: bytes) -> None:
        started, fields = _read_started(payload).message, _read_started_fields(payload).message
        if not self._head:
            self._open_with(started.id, model=started.model)
        self._extras |= message.told(fields, without=_MESSAGE_KEYS)
        # Its output tokens are a placeholder: a long stream that breaks must not be taken for a word.
        figures = started.usage or {}
        self._note({name: value for name, value in figures.items() if name not in usage.OUTPUT})

    def _open_with(self, id: str, *, model: str) -> None:
        self._head = {"id": id, "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
        self._before_delta = _DATA + _encode(self._head)[:-1] + b',"choices":[{"index":0,"delta":'
        self._out.append(self._before_delta + _ROLE + _AFTER_DELTA)

    def _say(self, delta: bytes) -> None:
        if delta:
            if not self._head:
                self._open_with("", model="")
            self._out.append(self._before_delta + delta + _AFTER_DELTA)
            self.has_content = True

    def _begin(self, index: int, *, raw: Raw) -> None:
        if len(self._told.blocks) >= MAX_BLOCKS:
            raise too_much(f"more than {MAX_BLOCKS} blocks", has_content=self.has_content)
        block = blocks.begin(raw, told=self._told)
        self._end(index)
        self._open[index] = block
        self._say(block.opening())

    def _add(self, event: _Event, *, payload: bytes) -> None:
        delta, block = event.delta, self._open.get(event.index)
        if delta is None:
            self.malformed += 1
            return
        if block is None:
            self._begin(event.index, raw=_IMPLIED.get(delta.type, Raw(b"null")))
            block = self._open[event.index]
        self.said.pieces.append(delta.text or delta.thinking or delta.partial_json)
        self._say(block.add(delta, event=payload))

    def _end(self, index: int) -> None:
        block = self._open.pop(index, None)
        if block is not None:
            self._say(block.closing())

    def _finish(self, payload: bytes) -> None:
        ended, fields = _read_ended(payload), _read_ended_fields(payload).delta
        self._note(ended.usage or {})
        self._extras |= message.told(fields | message.read_fields(payload), without=_MESSAGE_KEYS)
        if ended.delta.stop_reason is None or self.finish_reason:
            return
        for index in list(self._open):
            self._end(index)
        if ended.delta.stop_reason == "refusal":
            self._say(_encode({"refusal": message.refusal(ended.delta.stop_details)}))
        self._say_end(ended.delta)

    def _say_end(self, end: _End) -> None:
        self.finish_reason = message.finish_reason(end.stop_reason)
        native = self._told.native_content()
        if not self._head:
            self._open_with("", model="")
        choice = {
            "index": 0,
            "delta": {"native_content": native} if native else {},
            "logprobs": None,
            "finish_reason": self.finish_reason,
            "native_finish_reason": end.stop_reason,
            **stops(end.stop_sequence, end.stop_details),
        }
        self._out.append(_event(self._extras | self._head | {"choices": [choice]}))
        self.has_content = self.has_content or bool(native)

    def _note(self, figures: dict[str, Any]) -> None:
        self._used = usage.merged(self._used, figures)
        self.usage = usage.read(self._used)

    def _tell_usage(self) -> None:
        """The last chunk, once, where the client wants it and the provider has told all."""
        told = usage.composed(self._used)
        if self._keep_usage and self.finish_reason and self.usage and not self.usage.is_partial:
            self._out.append(_event(self._head | {"choices": [], "usage": told}))
            self._keep_usage = False


def _event(chunk: dict[str, Any]) -> bytes:
    return _DATA + _encode(chunk) + END


def _payload(event: bytes) -> bytes:
    """What an event says, in one line."""
    if event.startswith(_USUAL) and event.find(b"\n", len(_USUAL)) < 0:
        return event[len(_USUAL) :]
    payload = payload_of(event).replace(b"\n", b" ")
    return b"" if payload == b"[DONE]" else payload
