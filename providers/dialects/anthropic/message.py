"""What an answer of the Messages API becomes in OpenAI's words, whether it comes whole or as a stream.

Owns what both ways share: how blocks are read, finish reasons, refusals, annotations, and when OpenAI's fields cannot
hold the blocks. Neither composes answers (`answer`) nor chunks (`stream`, `blocks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

FORMAT = "anthropic-claude-v1"
"""Says in `reasoning_details` whose signatures these are, there and back."""
_FINISH_REASONS = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""All others are a `stop`; the vendor's own word stands beside it as `native_finish_reason`."""
_ORDER = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}
_TOLD = {
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "text": frozenset({"type", "text"}),
}
"""What OpenAI's fields say of a block. A tool call takes every other key of its block along."""
_CALL_KEYS = frozenset({"type", "id", "name", "input"})
_NOTHING = (b"null", b"[]")


class _Kind(msgspec.Struct):
    type: str


class Text(msgspec.Struct):
    text: str | None = None
    citations: list[Any] | None = None


class Thinking(msgspec.Struct):
    thinking: str | None = None
    signature: str | None = None


class Redacted(msgspec.Struct):
    data: str


class ToolUse(msgspec.Struct):
    id: str
    name: str
    input: Raw = Raw(b"{}")

    @property
    def arguments(self) -> str:
        """The input's own JSON, byte for byte."""
        arguments = bytes(self.input).decode()
        return arguments if arguments != "null" else "{}"


Fields = dict[str, Raw]
"""A JSON object whose values keep their bytes."""

# Each raises msgspec.DecodeError, UnicodeDecodeError or RecursionError; the first two are a ValueError.
kind_of = msgspec.json.Decoder(_Kind).decode
read_fields = msgspec.json.Decoder(Fields).decode
read_text = msgspec.json.Decoder(Text).decode
read_thinking = msgspec.json.Decoder(Thinking).decode
read_redacted = msgspec.json.Decoder(Redacted).decode
read_tool_use = msgspec.json.Decoder(ToolUse).decode


class Shape:
    """Watches the blocks go by: whether thinking, text and tool calls, in this order, say all there is."""

    def __init__(self) -> None:
        self.is_told_whole = True
        self._reached = 0

    def add(self, kind: str, *, fields: Mapping[str, Raw]) -> None:
        place = _ORDER.get(kind, -1)
        keys = _TOLD.get(kind)
        if place < self._reached or (keys is not None and any(told(fields, without=keys))):
            self.is_told_whole = False
        self._reached = max(self._reached, place)


def told(fields: Mapping[str, Raw], *, without: frozenset[str]) -> Fields:
    """The fields that say something, beyond those named."""
    return {
        name: value for name, value in fields.items() if name not in without and not bytes(value).startswith(_NOTHING)
    }


def finish_reason(stop_reason: str | None) -> str:
    return _FINISH_REASONS.get(stop_reason or "", "stop")


def refusal(stop_details: object) -> str:
    """Why the model declined, in the vendor's words where it gave some."""
    why = stop_details.get("explanation") if isinstance(stop_details, dict) else None
    return why if why and isinstance(why, str) else "The model declined to answer."


def annotation(citation: object, *, start: int, end: int) -> dict[str, Any] | None:
    """OpenAI's annotation of the text from `start` to `end`, in characters; None where the source has no address."""
    if not isinstance(citation, dict) or not isinstance(citation.get("url"), str):
        return None
    title = citation.get("title")
    cited = {
        "url": citation["url"],
        "title": title if isinstance(title, str) else "",
        "start_index": start,
        "end_index": end,
        "content": citation.get("cited_text"),
    }
    return {"type": "url_citation", "url_citation": cited}


def tool_call(call: ToolUse, *, arguments: str, fields: Mapping[str, Raw]) -> dict[str, Any]:
    """OpenAI's tool call, with whatever else the block says, such as `caller`."""
    function = {"name": call.name, "arguments": arguments}
    return told(fields, without=_CALL_KEYS) | {"id": call.id, "type": "function", "function": function}


def reasoning_text(thinking: Thinking, *, index: int) -> dict[str, Any]:
    return {
        "type": "reasoning.text",
        "text": thinking.thinking or "",
        "signature": thinking.signature,
        "format": FORMAT,
        "index": index,
    }


def reasoning_encrypted(redacted: Redacted, *, index: int) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": redacted.data, "format": FORMAT, "index": index}
