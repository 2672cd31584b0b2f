"""Reads requests of Anthropic's Messages API. Pure; what the API refuses is `anthropic_refusals`' affair."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.upstream.exchange import Asked, Json, Refused, Tool, count_tokens


def decode(body: bytes) -> dict[str, Json]:
    """The request as a JSON object. Raises: Refused."""
    try:
        request = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Refused(f"The request body is not valid JSON: {error}") from error
    if not isinstance(request, dict):
        raise Refused("The request body is not valid JSON: expected an object")
    return request


def read(request: dict[str, Json]) -> Asked:
    """What is asked by a request that nothing was found wrong with."""
    messages = request["messages"]
    last = messages[-1]
    results = () if texts(last["content"]) else tuple(_results(last["content"]))
    users = [text for message in messages if message["role"] == "user" and (text := texts(message["content"]))]
    texts_of_all = [texts(request.get("system") or ""), *(_everything(message["content"]) for message in messages)]
    return Asked(
        model=request["model"],
        message=users[-1] if users else "",
        prompt_tokens=sum(map(count_tokens, texts_of_all)),
        max_tokens=request["max_tokens"],
        stream=bool(request.get("stream")),
        stop=tuple(request.get("stop_sequences") or ()),
        user_asks=last["role"] != "assistant" and not results,
        tool_results=results,
        schema=_schema(request),
        thinking=(request.get("thinking") or {}).get("type") == "enabled",
        **_read_tools(request),
    )


def blocks(content: str | list[Json]) -> list[Json]:
    """Content as a list of blocks: a string is one of text."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def texts(content: str | list[Json]) -> str:
    """The text blocks' text."""
    return " ".join(block["text"] for block in blocks(content) if block["type"] == "text")


def _results(content: str | list[Json]) -> list[str]:
    return [texts(block.get("content") or "") for block in blocks(content) if block["type"] == "tool_result"]


def _everything(content: str | list[Json]) -> str:
    return " ".join([texts(content), *_results(content)])


def _schema(request: dict[str, Json]) -> dict[str, Json] | None:
    wanted = (request.get("output_config") or {}).get("format") or {}
    return wanted.get("schema")


def _read_tools(request: dict[str, Json]) -> dict[str, Any]:
    """What `Asked` says of tools; the server's own ones are never called."""
    choice = request.get("tool_choice") or {"type": "auto"}
    own = [tool for tool in request.get("tools") or () if "input_schema" in tool]
    tools = tuple(Tool(name=tool["name"], schema=tool["input_schema"]) for tool in own)
    if choice["type"] == "tool":
        tools = tuple(tool for tool in tools if tool.name == choice["name"])
    return {
        "tools": () if choice["type"] == "none" else tools,
        "must_call": choice["type"] in {"any", "tool"},
        "parallel_calls": not choice.get("disable_parallel_tool_use"),
    }
