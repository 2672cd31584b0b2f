"""Reads chat completion requests. Pure, and lenient: it takes what it understands, so that a test can send anything.

What api.openai.com would refuse is `openai_strict`'s affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tests.upstream.exchange import Asked, Json, Tool, count_tokens
from tests.upstream.script import ScriptError


def read(body: bytes) -> Asked:
    """Reads a chat request. Raises: ScriptError when it is none."""
    try:
        request = msgspec.json.decode(body)
        texts = [(message["role"], _text(message.get("content"))) for message in request["messages"]]
        options = request.get("stream_options") or {}
        limit = request.get("max_completion_tokens")
        stop = request.get("stop") or ()
        return Asked(
            model=request["model"],
            message=next((text for role, text in reversed(texts) if role == "user"), ""),
            prompt_tokens=sum(count_tokens(text) for _, text in texts),
            max_tokens=request.get("max_tokens") if limit is None else limit,
            stream=bool(request.get("stream")),
            include_usage=bool(options.get("include_usage")),
            user_asks=not texts or texts[-1][0] not in {"tool", "assistant"},
            tool_results=_results(texts),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            **_read_tools(request),
            **_read_format(request.get("response_format")),
        )
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise ScriptError(f"not a chat request: {error!r}") from error


def _read_tools(request: dict[str, Json]) -> dict[str, Any]:
    """What `Asked` says of tools."""
    if not request.get("tools"):
        return {}
    functions = [tool["function"] for tool in request["tools"] if isinstance(tool.get("function"), dict)]
    tools = tuple(Tool(name=found["name"], schema=found.get("parameters") or {}) for found in functions)
    allowed, must_call = _chosen(request.get("tool_choice") or "auto", {tool.name for tool in tools})
    return {
        "tools": tuple(tool for tool in tools if tool.name in allowed),
        "must_call": must_call,
        "parallel_calls": request.get("parallel_tool_calls") is not False,
    }


def _chosen(choice: str | dict[str, Json], names: set[str]) -> tuple[set[str], bool]:
    """The tools a choice allows, and whether one of them must be called."""
    if isinstance(choice, str):
        return (set() if choice == "none" else names), choice == "required"
    if "allowed_tools" in choice:
        allowed = choice["allowed_tools"]
        return {tool["function"]["name"] for tool in allowed["tools"]}, allowed.get("mode") == "required"
    return ({choice["function"]["name"]}, True) if "function" in choice else (names, False)


def _results(texts: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The tool messages a request ends with."""
    found: list[str] = []
    for role, text in reversed(texts):
        if role != "tool":
            break
        found.insert(0, text)
    return tuple(found)


def _read_format(wanted: dict[str, Json] | None) -> dict[str, Any]:
    kind = (wanted or {}).get("type")
    if wanted and kind == "json_schema":
        return {"schema": wanted["json_schema"].get("schema") or {}}
    return {"json_object": kind == "json_object"}


def _text(content: Any) -> str:
    """Text of a message's content, which is a string, a list of parts, or null beside tool calls."""
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""
