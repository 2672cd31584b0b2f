"""Translates a whole answer of the Messages API into OpenAI's dialect."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from msgspec import Raw

from providers.dialects import unusual_json
from providers.dialects.anthropic import errors, message, usage
from providers.dialects.anthropic.message import Fields
from providers.types import Answer, FailureKind, ProviderError, Usage

MAX_BLOCKS = 10_000
"""In one answer. Real ones hold a few hundred; each costs many times the memory of its bytes."""
_OURS = frozenset({"id", "type", "role", "content", "model", "stop_reason", "stop_sequence", "stop_details", "usage"})
"""Of a message's fields those that have a place of their own in OpenAI's answer."""

_encode = msgspec.json.encode
_decode = msgspec.json.decode
_read_blocks = msgspec.json.Decoder(list[Raw]).decode


class _Ending(msgspec.Struct):
    """What the vendor's message says beside its content."""

    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None
    usage: Any = None


_read_ending = msgspec.json.Decoder(_Ending).decode


def read_answer(body: bytes) -> Answer:
    """Reads a 200's body and says it in OpenAI's words.

    Raises: ProviderError when it is no answer: not JSON, an error object, no content, or nothing in it.
    """
    try:
        return _read(body)
    except ProviderError as error:
        if not isinstance(error.__cause__, msgspec.DecodeError) or (mended := unusual_json.mended(body)) == body:
            raise
    return _read(mended)


def _read(body: bytes) -> Answer:
    fields = _fields_of(body)
    try:
        if _is_error(fields):
            raise errors.error_in_answer({name: _decode(value) for name, value in fields.items()})
        if "content" not in fields:
            raise _bad("its answer has no content")
        return _translated(body, fields=fields)
    except (ValueError, RecursionError) as error:
        raise _bad("its answer is not shaped like a message") from error


def _fields_of(body: bytes) -> Fields:
    try:
        # What keeps its bytes is not looked into: text that is no UTF-8 has to be found here.
        return message.read_fields(body.decode())
    except msgspec.ValidationError as error:
        raise _bad("its answer is not a JSON object") from error
    except (ValueError, RecursionError) as error:
        raise _bad("its answer is not valid JSON") from error


def _is_error(fields: Fields) -> bool:
    kind = _decode(fields["type"]) if "type" in fields else None
    return kind == "error" or ("error" in fields and bool(_decode(fields["error"])))


def _bad(why: str, *, used: Usage | None = None) -> ProviderError:
    return ProviderError(FailureKind.BAD_ANSWER, why, status=200, usage=used)


def _translated(body: bytes, *, fields: Fields) -> Answer:
    ending = _read_ending(body)
    used = usage.read(ending.usage)
    made = _Message()
    blocks = _read_blocks(fields["content"])
    if len(blocks) > MAX_BLOCKS:
        raise _bad(f"its answer has more than {MAX_BLOCKS} blocks")
    for raw in blocks:
        made.add(raw)
    if ending.stop_reason == "refusal":
        made.refusal = message.refusal(ending.stop_details)
    if made.is_empty and not (used and used.output_tokens):
        raise _bad("its answer is empty", used=used)
    reason = message.finish_reason(ending.stop_reason)
    composed = message.told(fields, without=_OURS) | {
        "id": ending.id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": ending.model,
        "choices": [
            {
                "index": 0,
                "message": made.composed(),
                "logprobs": None,
                "finish_reason": reason,
                "native_finish_reason": ending.stop_reason,
                **stops(ending.stop_sequence, ending.stop_details),
            }
        ],
    }
    if (told := usage.composed(ending.usage)) is not None:
        composed["usage"] = told
    return Answer(_encode(composed), used, reason)


def stops(sequence: str | None, details: dict[str, Any] | None) -> dict[str, Any]:
    """What else a choice says of its end, where there is something to say."""
    told = {"stop_sequence": sequence, "stop_details": details}
    return {name: value for name, value in told.items() if value is not None}


class _Message:
    """OpenAI's message, filled block by block."""

    def __init__(self) -> None:
        self.refusal: str | None = None
        self._text: list[str] = []
        self._text_chars = 0
        self._thinking: list[str] = []
        self._annotations: list[dict[str, Any]] = []
        self._details: list[dict[str, Any]] = []
        self._tool_calls: list[dict[str, Any]] = []
        self._blocks: list[Raw] = []
        self._shape = message.Shape()

    @property
    def is_empty(self) -> bool:
        """Whether nobody would see or pay for anything in it."""
        said = self._text_chars or self._details or self._tool_calls or self.refusal
        return not said and self._shape.is_told_whole

    def add(self, raw: Raw) -> None:
        kind, fields = message.kind_of(raw).type, message.read_fields(raw)
        self._blocks.append(raw)
        self._shape.add(kind, fields=fields)
        match kind:
            case "text":
                self._add_text(message.read_text(raw))
            case "thinking":
                thinking = message.read_thinking(raw)
                self._thinking.append(thinking.thinking or "")
                self._details.append(message.reasoning_text(thinking, index=len(self._details)))
            case "redacted_thinking":
                redacted = message.read_redacted(raw)
                self._details.append(message.reasoning_encrypted(redacted, index=len(self._details)))
            case "tool_use":
                call = message.read_tool_use(raw)
                self._tool_calls.append(message.tool_call(call, arguments=call.arguments, fields=fields))

    def _add_text(self, block: message.Text) -> None:
        start, text = self._text_chars, block.text or ""
        self._text.append(text)
        self._text_chars += len(text)
        for citation in block.citations or ():
            found = message.annotation(citation, start=start, end=self._text_chars)
            if found is not None:
                self._annotations.append(found)

    def composed(self) -> dict[str, Any]:
        composed: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self._text) or (None if self._tool_calls else ""),
            "refusal": self.refusal,
            "annotations": self._annotations,
        }
        extras = {
            "tool_calls": self._tool_calls,
            "reasoning": "".join(self._thinking),
            "reasoning_details": self._details,
            "native_content": [] if self._shape.is_told_whole else self._blocks,
        }
        return composed | {name: value for name, value in extras.items() if value}
