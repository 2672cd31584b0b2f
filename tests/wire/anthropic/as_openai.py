"""Says a recorded Messages request in the words of OpenAI's chat completions, as a client of the gateway would.

What OpenAI has a word for is said in it; what it has not stands as it was: native parts, tools and top-level fields,
and `native_content` beside an assistant's content. A shape that no recording had is an error, not a guess.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

Json = dict[str, Any]

PASSED_ON = ("thinking", "container", "mcp_servers", "context_management", "cache_control", "temperature", "top_p")
"""Top-level fields with the same name and meaning on both sides, or with none on OpenAI's."""
REASONING_FORMAT = "anthropic-claude-v1"
PLAIN_ORDER = ("thinking", "redacted_thinking", "text", "tool_use")
NATIVE_PARTS = frozenset({"container_upload", "tool_addition", "tool_reference"})


class Unfamiliar(Exception):
    """A recording holds something this converter was not written for."""


def convert(recorded: Json) -> Json:
    """The whole request. Raises: Unfamiliar."""
    rest = dict(recorded)
    body: Json = {"model": rest.pop("model")}
    body["messages"] = [*_system(rest.pop("system", None)), *_messages(rest.pop("messages"))]
    # OpenAI's reasoning models know only the longer name.
    body["max_completion_tokens" if "thinking" in recorded else "max_tokens"] = rest.pop("max_tokens")
    if "tools" in rest:
        body["tools"] = [_tool(tool) for tool in rest.pop("tools")]
    if "tool_choice" in rest:
        body["tool_choice"] = _tool_choice(rest.pop("tool_choice"))
    if "stop_sequences" in rest:
        body["stop"] = rest.pop("stop_sequences")
    if "metadata" in rest:
        body["user"] = _only(rest.pop("metadata"), "user_id")["user_id"]
    body |= _output(rest.pop("output_config", {}))
    if rest.pop("stream", False):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body | _only(rest, *PASSED_ON)


def _only(value: Json, *names: str) -> Json:
    if unknown := value.keys() - set(names):
        raise Unfamiliar(f"fields {sorted(unknown)}")
    return value


def _output(config: Json) -> Json:
    rest = dict(config)
    wanted: Json = {}
    if "format" in rest:
        schema = _only(rest.pop("format"), "type", "schema")["schema"]
        wanted["response_format"] = {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}}
    return wanted | ({"output_config": rest} if rest else {})


def _tool(tool: Json) -> Json:
    if tool.get("type", "custom") != "custom":
        return tool
    rest = {name: value for name, value in tool.items() if name != "type"}
    function = {"name": rest.pop("name"), "parameters": rest.pop("input_schema")}
    function |= {name: rest.pop(name) for name in ("description", "strict") if name in rest}
    return {"type": "function", "function": function, **rest}


def _tool_choice(choice: Json) -> Any:
    if choice["type"] == "tool":
        return {"type": "function", "function": {"name": _only(choice, "type", "name")["name"]}}
    return {"auto": "auto", "any": "required", "none": "none"}[_only(choice, "type")["type"]]


# -- messages ----------------------------------------------------------------------------------------------------------


def _system(system: str | list[Json] | None) -> list[Json]:
    return [] if system is None else [{"role": "system", "content": _content(system)}]


def _messages(recorded: list[Json]) -> Iterator[Json]:
    for message in recorded:
        role, content = _only(message, "role", "content")["role"], message["content"]
        if role == "assistant" and not isinstance(content, str):
            yield _assistant(content)
        elif role == "user" and not isinstance(content, str):
            yield from _user(content)
        else:
            yield {"role": role, "content": _content(content)}


def _user(blocks: list[Json]) -> Iterator[Json]:
    """Tool results become messages of their own; what stands between them stays together."""
    for is_result, run in groupby(blocks, key=lambda block: block["type"] == "tool_result"):
        if is_result:
            yield from map(_tool_message, run)
        else:
            yield {"role": "user", "content": _content(list(run))}


def _tool_message(block: Json) -> Json:
    rest = _only(block, "type", "tool_use_id", "content", "is_error", "cache_control")
    extra = {name: rest[name] for name in ("is_error", "cache_control") if rest.get(name)}
    return {"role": "tool", "tool_call_id": rest["tool_use_id"], "content": _content(rest["content"]), **extra}


def _assistant(blocks: list[Json]) -> Json:
    texts = [block for block in blocks if block["type"] == "text"]
    calls = [_tool_call(block) for block in blocks if block["type"] == "tool_use"]
    reasoning = [detail for block in blocks for detail in _reasoning(block)]
    message: Json = {"role": "assistant", "content": _content(texts) if texts else None}
    if calls:
        message["tool_calls"] = calls
    if reasoning:
        message["reasoning_details"] = [detail | {"index": at} for at, detail in enumerate(reasoning)]
    if not _is_plain(blocks):
        message["content"] = "".join(block["text"] for block in texts) or None
        message["native_content"] = blocks
    return message


def _is_plain(blocks: list[Json]) -> bool:
    """Whether OpenAI's message can hold them: known types, in the order its fields stand for, without citations."""
    types = [block["type"] for block in blocks]
    if not set(types) <= set(PLAIN_ORDER) or any(block.get("citations") for block in blocks):
        return False
    ranks = [max(1, PLAIN_ORDER.index(kind)) for kind in types]
    return ranks == sorted(ranks)


def _tool_call(block: Json) -> Json:
    rest = dict(block)
    function = {"name": rest.pop("name"), "arguments": json.dumps(rest.pop("input"), ensure_ascii=False)}
    return rest | {"type": "function", "function": function}


def _reasoning(block: Json) -> Iterator[Json]:
    if block["type"] == "thinking":
        known = _only(block, "type", "thinking", "signature")
        yield {
            "type": "reasoning.text",
            "text": known["thinking"],
            "signature": known["signature"],
            "format": REASONING_FORMAT,
        }
    elif block["type"] == "redacted_thinking":
        yield {"type": "reasoning.encrypted", "data": _only(block, "type", "data")["data"], "format": REASONING_FORMAT}


# -- content -----------------------------------------------------------------------------------------------------------


def _content(content: str | list[Json]) -> str | list[Json]:
    """A single text without further keys as a string, as most clients write it; everything else as parts."""
    if isinstance(content, str):
        return content
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return str(content[0]["text"])
    return [_part(block) for block in content]


def _part(block: Json) -> Json:
    kind, source = block["type"], block.get("source", {})
    if kind == "text" or kind in NATIVE_PARTS:
        return block
    if kind not in ("image", "document"):
        raise Unfamiliar(f"a part of type {kind}")
    if source["type"] == "file" and kind == "image":
        return block  # OpenAI's image parts know URLs alone
    rest = {name: value for name, value in block.items() if name not in ("type", "source", "title")}
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _url(source)}, **rest}
    named = {"filename": block["title"]} if "title" in block else {}
    return {"type": "file", "file": {"file_data": _url(source), **named}, **rest}


def _url(source: Json) -> str:
    if source["type"] == "url":
        return str(source["url"])
    data = source["data"]
    if source["type"] == "text":
        data = base64.b64encode(data.encode()).decode()
    elif source["type"] != "base64":
        raise Unfamiliar(f"a source of type {source['type']}")
    return f"data:{source['media_type']};base64,{data}"
