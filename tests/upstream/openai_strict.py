"""Refuses the chat requests that api.openai.com refuses: what `--strict` adds. Pure.

Types, ranges, roles, and calls without results, with OpenAI's error object in OpenAI's words. Knows the fields below;
unknown ones pass, as a vendor adds some every month. Answers need nothing more: every field is always in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tests.upstream.exchange import Json, Refused

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_TOOL_CHOICES = ("none", "auto", "required")
_FORMATS = ("json_object", "json_schema", "text")
_PARTS: Mapping[str, tuple[str, ...]] = {
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
    "tool": ("text", "image_url"),
}
_Kind = tuple[str, tuple[type, ...]]
_ARRAY: _Kind = ("an array", (list,))
_BOOLEAN: _Kind = ("a boolean", (bool,))
_DECIMAL: _Kind = ("a decimal", (float, int))
_INTEGER: _Kind = ("an integer", (int,))
_OBJECT: _Kind = ("an object", (dict,))
_STRING: _Kind = ("a string", (str,))
_NULL: _Kind = ("null", (type(None),))
_CONTENT: _Kind = ("one of a string or array of objects", (str, list))
_STOP: _Kind = ("one of a string or array of strings", (str, list))
_CHOICE: _Kind = ("one of a string or object", (str, dict))
_KINDS = (_ARRAY, _BOOLEAN, _INTEGER, _OBJECT, _STRING, _NULL, _DECIMAL)
_FIELDS: Mapping[str, _Kind] = {
    "model": _STRING,
    "messages": _ARRAY,
    "frequency_penalty": _DECIMAL,
    "logit_bias": _OBJECT,
    "logprobs": _BOOLEAN,
    "max_completion_tokens": _INTEGER,
    "max_tokens": _INTEGER,
    "metadata": _OBJECT,
    "modalities": _ARRAY,
    "n": _INTEGER,
    "parallel_tool_calls": _BOOLEAN,
    "presence_penalty": _DECIMAL,
    "reasoning_effort": _STRING,
    "response_format": _OBJECT,
    "seed": _INTEGER,
    "service_tier": _STRING,
    "stop": _STOP,
    "store": _BOOLEAN,
    "stream": _BOOLEAN,
    "stream_options": _OBJECT,
    "temperature": _DECIMAL,
    "tool_choice": _CHOICE,
    "tools": _ARRAY,
    "top_logprobs": _INTEGER,
    "top_p": _DECIMAL,
    "user": _STRING,
}
_RANGES: Mapping[str, tuple[float, float | None]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "top_logprobs": (0, 20),
    "n": (1, 128),
    "max_tokens": (1, None),
    "max_completion_tokens": (1, None),
}
_NO_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library"
    " correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
)


def check(body: bytes) -> None:
    """Raises: Refused, in OpenAI's words, for what api.openai.com would not take."""
    request = _decode(body)
    if "model" not in request:
        raise Refused("you must provide a model parameter")
    _require(request, "messages")
    for name, kind in _FIELDS.items():
        if request.get(name) is not None:
            _check_kind(request[name], kind, path=name)
    for name in _RANGES:
        if request.get(name) is not None:
            _check_range(request[name], path=name)
    _check_messages(request["messages"])
    _check_tools(request)
    _check_format(request)
    if request.get("stream_options") and not request.get("stream"):
        raise Refused(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )


def _decode(body: bytes) -> dict[str, Json]:
    try:
        request = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Refused(_NO_JSON) from error
    if not isinstance(request, dict):
        raise Refused(_NO_JSON)
    return request


def _check_messages(messages: list[Json]) -> None:
    if not messages:
        raise _empty(path="messages")
    open_calls: set[str] = set()
    for number, message in enumerate(messages):
        path = f"messages[{number}]"
        _require(message, "role", path=path)
        _check_choice(message["role"], _ROLES, path=f"{path}.role")
        _check_content(message, path=path)
        open_calls = _check_calls(message, open_calls, path=path)
    if open_calls:
        raise _unanswered(open_calls, path=f"messages[{len(messages) - 1}].role")


def _check_content(message: dict[str, Json], *, path: str) -> None:
    content, role = message.get("content"), message["role"]
    if content is None:
        if role != "assistant" or not (message.get("tool_calls") or message.get("refusal")):
            raise Refused("Invalid value for 'content': expected a string, got null.", param=f"{path}.content")
        return
    _check_kind(content, _CONTENT, path=f"{path}.content")
    for number, part in enumerate(content if isinstance(content, list) else ()):
        inside = f"{path}.content[{number}]"
        _require(part, "type", path=inside)
        _check_choice(part["type"], _PARTS.get(role, ("text",)), path=f"{inside}.type")
        _require(part, part["type"], path=inside)


