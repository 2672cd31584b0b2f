"""Where a vendor that speaks OpenAI's dialect differs from it: edits that its row declares, and no others.

A request that already says what the vendor wants keeps its bytes, field by field and message by message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from providers.types import Provider

_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
_REASONING = frozenset({"reasoning", "reasoning_content"})

_read_messages = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.encode


def apply(fields: dict[str, Raw], *, messages: Sequence[Mapping[str, Any]], provider: Provider) -> None:
    """Edits `fields` for the vendor; `messages` is the same conversation decoded."""
    if provider.max_tokens_field:
        _rename(fields, _LIMITS, to=provider.max_tokens_field)
    if provider.reasoning_field or provider.text_as_string:
        edited = [_edited(message, provider=provider) for message in messages]
        if any(message is not None for message in edited):
            raws = _read_messages(fields["messages"])
            kept = [
                raw if message is None else Raw(_encode(message)) for raw, message in zip(raws, edited, strict=True)
            ]
            fields["messages"] = Raw(_encode(kept))


def _edited(message: Mapping[str, Any], *, provider: Provider) -> dict[str, Any] | None:
    """The message as the vendor takes it; None when it does as it is."""
    edited = dict(message)
    if provider.reasoning_field:
        _rename(edited, _REASONING, to=provider.reasoning_field)
    content = message.get("content")
    if provider.text_as_string and content and isinstance(content, list) and all(map(_is_plain_text, content)):
        edited["content"] = "\n".join(part["text"] for part in content)
    return edited if edited != message else None


def _is_plain_text(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _rename(fields: dict[str, Any], names: frozenset[str], *, to: str) -> None:
    """One of `names` under the name `to`. What already stands there wins over the others, as it is meant for such
    a vendor; null is nothing that stands there."""
    for name in names & fields.keys() - {to}:
        value = fields.pop(name)
        if to not in fields or _is_null(fields[to]):
            fields[to] = value


def _is_null(value: object) -> bool:
    return value is None or (isinstance(value, Raw) and bytes(value) == b"null")
