"""Tools and which of them may be called, on their way to Anthropic."""

import pytest
from msgspec import Raw, json

from tests.unit.providers.anthropic.sending import raw_fields, refused, sent_fields, warnings

EMPTY = {"type": "object", "properties": {}}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Today's", "parameters": CITY}}
TIME = {"type": "function", "function": {"name": "time"}}
WEATHER_TOOL = {"name": "weather", "description": "Today's", "input_schema": CITY}
TIME_TOOL = {"name": "time", "input_schema": EMPTY}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


@pytest.mark.parametrize(
    ("tool", "sent"),
    [
        (WEATHER, WEATHER_TOOL),
        (TIME, TIME_TOOL),
        ({"type": "function", "function": {"name": "time", "parameters": {}}}, TIME_TOOL),
        ({"type": "function", "function": {"name": "time", "parameters": None, "strict": None}}, TIME_TOOL),
        ({"function": {"name": "time"}}, TIME_TOOL),
        (
            {"type": "function", "function": {"name": "f", "parameters": {"properties": {}}}},
            {"name": "f", "input_schema": EMPTY},
        ),
        (
            {"type": "function", "function": {"name": "time", "strict": True}, "defer_loading": True},
            TIME_TOOL | {"strict": True, "defer_loading": True},
        ),
        (TIME | {"cache_control": {"type": "ephemeral"}}, TIME_TOOL | {"cache_control": {"type": "ephemeral"}}),
        (WEATHER_TOOL, WEATHER_TOOL),
        (WEATHER_TOOL | {"type": "custom"}, WEATHER_TOOL | {"type": "custom"}),
        (SEARCH | {"max_uses": 3}, SEARCH | {"max_uses": 3}),
        ({"type": "mcp_toolset", "mcp_server_name": "x"}, {"type": "mcp_toolset", "mcp_server_name": "x"}),
    ],
)
def test_a_function_becomes_a_tool_and_others_pass(tool, sent):
    assert sent_fields({"tools": [tool]}) == {"tools": [sent]}


@pytest.mark.parametrize(
    "schema",
    [
        b'{ "type" : "object", "maximum":1.0, "minimum":-0, "multipleOf":1E2 }',
        b'{"type":"object","maximum":1000000000000000000000000000000}',
        rb'{"type":"object","description":"caf\u00e9","a":1,"a":2}',
    ],
)
def test_schemas_keep_their_bytes(schema):
    head = b'{"model":"auto","messages":[{"role":"user","content":"Hi"}],'
    tools = b'"tools":[{"type":"function","function":{"name":"f","parameters":' + schema + b"}}],"
    form = (
        b'"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":' + schema + b"}}}"
    )
    found = raw_fields(head + tools + form)
    assert bytes(json.decode(found["tools"], type=list[dict[str, Raw]])[0]["input_schema"]) == schema
    config = json.decode(found["output_config"], type=dict[str, dict[str, Raw]])
    assert bytes(config["format"]["schema"]) == schema


BOTH = [WEATHER, TIME]
BOTH_SENT = {"tools": [WEATHER_TOOL, TIME_TOOL]}


def allowed(*tools, mode="auto"):
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, {}),
        ({"tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
        ({"tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "time"}}},
            {"tool_choice": {"type": "tool", "name": "time"}},
        ),
        ({"tool_choice": {"type": "tool", "name": "time"}}, {"tool_choice": {"type": "tool", "name": "time"}}),
        ({"tool_choice": {"type": "any"}}, {"tool_choice": {"type": "any"}}),
        ({"tool_choice": allowed(TIME)}, {"tools": [TIME_TOOL], "tool_choice": {"type": "auto"}}),
        ({"tool_choice": allowed(TIME, mode="required")}, {"tools": [TIME_TOOL], "tool_choice": {"type": "any"}}),
        (
            {"tools": [*BOTH, SEARCH], "tool_choice": allowed({"type": "x", "name": "web_search"}, WEATHER)},
            {"tools": [WEATHER_TOOL, SEARCH], "tool_choice": {"type": "auto"}},
        ),
        ({"parallel_tool_calls": True}, {}),
        ({"parallel_tool_calls": True, "tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
        ({"parallel_tool_calls": False}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        (
            {"parallel_tool_calls": False, "tool_choice": {"type": "any", "disable_parallel_tool_use": False}},
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": False}},
        ),
    ],
)
def test_the_choice_is_said_in_anthropics_words(fields, sent):
    assert sent_fields({"tools": BOTH} | fields) == BOTH_SENT | sent


@pytest.mark.parametrize(
    "fields", [{"tool_choice": "auto"}, {"tool_choice": "none"}, {"parallel_tool_calls": False}, {"tools": []}]
)
def test_without_tools_there_is_no_choice(fields):
    assert sent_fields(fields) == {}


@pytest.mark.parametrize(
    ("options", "tool"),
    [
        ({}, SEARCH),
        ({"search_context_size": "medium", "user_location": None}, SEARCH),
        (
            {"user_location": {"type": "approximate", "approximate": {"country": "GB", "city": None}}},
            SEARCH | {"user_location": {"type": "approximate", "country": "GB"}},
        ),
        ({"max_uses": 3}, SEARCH | {"max_uses": 3}),
    ],
)
def test_searching_the_web_is_a_tool(options, tool):
    assert sent_fields({"web_search_options": options}) == {"tools": [tool]}
    assert warnings({"web_search_options": options}) == ()


def test_the_size_of_a_searchs_context_cannot_be_said():
    assert warnings({"web_search_options": {"search_context_size": "high"}}) == (
        "web_search_options.search_context_size is not sent to Anthropic",
    )


def test_a_search_among_the_tools_says_more():
    body = {"web_search_options": {}, "tools": [SEARCH | {"max_uses": 1}]}
    assert sent_fields(body) == {"tools": [SEARCH | {"max_uses": 1}]}
    assert warnings(body) == ("web_search_options is not sent to Anthropic: tools has a web_search",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [5]}, "tools[0]"),
        ({"tools": [TIME, None]}, "tools[1]"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tools": [{"type": 5}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": "f"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"tools": [TIME, {"type": "custom", "custom": {"name": "f"}}]}, "tools[1]"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "f"}}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools"),
        ({"tool_choice": allowed(TIME, mode="no")}, "tool_choice.allowed_tools.mode"),
        ({"tool_choice": allowed(5)}, "tool_choice.allowed_tools.tools[0]"),
        ({"tool_choice": allowed({})}, "tool_choice.allowed_tools.tools[0].function"),
        ({"tools": [WEATHER], "tool_choice": allowed(TIME)}, "tool_choice.allowed_tools.tools"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"web_search_options": []}, "web_search_options"),
        ({"web_search_options": {"user_location": 5}}, "web_search_options.user_location"),
        ({"web_search_options": {"user_location": {}}}, "web_search_options.user_location.approximate"),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_path(fields, param):
    assert refused(fields)[0] == param
