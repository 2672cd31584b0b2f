"""What the strict side refuses, in OpenAI's words; the lenient one takes it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.upstream.answers import answer_to

USER = {"role": "user", "content": "Hello"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "3"}
TOOL = {"type": "function", "function": {"name": "f"}}


def sent(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "gpt-4o", "messages": [USER]} | fields)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": "Hello"}, "messages", "invalid_type"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", None),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use"}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        ({"messages": [USER, RESULT]}, "messages[1].role", None),
        ({"messages": [USER, CALL]}, "messages[1].role", None),
        ({"messages": [USER, CALL, USER]}, "messages[2].role", None),
        ({"temperature": 2.5}, "temperature", "decimal_above_max_value"),
        ({"temperature": "1"}, "temperature", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"tools": []}, "tools", "empty_array"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "missing_required_parameter"),
        ({"tool_choice": "auto"}, "tool_choice", None),
        ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice", "invalid_value"),
        ({"response_format": {"type": "json"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_object"}}, "messages", None),
    ],
)
def test_a_bad_body_is_refused_naming_the_field(fields: dict[str, Any], param: str, code: str | None) -> None:
    answer = answer_to(sent(**fields), strict=True)
    error = msgspec.json.decode(answer.body)["error"]
    assert (answer.status, error["type"], error["param"], error["code"]) == (400, "invalid_request_error", param, code)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"messages":[]}', b'{"model":"m"}'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    assert answer_to(body, strict=True).status == 400


def test_a_type_is_told_as_openai_tells_it() -> None:
    error = msgspec.json.decode(answer_to(sent(temperature="1"), strict=True).body)["error"]
    assert error["message"] == "Invalid type for 'temperature': expected a decimal, but got a string instead."


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 2},
        {"messages": [USER, CALL, RESULT, USER]},
        {"tools": [TOOL], "tool_choice": "required"},
        {"n": None},
    ],
)
def test_a_good_body_is_answered_alike(fields: dict[str, Any]) -> None:
    strict, lenient = answer_to(sent(**fields), strict=True), answer_to(sent(**fields))
    assert (strict.status, strict.body) == (200, lenient.body)


def test_the_lenient_side_takes_what_it_understands() -> None:
    assert answer_to(sent(temperature=9, stream_options={"include_usage": True})).status == 200


def test_every_field_that_openai_requires_is_there() -> None:
    found = msgspec.json.decode(answer_to(sent(), strict=True).body)
    assert {
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "service_tier",
        "system_fingerprint",
    } <= found.keys()
    [choice] = found["choices"]
    assert (choice["logprobs"], choice["message"]["refusal"], choice["message"]["annotations"]) == (None, None, [])
    assert {"prompt_tokens_details", "completion_tokens_details"} <= found["usage"].keys()
