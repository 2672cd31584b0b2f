"""Refuses the requests that Anthropic's Messages API refuses, with its `invalid_request_error` in its words. Pure.

Fields and their types, blocks, tools, calls without results, thinking. Knows nothing of what a model can do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from tests.upstream.anthropic_requests import blocks
from tests.upstream.exchange import Json, Refused

SMALLEST_BUDGET = 1024
"""Of thinking, in tokens."""
_Kind = tuple[str, tuple[type, ...]]
_BOOLEAN: _Kind = ("boolean", (bool,))
_DICTIONARY: _Kind = ("dictionary", (dict,))
_INTEGER: _Kind = ("integer", (int,))
_LIST: _Kind = ("list", (list,))
_NUMBER: _Kind = ("number", (int, float))
_STRING: _Kind = ("string", (str,))
_TEXTS: _Kind = ("string or list", (str, list))
_ANY: _Kind = ("value", (object,))
_FIELDS: Mapping[str, _Kind] = {
    "model": _STRING,
    "messages": _LIST,
    "max_tokens": _INTEGER,
    "cache_control": _DICTIONARY,
    "container": _ANY,
    "context_management": _DICTIONARY,
    "inference_geo": _STRING,
    "mcp_servers": _LIST,
    "metadata": _DICTIONARY,
    "output_config": _DICTIONARY,
    "service_tier": _STRING,
    "stop_sequences": _LIST,
    "stream": _BOOLEAN,
    "system": _TEXTS,
    "temperature": _NUMBER,
    "thinking": _DICTIONARY,
    "tool_choice": _DICTIONARY,
    "tools": _LIST,
    "top_k": _INTEGER,
    "top_p": _NUMBER,
}
_REQUIRED = ("model", "messages", "max_tokens")
_BLOCKS: Mapping[str, tuple[Mapping[str, _Kind], Mapping[str, _Kind]]] = {
    "text": ({"text": _STRING}, {"cache_control": _DICTIONARY, "citations": _LIST}),
    "image": ({"source": _DICTIONARY}, {"cache_control": _DICTIONARY}),
    "document": (
        {"source": _DICTIONARY},
        {"cache_control": _DICTIONARY, "citations": _DICTIONARY, "context": _STRING, "title": _STRING},
    ),
    "thinking": ({"signature": _STRING, "thinking": _STRING}, {}),
    "redacted_thinking": ({"data": _STRING}, {}),
    "tool_use": (
        {"id": _STRING, "input": _DICTIONARY, "name": _STRING},
        {"cache_control": _DICTIONARY, "caller": _DICTIONARY},
    ),
    "tool_result": (
        {"tool_use_id": _STRING},
        {"cache_control": _DICTIONARY, "content": _TEXTS, "is_error": _BOOLEAN},
    ),
}
"""Required and further fields of the blocks that clients write; the other types' insides are not looked at."""
_OTHER_BLOCKS = frozenset(
    {
        "advisor_tool_result",
        "bash_code_execution_tool_result",
        "code_execution_tool_result",
        "compaction",
        "container_upload",
        "mcp_tool_result",
        "mcp_tool_use",
        "search_result",
        "server_tool_use",
        "text_editor_code_execution_tool_result",
        "tool_addition",
        "tool_reference",
        "tool_search_tool_result",
        "web_fetch_tool_result",
        "web_search_tool_result",
    }
)
_TOOL: tuple[Mapping[str, _Kind], Mapping[str, _Kind]] = (
    {"name": _STRING, "input_schema": _DICTIONARY},
    {
        "allowed_callers": _LIST,
        "cache_control": _DICTIONARY,
        "defer_loading": _BOOLEAN,
        "description": _STRING,
        "eager_input_streaming": _BOOLEAN,
        "input_examples": _LIST,
        "strict": _BOOLEAN,
    },
)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ROLES = ("user", "assistant", "system")
_CHOICES = ("auto", "any", "tool", "none")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_Message = Mapping[str, Json]


def check(request: Mapping[str, Json]) -> None:
    """Raises: Refused for a request the API would not take."""
    for name in _REQUIRED:
        _require(request, name)
    for name, value in request.items():
        if name not in _FIELDS:
            raise Refused(f"{name}: Extra inputs are not permitted")
        if value is not None or name in _REQUIRED:
            _check_kind(value, _FIELDS[name], path=name)
    _check_numbers(request)
    _check_messages(request["messages"])
    _check_system(request.get("system"))
    _check_tools(request)
    _check_options(request)
    _check_thinking(request)


def _check_numbers(request: Mapping[str, Json]) -> None:
    if request["max_tokens"] < 1:
        raise Refused("max_tokens: must be greater than or equal to 1")
    for name in ("temperature", "top_p"):
        if not 0 <= (request.get(name) or 0) <= 1:
            raise Refused(f"{name}: range: 0..1")


