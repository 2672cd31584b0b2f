"""A streamed answer's content blocks: what each of their events is as a delta of OpenAI's, and what they were at last.

Knows neither events nor chunks (`stream` does). A delta is given back as JSON, ready to be put into a chunk; b'' where
OpenAI's dialect has nothing to say. Lists in deltas carry an `index`, and constant words stand in the first delta of an
index only: clients join the strings of all deltas that have the same index.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from providers.dialects.anthropic import message
from providers.dialects.anthropic.message import FORMAT, Fields

T = TypeVar("T")

_encode = msgspec.json.encode


class Delta(msgspec.Struct, gc=False):
    """The kinds of delta that OpenAI's dialect can say."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    citation: Any = None


class _Anything(msgspec.Struct):
    delta: Fields


_read_anything = msgspec.json.Decoder(_Anything).decode
_read_any = msgspec.json.decode


class Told:
    """What the blocks so far have said: where the next one's text and entries stand."""

    def __init__(self) -> None:
        self.text_chars = 0
        self.annotations = 0
        self.reasonings = 0
        self.tool_calls = 0
        self.shape = message.Shape()
        self.blocks: list[Block] = []

    def native_content(self) -> list[dict[str, Any]]:
        """All blocks as they were, where OpenAI's fields did not say everything."""
        if self.shape.is_told_whole:
            return []
        return [block.verbatim() | {"index": index} for index, block in enumerate(self.blocks)]


class Block:
    """A block of a kind that OpenAI's dialect does not have: only collected."""

    def __init__(self, raw: Raw, *, kind: str, told: Told) -> None:
        self._fields = message.read_fields(raw)
        self._told = told
        self._parts: dict[str, list[str]] = {}
        """Strings that came in pieces, by field."""
        self._partial_json: list[str] = []
        self._citations: list[Any] = []
        self._read(raw)
        told.shape.add(kind, fields=self._fields)
        told.blocks.append(self)

    def _read(self, raw: Raw) -> None:
        """Reads the block as it starts. Raises: ValueError."""

    def opening(self) -> bytes:
        """What the block says by starting."""
        return b""

    def add(self, delta: Delta, *, event: bytes) -> bytes:
        """Takes a delta; `event` is all of its event. Raises: ValueError."""
        match delta.type:
            case "input_json_delta":
                self._partial_json.append(delta.partial_json)
            case "citations_delta":
                self._citations.append(delta.citation)
                self._told.shape.is_told_whole = False
            case _:
                self.add_unknown(event)
        return b""

    def add_unknown(self, event: bytes) -> None:
        """A kind of delta that we have not heard of: its strings continue the block's, all else replaces.

        Raises: ValueError.
        """
        for name, value in _read_anything(event).delta.items():
            if name != "type":
                if bytes(value).startswith(b'"'):
                    self._part(name).append(_read_any(value))
                else:
                    self._fields[name] = value
                self._told.shape.is_told_whole = False

    def closing(self) -> bytes:
        """What the block says by ending."""
        return b""

    def verbatim(self) -> dict[str, Any]:
        """The block as it would stand in an answer that is no stream."""
        whole: dict[str, Any] = dict(self._fields)
        for name, parts in self._parts.items():
            whole[name] = "".join([_read_as(str, self._fields.get(name)) or "", *parts])
        if self._citations:
            whole["citations"] = [*(_read_as(list[Raw], self._fields.get("citations")) or ()), *self._citations]
        given = _one_line("".join(self._partial_json))
        return whole if given is None else whole | {"input": given}

    def _part(self, name: str) -> list[str]:
        return self._parts.setdefault(name, [])


def _read_as(kind: type[T], raw: Raw | None) -> T | None:
    try:
        return None if raw is None else msgspec.json.decode(raw, type=kind)
    except (ValueError, RecursionError):
        return None  # of another kind: what follows stands alone


def _one_line(json: str) -> Raw | None:
    """JSON that a model wrote, without the line breaks that would cut an event; None where it is none."""
    try:
        return Raw(msgspec.json.format(json.encode(), indent=-1))
    except (ValueError, RecursionError):
        return None


