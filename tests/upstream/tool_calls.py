"""Which tools a request makes the upstream call, and with what arguments. Pure; knows neither dialect's shape.

The rule stands in `script`, where the grammar does: it is a plain reading of the last user message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.upstream.exchange import Asked, Json, Tool
from tests.upstream.schemas import Values, instance
from tests.upstream.script import without_script

ENOUGH_ARGUMENTS = 2
"""So many of a tool's argument names in the message ask for it."""
_ANY_NAMES_WORDS = frozenset(
    {"", "a", "call", "fetch", "find", "function", "get", "list", "my", "of", "set", "the", "tool"}
)
_TOKEN = re.compile(r"\w+(?:-\w+)*")
_BETWEEN_NAME_PARTS = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)")
_QUOTED = re.compile(r"(?<!\w)(?:'([^']+)'|\"([^\"]+)\"|`([^`]+)`|“([^”]+)”)(?!\w)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call as the model meant it."""

    name: str
    arguments: Json


def calls_for(asked: Asked, *, tool: str | None = None) -> tuple[Call, ...]:
    """The calls this request makes; `tool` is the one its script names."""
    message = without_script(asked.message)
    if tool is not None:
        offered = next((found for found in asked.tools if found.name == tool), Tool(name=tool))
        return (_call(offered, message, asked.tools),)
    wanted = _wanted(asked, message)
    if not asked.parallel_calls:
        wanted = wanted[:1]
    return tuple(_call(found, message, asked.tools) for found in wanted)


def quoted(message: str) -> list[str]:
    """The message's quoted strings, in order."""
    return [next(filter(None, found)) for found in _QUOTED.findall(message)]


def _wanted(asked: Asked, message: str) -> list[Tool]:
    if not asked.tools or not (asked.user_asks or asked.must_call):
        return []
    tokens = [token.lower() for token in _TOKEN.findall(message)]
    named = [tool for tool in asked.tools if tool.name.lower() in tokens]
    named.sort(key=lambda tool: tokens.index(tool.name.lower()))
    unquoted = {token.lower() for token in _TOKEN.findall(_QUOTED.sub(" ", message))}
    meant = named or [tool for tool in asked.tools if _is_meant(tool, unquoted)]
    return meant or (list(asked.tools[:1]) if asked.must_call else [])


def _is_meant(tool: Tool, tokens: set[str]) -> bool:
    telling = {part.lower() for part in _BETWEEN_NAME_PARTS.split(tool.name)} - _ANY_NAMES_WORDS
    arguments = {name.lower() for name in _properties(tool) if len(name) > 1}
    return bool(telling and telling <= tokens) or len(arguments & tokens) >= ENOUGH_ARGUMENTS


def _properties(tool: Tool) -> Iterator[str]:
    properties = tool.schema.get("properties")
    return iter(properties if isinstance(properties, dict) else ())


def _call(tool: Tool, message: str, offered: tuple[Tool, ...]) -> Call:
    values = _values(_behind(tool, message, offered)) or _values(message) or Values()
    arguments = instance({"type": "object"} | dict(tool.schema), values=values)
    return Call(name=tool.name, arguments=arguments if isinstance(arguments, dict) else {})


def _behind(tool: Tool, message: str, offered: tuple[Tool, ...]) -> str:
    """The message from behind the tool's name to the next tool's name; nothing where it is not named."""
    places = [(found.start(), found.end(), found[0].lower()) for found in _TOKEN.finditer(message)]
    start = next((end for _, end, token in places if token == tool.name.lower()), len(message))
    others = {other.name.lower() for other in offered}
    stop = next((begin for begin, _, token in places if begin > start and token in others), len(message))
    return message[start:stop]


def _values(text: str) -> Values | None:
    texts, numbers = quoted(text), [float(number) for number in _NUMBER.findall(_QUOTED.sub(" ", text))]
    return Values(numbers=numbers, texts=texts) if texts or numbers else None
