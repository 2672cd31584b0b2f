"""What the assistant said before, as blocks: thinking, text, tool calls, or the blocks it sent in the first place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from providers.dialects.anthropic import calls, thoughts
from providers.dialects.anthropic.parts import Block, blocks_of, text_blocks
from providers.dialects.anthropic.reading import refusal, wrong_type

NAMED = frozenset(
    {
        *("role", "content", "name", "refusal", "tool_calls"),
        *("reasoning", "reasoning_content", "reasoning_details", "native_content"),
        *("annotations", "audio", "function_call", "parsed"),
    }
)
_INSTEAD = (("audio", "its transcript as content"), ("function_call", "tool_calls"))
"""What Anthropic cannot be told, and what says the same."""


def blocks(message: Mapping[str, Any], *, at: str, warnings: list[str]) -> list[Block]:
    """Raises: ProviderError(UNSUPPORTED or REJECTED)."""
    for name, instead in _INSTEAD:
        if message.get(name) is not None:
            raise refusal(f"{at}.{name}", f"Anthropic's models do not know {at}.{name}: send {instead} instead.")
    made = calls.calls_of(message, at=at)
    if native := _native(message, made=made, warnings=warnings):
        return native
    return [
        *thoughts.blocks(message.get("reasoning_details"), warnings=warnings),
        *_said(message, at=at, warnings=warnings),
        *(calls.use(call, at=f"{at}.tool_calls[{index}]") for index, call in enumerate(made)),
    ]


def _said(message: Mapping[str, Any], *, at: str, warnings: list[str]) -> list[Block]:
    content, refused = message.get("content"), message.get("refusal")
    said = [] if content is None else blocks_of(content, at=f"{at}.content", warnings=warnings)
    if refused is None:
        return said
    if not isinstance(refused, str):
        raise wrong_type(f"{at}.refusal", f"{at}.refusal must be a string.", found=refused)
    return said + text_blocks(refused)


def _native(message: Mapping[str, Any], *, made: list[Mapping[str, Any]], warnings: list[str]) -> list[Block]:
    """`native_content` as it came from the vendor, where the client has not edited what stands beside it."""
    native = message.get("native_content")
    if not native or not isinstance(native, list) or not all(isinstance(block, dict) for block in native):
        return []
    if _joined(native) != _joined(message.get("content")) or not _are_told(native, made):
        warnings.append("native_content is not sent: the message beside it was changed")
        return []
    return [
        {name: value for name, value in block.items() if name != "index"} for block in native if not _is_void(block)
    ]


def _are_told(native: list[Mapping[str, Any]], made: list[Mapping[str, Any]]) -> bool:
    """Whether the vendor's tool calls are those that stand beside them."""
    uses = [block for block in native if block.get("type") == "tool_use"]
    return len(uses) == len(made) and all(map(_is_told, uses, made))


def _is_told(use: Mapping[str, Any], call: Mapping[str, Any]) -> bool:
    function = call.get("function")
    if not isinstance(function, dict) or (use.get("id"), use.get("name")) != (call.get("id"), function.get("name")):
        return False
    arguments = function.get("arguments") or "{}"
    try:
        return isinstance(arguments, str) and _is_same(msgspec.json.decode(arguments), use.get("input"))
    except msgspec.DecodeError:
        return False


def _is_same(one: object, other: object) -> bool:
    """Equal as JSON: unlike in Python, `true` is not 1 there."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _is_void(block: Mapping[str, Any]) -> bool:
    """The vendor writes such blocks at times, and refuses them when they come back."""
    return block.get("type") == "text" and not block.get("text")


def _joined(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(
        text
        for part in parts
        if isinstance(part, dict) and part.get("type") == "text" and isinstance(text := part.get("text"), str)
    )