class _Text(Block):
    def _read(self, raw: Raw) -> None:
        begun = message.read_text(raw)
        self._start = self._told.text_chars
        self._begun = begun.text or ""
        self._cited = begun.citations or []
        self._told.text_chars += len(self._begun)
        self._pieces = self._part("text")

    def opening(self) -> bytes:
        return b'{"content":' + _encode(self._begun) + b"}" if self._begun else b""

    def add(self, delta: Delta, *, event: bytes) -> bytes:
        if delta.type != "text_delta":
            return super().add(delta, event=event)
        text = delta.text
        self._pieces.append(text)
        self._told.text_chars += len(text)
        return b'{"content":' + _encode(text) + b"}" if text else b""

    def closing(self) -> bytes:
        """The annotations, now that it is known which text they are about."""
        found: list[dict[str, Any]] = []
        for citation in [*self._cited, *self._citations]:
            note = message.annotation(citation, start=self._start, end=self._told.text_chars)
            if note is not None:
                found.append(note | {"index": self._told.annotations + len(found)})
        self._told.annotations += len(found)
        return _encode({"annotations": found}) if found else b""


class _Thinking(Block):
    def _read(self, raw: Raw) -> None:
        self._begun = message.read_thinking(raw)
        self._index: int | None = None

    def opening(self) -> bytes:
        thinking, signature = self._begun.thinking or "", self._begun.signature or ""
        return self._detail(thinking, signature=signature) if thinking or signature else b""

    def add(self, delta: Delta, *, event: bytes) -> bytes:
        if delta.type == "thinking_delta":
            self._part("thinking").append(delta.thinking)
            return self._detail(delta.thinking) if delta.thinking else b""
        if delta.type == "signature_delta":
            self._part("signature").append(delta.signature)
            return self._detail("", signature=delta.signature) if delta.signature else b""
        return super().add(delta, event=event)

    def _detail(self, text: str, *, signature: str = "") -> bytes:
        detail: dict[str, Any] = {"index": self._index, "type": "reasoning.text"}
        if self._index is None:
            # Numbered when it first says something: numbers without a gap are what clients can join by.
            self._index = detail["index"] = self._told.reasonings
            self._told.reasonings += 1
            detail |= {"format": FORMAT, "text": text}
        elif text:
            detail["text"] = text
        if signature:
            detail["signature"] = signature
        said = {"reasoning": text} if text else {}
        return _encode(said | {"reasoning_details": [detail]})


class _Redacted(Block):
    def _read(self, raw: Raw) -> None:
        self._redacted = message.read_redacted(raw)

    def opening(self) -> bytes:
        detail = message.reasoning_encrypted(self._redacted, index=self._told.reasonings)
        self._told.reasonings += 1
        return _encode({"reasoning_details": [detail]})


class _ToolUse(Block):
    def _read(self, raw: Raw) -> None:
        self._call = message.read_tool_use(raw)
        self._index = self._told.tool_calls
        self._told.tool_calls += 1
        self._is_told = False
        self._before = b'{"tool_calls":[{"index":%d,"function":{"arguments":' % self._index

    def opening(self) -> bytes:
        call = message.tool_call(self._call, arguments="", fields=self._fields)
        return _encode({"tool_calls": [call | {"index": self._index}]})

    def add(self, delta: Delta, *, event: bytes) -> bytes:
        if delta.type != "input_json_delta":
            return super().add(delta, event=event)
        self._partial_json.append(delta.partial_json)
        return self._arguments(delta.partial_json) if delta.partial_json else b""

    def closing(self) -> bytes:
        """The arguments as they stood at the block's start, where no piece of them followed."""
        return b"" if self._is_told else self._arguments(self._call.arguments)

    def _arguments(self, json: str) -> bytes:
        self._is_told = True
        return self._before + _encode(json) + b"}}]}"


_KINDS: dict[str, type[Block]] = {
    "text": _Text,
    "thinking": _Thinking,
    "redacted_thinking": _Redacted,
    "tool_use": _ToolUse,
}


def begin(raw: Raw, *, told: Told) -> Block:
    """The block that starts so. Raises: ValueError when it is none."""
    kind = message.kind_of(raw).type
    return _KINDS.get(kind, Block)(raw, kind=kind, told=told)