def _check_calls(message: dict[str, Json], open_calls: set[str], *, path: str) -> set[str]:
    """Every call is answered by the tool messages right behind it, and each of these answers one."""
    if message["role"] == "tool":
        _require(message, "tool_call_id", path=path)
        if message["tool_call_id"] not in open_calls:
            raise Refused(
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with"
                " 'tool_calls'.",
                param=f"{path}.role",
            )
        return open_calls - {message["tool_call_id"]}
    if open_calls:
        raise _unanswered(open_calls, path=f"{path}.role")
    calls = message.get("tool_calls") or []
    for number, call in enumerate(calls):
        inside = f"{path}.tool_calls[{number}]"
        for name in ("id", "type", call.get("type", "function")):
            _require(call, name, path=inside)
        for name in ("name", "arguments") if call["type"] == "function" else ():
            _require(call["function"], name, path=f"{inside}.function")
            _check_kind(call["function"][name], _STRING, path=f"{inside}.function.{name}")
    return {call["id"] for call in calls}


def _unanswered(calls: set[str], *, path: str) -> Refused:
    return Refused(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
        f" The following tool_call_ids did not have response messages: {', '.join(sorted(calls))}",
        param=path,
    )


def _check_tools(request: dict[str, Json]) -> None:
    tools = request.get("tools")
    if tools == []:
        raise _empty(path="tools")
    for number, tool in enumerate(tools or ()):
        path = f"tools[{number}]"
        _require(tool, "type", path=path)
        _check_choice(tool["type"], ("function", "custom"), path=f"{path}.type")
        _require(tool, tool["type"], path=path)
        _require(tool[tool["type"]], "name", path=f"{path}.{tool['type']}")
    choice = request.get("tool_choice")
    if isinstance(choice, str):
        _check_choice(choice, _TOOL_CHOICES, path="tool_choice")
    for name in ("tool_choice", "parallel_tool_calls"):
        if request.get(name) is not None and not tools and choice != "none":
            raise Refused(
                f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", param=name
            )


def _check_format(request: dict[str, Json]) -> None:
    wanted = request.get("response_format")
    if wanted is None:
        return
    _require(wanted, "type", path="response_format")
    _check_choice(wanted["type"], _FORMATS, path="response_format.type")
    if wanted["type"] == "json_schema":
        _require(wanted, "json_schema", path="response_format")
        _require(wanted["json_schema"], "name", path="response_format.json_schema")
    if wanted["type"] == "json_object" and "json" not in str(request["messages"]).lower():
        raise Refused(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            param="messages",
        )


def _empty(*, path: str) -> Refused:
    return Refused(
        f"Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        param=path,
        code="empty_array",
    )


def _require(value: Json, name: str, *, path: str = "") -> None:
    _check_kind(value, _OBJECT, path=path)
    if name not in value:
        full = f"{path}.{name}" if path else name
        raise Refused(f"Missing required parameter: '{full}'.", param=full, code="missing_required_parameter")


def _check_kind(value: Json, kind: _Kind, *, path: str) -> None:
    wanted, types = kind
    if type(value) not in types:
        found = next(name for name, of_kind in _KINDS if type(value) in of_kind)
        raise Refused(
            f"Invalid type for '{path}': expected {wanted}, but got {found} instead.", param=path, code="invalid_type"
        )


def _check_choice(value: Json, choices: Sequence[str], *, path: str) -> None:
    if value not in choices:
        told = ", ".join(f"'{choice}'" for choice in choices)
        raise Refused(f"Invalid value: '{value}'. Supported values are: {told}.", param=path, code="invalid_value")


def _check_range(value: float, *, path: str) -> None:
    low, high = _RANGES[path]
    kind = "integer" if _FIELDS[path] == _INTEGER else "decimal"
    if value < low:
        word, bound, code = ">=", low, f"{kind}_below_min_value"
    elif high is not None and value > high:
        word, bound, code = "<=", high, f"{kind}_above_max_value"
    else:
        return
    raise Refused(
        f"Invalid '{path}': {kind} {'below minimum' if word == '>=' else 'above maximum'} value."
        f" Expected a value {word} {bound}, but got {value} instead.",
        param=path,
        code=code,
    )