def _check_messages(messages: Sequence[_Message]) -> None:
    if not messages:
        raise Refused("messages: at least one message is required")
    for number, message in enumerate(messages):
        path = f"messages.{number}"
        _check_kind(message, _DICTIONARY, path=path)
        _check_fields(message, {"role": _STRING, "content": _TEXTS}, {}, path=path)
        _check_choice(message["role"], _ROLES, path=f"{path}.role")
        if not message["content"] and (message["role"] != "assistant" or number + 1 < len(messages)):
            raise Refused(
                f"{path}: all messages must have non-empty content except for the optional final assistant message"
            )
        _check_blocks(message["content"], path=f"{path}.content", whose="messages")
    _check_calls(messages)


def _check_system(system: Json) -> None:
    if isinstance(system, list):
        _check_blocks(system, path="system", whose="system")


def _check_blocks(content: str | list[Json], *, path: str, whose: str) -> None:
    for number, block in enumerate(content if isinstance(content, list) else ()):
        inside = f"{path}.{number}"
        _check_kind(block, _DICTIONARY, path=inside)
        _require(block, "type", path=inside)
        if block["type"] in _BLOCKS:
            _check_fields(block, *_BLOCKS[block["type"]], path=f"{inside}.{block['type']}")
        elif block["type"] not in _OTHER_BLOCKS:
            tags = ", ".join(f"'{tag}'" for tag in sorted(_OTHER_BLOCKS | _BLOCKS.keys()))
            raise Refused(
                f"{inside}: Input tag '{block['type']}' found using 'type' does not match any of the expected tags:"
                f" {tags}"
            )
        if block["type"] == "text" and not block["text"]:
            raise Refused(f"{whose}: text content blocks must be non-empty")
        if block["type"] == "text" and block["text"].isspace():
            raise Refused(f"{whose}: text content blocks must contain non-whitespace text")
        if block["type"] == "tool_result":
            _check_blocks(block.get("content") or "", path=f"{inside}.tool_result.content", whose=whose)


