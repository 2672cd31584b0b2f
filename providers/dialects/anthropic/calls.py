"""Tool calls and their results, as blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from providers.dialects.anthropic.parts import Block, blocks_of
from providers.dialects.anthropic.reading import refusal, said, with_others, wrong_type

_IN_CALL = frozenset({"id", "type", "function", "index", "extra_content"})  # the last is what Gemini gives
_IN_FUNCTION = frozenset({"name", "arguments", "parsed_arguments"})
_IN_RESULT = frozenset({"role", "content", "tool_call_id", "name"})
_NOTHING = Raw(b"{}")

_read_object = msgspec.json.Decoder(dict[str, Raw]).decode
_strange = re.compile(r"[^a-zA-Z0-9_-]")


def calls_of(message: Mapping[str, Any], *, at: str) -> list[Mapping[str, Any]]:
    """An assistant message's tool calls as they came, each of them an object."""
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise wrong_type(f"{at}.tool_calls", f"{at}.tool_calls must be a list of objects.", found=calls)
    return calls


def use(call: Mapping[str, Any], *, at: str) -> Block:
    function = call.get("function")
    if call.get("type") == "custom" or "custom" in call:
        raise refusal(at, f"Anthropic's models know no custom tools: leave {at} out.")
    if not isinstance(function, dict):
        raise wrong_type(f"{at}.function", f"{at}.function must be an object.", found=function)
    block = {
        "type": "tool_use",
        "id": _vendors_id(said(call.get("id"), at=f"{at}.id")),
        "name": said(function.get("name"), at=f"{at}.function.name"),
        "input": _input(function.get("arguments"), at=f"{at}.function.arguments"),
    }
    return with_others(with_others(block, call, named=_IN_CALL), function, named=_IN_FUNCTION)


def _input(arguments: object, *, at: str) -> Raw:
    """The arguments in their own bytes, so that no number in them changes."""
    if arguments in (None, ""):
        return _NOTHING
    try:
        if isinstance(arguments, str):
            _read_object(arguments)
            return Raw(arguments)
    except msgspec.DecodeError as error:
        raise refusal(at, f"{at} must be a JSON object: {error}.") from error
    raise wrong_type(at, f"{at} must be a string that holds a JSON object.", found=arguments)


def result(message: Mapping[str, Any], *, at: str, warnings: list[str]) -> Block:
    block: Block = {
        "type": "tool_result",
        "tool_use_id": _vendors_id(said(message.get("tool_call_id"), at=f"{at}.tool_call_id")),
    }
    content = message.get("content")
    if isinstance(content, str):
        block["content"] = content
    elif content is not None and (blocks := blocks_of(content, at=f"{at}.content", warnings=warnings)):
        block["content"] = blocks
    return with_others(block, message, named=_IN_RESULT)


def _vendors_id(call_id: str) -> str:
    """Anthropic takes only these characters; a conversation begun elsewhere may hold others. Call and result are
    spelled alike, so they still find each other."""
    return _strange.sub(lambda found: f"_{ord(found[0]):x}_", call_id)
