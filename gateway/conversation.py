"""A stored body as people read it: who said what, which tools were called, what else was asked for. Pure.

Takes whatever a client sent: what has no form that is known is shown as the JSON it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

LONG_CHARS = 1_200
LONG_LINES = 16
BEGINNING_CHARS = 120
_TOLD = {"role", "name", "content", "reasoning", "reasoning_content", "refusal", "tool_calls", "function_call",
         "tool_call_id"}  # fmt: skip


class Piece(msgspec.Struct, frozen=True):
    text: str
    title: str = ""
    """What it is, where it is not simply said."""

    @property
    def is_long(self) -> bool:
        return len(self.text) > LONG_CHARS or self.text.count("\n") >= LONG_LINES

    @property
    def beginning(self) -> str:
        """Its first words, in one line."""
        return " ".join(self.text[: 2 * BEGINNING_CHARS].split())[:BEGINNING_CHARS]


class Turn(msgspec.Struct, frozen=True):
    who: str
    pieces: tuple[Piece, ...]


def turns(request: dict[str, Any]) -> list[Turn]:
    """Of the conversation that was sent."""
    messages = request.get("messages")
    return [_turn(message) for message in (messages if isinstance(messages, list) else [])]


def others(request: dict[str, Any]) -> str:
    """All other fields, as JSON; '' where there are none."""
    fields = {name: value for name, value in request.items() if name != "messages"}
    return _json(fields) if fields else ""


def _turn(message: Any) -> Turn:
    if not isinstance(message, dict):
        return Turn("", (Piece(message if isinstance(message, str) else _json(message)),))
    who = str(message.get("role") or "unknown")
    if isinstance(name := message.get("name"), str):
        who += f" ({name})"
    return Turn(who, tuple(_pieces(message)))


def _pieces(message: dict[str, Any]) -> Iterator[Piece]:
    for name in ("reasoning", "reasoning_content"):
        if isinstance(thought := message.get(name), str) and thought:
            yield Piece(thought, "thought")
    title = f"result of {message['tool_call_id']}" if isinstance(message.get("tool_call_id"), str) else ""
    yield from _content(message.get("content"), title=title)
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        yield Piece(refusal, "refused")
    calls = message.get("tool_calls")
    for call in [*(calls if isinstance(calls, list) else []), message.get("function_call")]:
        if call is not None:
            yield _call(call)
    if more := {name: value for name, value in message.items() if name not in _TOLD}:
        yield Piece(_json(more), "more")


def _content(content: Any, *, title: str) -> Iterator[Piece]:
    if content is None:
        return
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            yield Piece(part, title)
        elif isinstance(part, dict) and isinstance(text := part.get("text"), str):
            yield Piece(text, title)
        elif isinstance(part, dict) and isinstance(image := part.get("image_url"), dict):
            yield Piece(str(image.get("url", "")), title or "image")
        else:
            yield Piece(_json(part), str(part.get("type", "")) if isinstance(part, dict) else title)


def _call(call: Any) -> Piece:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(arguments := function.get("arguments"), str):
        return Piece(_json(call), "tool call")
    named = f"calls {function.get('name', 'a tool')}"
    return Piece(arguments, f"{named} ({call['id']})" if isinstance(call.get("id"), str) else named)


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