def _check_calls(messages: Sequence[_Message]) -> None:
    """Every call has its result at the beginning of the next turn, and every result its call in the turn before."""
    called: list[str] = []
    at = 0
    for number, role, turn in _turns(messages):
        results = [block["tool_use_id"] for block in turn if block["type"] == "tool_result"]
        if strange := next((found for found in results if found not in called), None):
            raise Refused(
                f"messages.{number}.content: unexpected `tool_use_id` found in `tool_result` blocks: {strange}. Each"
                " `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        first = [block.get("tool_use_id") for block in turn[: len(results)]]
        _check_answered([call for call in called if call not in first], at=at)
        called = [block["id"] for block in turn if role == "assistant" and block["type"] == "tool_use"]
        at = number
        if len(set(called)) < len(called):
            raise Refused(f"messages.{number}.content: `tool_use` ids must be unique")
    _check_answered(called, at=at)


def _check_answered(missing: Sequence[str], *, at: int) -> None:
    if missing:
        raise Refused(
            f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after:"
            f" {', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next"
            " message."
        )


def _turns(messages: Sequence[_Message]) -> Iterator[tuple[int, str, list[Json]]]:
    """Neighbours of one role are one turn to the API; with the first one's number. System messages are none."""
    spoken = [(number, message) for number, message in enumerate(messages) if message["role"] != "system"]
    for role, group in groupby(spoken, key=lambda found: found[1]["role"]):
        turn = list(group)
        yield turn[0][0], role, [block for _, message in turn for block in blocks(message["content"])]


def _check_tools(request: Mapping[str, Json]) -> None:
    tools = request.get("tools") or []
    for number, tool in enumerate(tools):
        _check_kind(tool, _DICTIONARY, path=f"tools.{number}")
        if tool.get("type", "custom") == "custom":
            path = f"tools.{number}.custom"
            _check_fields(tool, *_TOOL, path=path)
            if not _TOOL_NAME.fullmatch(tool["name"]):
                raise Refused(f"{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
            _require(tool["input_schema"], "type", path=f"{path}.input_schema")
            _check_choice(tool["input_schema"]["type"], ("object",), path=f"{path}.input_schema.type")
    names = [tool.get("name") for tool in tools]
    if len(set(names)) < len(names):
        raise Refused("tools: Tool names must be unique.")
    if (choice := request.get("tool_choice")) is not None:
        _check_tool_choice(choice, names)


def _check_tool_choice(choice: Mapping[str, Json], names: Sequence[Json]) -> None:
    _require(choice, "type", path="tool_choice")
    _check_choice(choice["type"], _CHOICES, path="tool_choice.type")
    if not names and choice["type"] != "none":
        raise Refused("tool_choice may only be specified while providing tools")
    known: dict[str, _Kind] = {} if choice["type"] == "none" else {"disable_parallel_tool_use": _BOOLEAN}
    needed: dict[str, _Kind] = {"name": _STRING} if choice["type"] == "tool" else {}
    _check_fields(choice, needed, known, path=f"tool_choice.{choice['type']}")
    if needed and choice["name"] not in names:
        raise Refused(f"Tool '{choice['name']}' not found in provided tools")


def _check_options(request: Mapping[str, Json]) -> None:
    _check_fields(request.get("metadata") or {}, {}, {"user_id": _STRING}, path="metadata")
    for stop in request.get("stop_sequences") or ():
        _check_kind(stop, _STRING, path="stop_sequences.0")
        if not stop.strip():
            raise Refused("stop_sequences: each stop sequence must contain non-whitespace")
    if request.get("service_tier"):
        _check_choice(request["service_tier"], ("auto", "standard_only"), path="service_tier")
    config = request.get("output_config") or {}
    _check_fields(config, {}, {"effort": _STRING, "format": _DICTIONARY, "task_budget": _ANY}, path="output_config")
    if config.get("effort"):
        _check_choice(config["effort"], _EFFORTS, path="output_config.effort")
    if config.get("format"):
        path = "output_config.format"
        _check_fields(config["format"], {"type": _STRING, "schema": _DICTIONARY}, {}, path=path)
        _check_choice(config["format"]["type"], ("json_schema",), path=f"{path}.type")
        _check_closed(config["format"]["schema"], path=f"{path}.schema")


def _check_closed(schema: Json, *, path: str) -> None:
    """Objects of an output schema must say that they have no other properties."""
    if isinstance(schema, list):
        for child in schema:
            _check_closed(child, path=path)
    elif isinstance(schema, dict):
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            raise Refused(f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false")
        for child in schema.values():
            _check_closed(child, path=path)


def _check_thinking(request: Mapping[str, Json]) -> None:
    thinking = request.get("thinking") or {}
    if not thinking:
        return
    _require(thinking, "type", path="thinking")
    _check_choice(thinking["type"], ("enabled", "disabled", "adaptive"), path="thinking.type")
    if thinking["type"] == "disabled":
        return
    if request.get("temperature") not in {None, 1}:
        raise Refused("`temperature` may only be set to 1 when thinking is enabled.")
    if thinking["type"] == "enabled":
        if (request.get("tool_choice") or {}).get("type") in {"any", "tool"}:
            raise Refused("Thinking may not be enabled when tool_choice forces tool use.")
        _check_budget(thinking, max_tokens=request["max_tokens"])
        _check_thoughts_kept(request["messages"])


def _check_budget(thinking: Mapping[str, Json], *, max_tokens: int) -> None:
    path = "thinking.enabled"
    _check_fields(thinking, {"type": _STRING, "budget_tokens": _INTEGER}, {"display": _STRING}, path=path)
    if thinking["budget_tokens"] < SMALLEST_BUDGET:
        raise Refused(f"{path}.budget_tokens: Input should be greater than or equal to {SMALLEST_BUDGET}")
    if max_tokens <= thinking["budget_tokens"]:
        raise Refused("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_thoughts_kept(messages: Sequence[_Message]) -> None:
    """Calls whose results the request ends with must bring the thoughts before them."""
    turns = list(_turns(messages))
    if len(turns) < 2 or turns[-2][1] != "assistant" or turns[-1][2][0]["type"] != "tool_result":
        return
    number, _, turn = turns[-2]
    if turn[0]["type"] not in {"thinking", "redacted_thinking"}:
        raise Refused(
            f"messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`, but found"
            f" `{turn[0]['type']}`. When `thinking` is enabled, a final `assistant` message must start with a thinking"
            " block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). To avoid this requirement,"
            " disable `thinking`."
        )


def _check_fields(
    value: Mapping[str, Json], required: Mapping[str, _Kind], further: Mapping[str, _Kind], *, path: str
) -> None:
    """That an object has all it must and nothing it must not, of the right types; `type` is looked at elsewhere."""
    for name in required:
        _require(value, name, path=path)
    known = {"type": _STRING} | dict(required) | dict(further)
    for name, child in value.items():
        if name not in known:
            raise Refused(f"{path}.{name}: Extra inputs are not permitted")
        if child is not None or name in required:
            _check_kind(child, known[name], path=f"{path}.{name}")


def _require(value: Mapping[str, Json], name: str, *, path: str = "") -> None:
    if name not in value:
        raise Refused(f"{path}.{name}: Field required" if path else f"{name}: Field required")


def _check_kind(value: Json, kind: _Kind, *, path: str) -> None:
    name, types = kind
    if not isinstance(value, types) or (isinstance(value, bool) and kind in {_INTEGER, _NUMBER}):
        raise Refused(f"{path}: Input should be a valid {name}")


def _check_choice(value: Json, choices: Sequence[str], *, path: str) -> None:
    if value not in choices:
        told = ", ".join(f"'{choice}'" for choice in choices[:-1])
        raise Refused(
            f"{path}: Input should be {told} or '{choices[-1]}'" if told else f"{path}: Input should be '{choices[0]}'"
        )
