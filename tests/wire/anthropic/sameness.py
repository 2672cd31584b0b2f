"""Whether two Messages requests mean the same: normalises what may differ, then compares everything.

Each allowed difference is one step of `_normalised` and says why it changes nothing. Whatever is not named there must
be equal: values and their JSON types, ids, the order of lists, and in schemas and tool inputs the order of keys too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

ORDERED = frozenset({"input_schema", "schema", "input"})
"""Below these keys the order of an object's keys counts: a model reads it."""


def differences(recorded: Json, received: Json) -> list[str]:
    """Each as `path: what`; none when they mean the same."""
    return list(_compared("$", _normalised(recorded), _normalised(received), is_ordered=False))


def content_differences(recorded: Any, received: Any) -> list[str]:
    """The same for the content of one message."""
    return list(_compared("$", _blocks(recorded), _blocks(received), is_ordered=False))


# -- allowed differences -----------------------------------------------------------------------------------------------


def _normalised(body: Json) -> Json:
    plain = dict(body)
    # Not streaming is the API's default.
    if plain.get("stream") is False:
        del plain["stream"]
    # A string is short for one text block.
    if "system" in plain:
        plain["system"] = _blocks(plain["system"])
    plain["messages"] = _merged([_message(message) for message in plain.get("messages", ())])
    if "tools" in plain:
        plain["tools"] = [_tool(tool) for tool in plain["tools"]]
    return plain


def _message(message: Json) -> Json:
    # A string is short for one text block.
    return {name: _blocks(value) if name == "content" else value for name, value in message.items()}


def _merged(messages: list[Json]) -> list[Json]:
    """User messages in a row are one turn to the API, which joins them itself. Nobody else's are."""
    merged: list[Json] = []
    for message in messages:
        if merged and message.keys() == {"role", "content"} and message["role"] == merged[-1].get("role") == "user":
            merged[-1] = merged[-1] | {"content": merged[-1]["content"] + message["content"]}
        else:
            merged.append(message)
    return merged


def _blocks(content: Any) -> Any:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_block(block) for block in content] if isinstance(content, list) else content


def _block(block: Any) -> Any:
    if not isinstance(block, dict) or block.get("type") != "tool_result":
        return block
    plain = dict(block)
    # A tool's result is no error unless it says so.
    if plain.get("is_error") is False:
        del plain["is_error"]
    # A string is short for one text block.
    if "content" in plain:
        plain["content"] = _blocks(plain["content"])
    return plain


def _tool(tool: Json) -> Json:
    # A tool without a type is a custom one.
    return {name: value for name, value in tool.items() if (name, value) != ("type", "custom")}


# -- comparing ---------------------------------------------------------------------------------------------------------


def _compared(path: str, left: Any, right: Any, *, is_ordered: bool) -> Iterator[str]:
    if type(left) is not type(right):
        yield f"{path}: {_short(left)} became {_short(right)}"
    elif isinstance(left, dict):
        yield from _compared_objects(path, left, right, is_ordered=is_ordered)
    elif isinstance(left, list):
        if len(left) != len(right):
            yield f"{path}: {len(left)} entries became {len(right)}: {_short(left)} became {_short(right)}"
        for at, (one, other) in enumerate(zip(left, right, strict=False)):
            yield from _compared(f"{path}[{at}]", one, other, is_ordered=is_ordered)
    elif left != right:
        yield f"{path}: {_short(left)} became {_short(right)}"


def _compared_objects(path: str, left: Json, right: Json, *, is_ordered: bool) -> Iterator[str]:
    for name in left.keys() - right.keys():
        yield f"{path}.{name}: {_short(left[name])} is missing"
    for name in right.keys() - left.keys():
        yield f"{path}.{name}: {_short(right[name])} was added"
    if is_ordered and left.keys() == right.keys() and list(left) != list(right):
        yield f"{path}: keys {list(left)} became {list(right)}"
    for name in left.keys() & right.keys():
        yield from _compared(f"{path}.{name}", left[name], right[name], is_ordered=is_ordered or name in ORDERED)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 160 else f"{text[:100]}...{text[-50:]}"
