"""Translates which tools there are and which of them the model may, must or must not call.

Tools of a type that OpenAI's dialect does not have are Anthropic's own and pass as they are. Schemas keep their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from providers.dialects.anthropic import reading
from providers.dialects.anthropic.reading import INVALID_VALUE, mistake, refusal, with_others, wrong_type
from providers.dialects.anthropic.unsupported import left_out

Tool = dict[str, Any]

_OBJECT = Raw(b'"object"')
_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_IN_TOOL = frozenset({"type", "function"})
_IN_FUNCTION = frozenset({"name", "description", "parameters"})
_MODES = {"auto": "auto", "none": "none", "required": "any"}
_WEB_SEARCH = "web_search"
_FORCED = ("any", "tool")


def apply(body: dict[str, Any], *, warnings: list[str]) -> None:
    """Sets `tools` and `tool_choice`.

    Raises: ProviderError(UNSUPPORTED or REJECTED)."""
    tools = _translated(body.pop("tools", None))
    choice, allowed = _choice(body.pop("tool_choice", None))
    if allowed is not None:
        tools = _only(tools, allowed=allowed)
    if (search := _web_search(body.pop("web_search_options", None), tools=tools, warnings=warnings)) is not None:
        tools.append(search)
    choice = _one_at_a_time(choice, body.pop("parallel_tool_calls", None), has_tools=bool(tools))
    if tools:
        body["tools"] = tools
    if choice is not None and (tools or choice["type"] not in ("auto", "none")):
        body["tool_choice"] = choice


def is_forced(body: Mapping[str, Any]) -> bool:
    """Whether the composed `tool_choice` leaves the model no way but to call a tool."""
    choice = body.get("tool_choice")
    return choice is not None and choice["type"] in _FORCED


def _translated(raw: Raw | None) -> list[Tool]:
    if raw is None:
        return []
    return [_tool(tool, at=f"tools[{index}]") for index, tool in enumerate(reading.entries(raw, at="tools"))]


def _tool(raw: Raw, *, at: str) -> Tool:
    tool = reading.sent_members(raw, at=at)
    kind = reading.text(tool["type"], at=f"{at}.type") if "type" in tool else None
    if kind == "custom" and "custom" in tool:
        raise refusal(at, f"Anthropic's models know no custom tools: send {at} as a function.")
    if kind == "function" or (kind is None and "function" in tool):
        return _function(tool, at=at)
    if kind is None and "input_schema" not in tool:
        raise wrong_type(f"{at}.type", f"{at}.type is missing: say what the tool is, such as function.", found=kind)
    return reading.members(raw, at=at)  # Anthropic's own: its nulls are its own too


def _function(tool: Mapping[str, Raw], *, at: str) -> Tool:
    at = f"{at}.function"
    function = reading.sent_members(tool.get("function", reading.NULL), at=at)
    made: Tool = {"name": reading.text(function.get("name"), at=f"{at}.name")}
    if "description" in function:
        made["description"] = function["description"]
    made["input_schema"] = _schema(function.get("parameters"), at=f"{at}.parameters")
    return with_others(with_others(made, function, named=_IN_FUNCTION), tool, named=_IN_TOOL)


def _schema(parameters: Raw | None, *, at: str) -> Raw | dict[str, Raw]:
    """In its own bytes. Parameters are always an object, but only OpenAI takes that as said."""
    schema = reading.members(parameters, at=at) if parameters is not None else {}
    if not schema or parameters is None:
        return _NO_PARAMETERS
    return parameters if "type" in schema else {"type": _OBJECT} | schema


def _choice(raw: Raw | None) -> tuple[Tool | None, list[str] | None]:
    """The choice, and the names of the only tools allowed, where the client named some."""
    if raw is None:
        return None, None
    if bytes(raw).startswith(b'"'):
        return {"type": _mode(raw, at="tool_choice")}, None
    choice = reading.sent_members(raw, at="tool_choice")
    kind = reading.text(choice.get("type"), at="tool_choice.type")
    if kind == "custom" and "custom" in choice:
        raise refusal("tool_choice", "Anthropic's models know no custom tools: choose a function with tool_choice.")
    if kind == "allowed_tools":
        return _allowed(choice)
    if kind == "function":
        name = _function_name(choice, at="tool_choice")
        return with_others({"type": "tool", "name": name}, choice, named=_IN_TOOL), None
    return choice | {"type": kind}, None


def _mode(raw: Raw | None, *, at: str) -> str:
    mode = reading.text(raw, at=at)
    if mode not in _MODES:
        raise mistake(at, f"{at} must be auto, none or required.", code=INVALID_VALUE)
    return _MODES[mode]


def _function_name(choice: Mapping[str, Raw], *, at: str) -> str:
    function = reading.members(choice.get("function", reading.NULL), at=f"{at}.function")
    return reading.text(function.get("name"), at=f"{at}.function.name")


def _allowed(choice: Mapping[str, Raw]) -> tuple[Tool, list[str]]:
    at = "tool_choice.allowed_tools"
    allowed = reading.members(choice.get("allowed_tools", reading.NULL), at=at)
    names = []
    for index, raw in enumerate(reading.entries(allowed.get("tools", reading.NULL), at=f"{at}.tools")):
        where = f"{at}.tools[{index}]"
        tool = reading.members(raw, at=where)
        is_native = "name" in tool and "function" not in tool
        names.append(reading.text(tool["name"], at=f"{where}.name") if is_native else _function_name(tool, at=where))
    return {"type": _mode(allowed.get("mode"), at=f"{at}.mode")}, names


def _only(tools: Sequence[Tool], *, allowed: Sequence[str]) -> list[Tool]:
    names: set[object] = set(allowed)
    kept = [tool for tool in tools if isinstance(name := _name(tool), str) and name in names]
    if not kept:
        at = "tool_choice.allowed_tools.tools"
        raise mistake(at, f"{at} names none of the tools: name some, or leave it out.", code=INVALID_VALUE)
    return kept


def _name(tool: Tool) -> object:
    name = tool.get("name")
    return reading.value(name, at="tools") if isinstance(name, Raw) else name


def _web_search(raw: Raw | None, *, tools: Sequence[Tool], warnings: list[str]) -> Tool | None:
    """Anthropic's own search tool; its newer kinds can be asked for among the tools."""
    if raw is None:
        return None
    at = "web_search_options"
    options = reading.sent_members(raw, at=at)
    size = options.pop("search_context_size", None)
    if size is not None and reading.value(size, at=f"{at}.search_context_size") != "medium":
        warnings.append(left_out(f"{at}.search_context_size"))
    if any(_name(tool) == _WEB_SEARCH for tool in tools):
        warnings.append(f"{left_out(at)}: tools has a {_WEB_SEARCH}")
        return None
    made: Tool = {"type": "web_search_20250305", "name": _WEB_SEARCH}
    if (location := options.get("user_location")) is not None:
        made["user_location"] = _location(location, at=f"{at}.user_location")
    return with_others(made, options, named=frozenset())


def _location(raw: Raw, *, at: str) -> Tool:
    location = reading.sent_members(raw, at=at)
    place = reading.sent_members(location.get("approximate", reading.NULL), at=f"{at}.approximate")
    return with_others({"type": "approximate"} | place, location, named=frozenset({"type", "approximate"}))


def _one_at_a_time(choice: Tool | None, parallel: Raw | None, *, has_tools: bool) -> Tool | None:
    if parallel is None:
        return choice
    at = "parallel_tool_calls"
    match found := reading.value(parallel, at=at):
        case True:
            return choice
        case False:
            choice = choice or ({"type": "auto"} if has_tools else None)
            is_limit = choice is not None and choice["type"] != "none"
            return {"disable_parallel_tool_use": True} | choice if choice and is_limit else choice
    raise wrong_type(at, f"{at} must be true or false.", found=found)
