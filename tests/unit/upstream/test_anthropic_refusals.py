"""What Anthropic's side refuses, in the API's words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.upstream.anthropic import answer_to

USER = {"role": "user", "content": "Hello"}
TEXT = {"type": "text", "text": "Hello"}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "3"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
THINKING = {"type": "enabled", "budget_tokens": 1024}
OPEN = {"type": "object", "properties": {}}


def said(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def sent(*, without: str = "", **fields: Any) -> bytes:
    request = {"model": "claude", "max_tokens": 2048, "messages": [USER]} | fields
    return msgspec.json.encode({key: value for key, value in request.items() if key != without})


def refusal(body: bytes) -> str:
    answer = answer_to(body)
    found = msgspec.json.decode(answer.body)
    assert (answer.status, found["error"]["type"]) == (400, "invalid_request_error"), found
    return str(found["error"]["message"])


@pytest.mark.parametrize("name", ["model", "max_tokens", "messages"])
def test_a_missing_field_is_named(name: str) -> None:
    assert refusal(sent(without=name)) == f"{name}: Field required"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": []}, "messages: at least one message is required"),
        ({"n": 1}, "n: Extra inputs are not permitted"),
        ({"stream_options": {}}, "stream_options: Extra inputs are not permitted"),
        ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 0}, "max_tokens: must be greater than or equal to 1"),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"stream": 1}, "stream: Input should be a valid boolean"),
        ({"messages": "Hello"}, "messages: Input should be a valid list"),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages.0.role: Input should be 'user', 'assistant' or 'system'",
        ),
        (
            {"messages": [{"role": "user", "content": "x", "name": "a"}]},
            "messages.0.name: Extra inputs are not permitted",
        ),
        ({"messages": [said({"type": "text", "text": ""})]}, "messages: text content blocks must be non-empty"),
        (
            {"messages": [said({"type": "text", "text": " "})]},
            "messages: text content blocks must contain non-whitespace text",
        ),
        ({"system": [{"type": "text", "text": ""}]}, "system: text content blocks must be non-empty"),
        ({"messages": [said(TEXT | {"index": 0})]}, "messages.0.content.0.text.index: Extra inputs are not permitted"),
        ({"messages": [said({"type": "image"})]}, "messages.0.content.0.image.source: Field required"),
        ({"metadata": {"team": "a"}}, "metadata.team: Extra inputs are not permitted"),
        ({"service_tier": "default"}, "service_tier: Input should be 'auto' or 'standard_only'"),
        ({"stop_sequences": ["\n"]}, "stop_sequences: each stop sequence must contain non-whitespace"),
        ({"tool_choice": {"type": "any"}}, "tool_choice may only be specified while providing tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}}, "Tool 'g' not found in provided tools"),
        ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
        ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [{"name": "f", "input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
        ({"tools": [TOOL | {"parameters": {}}]}, "tools.0.custom.parameters: Extra inputs are not permitted"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": OPEN}}},
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
        ),
        (
            {"thinking": THINKING | {"budget_tokens": 9}},
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        ({"thinking": THINKING, "max_tokens": 1024}, "`max_tokens` must be greater than `thinking.budget_tokens`."),
        ({"thinking": THINKING, "temperature": 0}, "`temperature` may only be set to 1 when thinking is enabled."),
        (
            {"thinking": THINKING, "tools": [TOOL], "tool_choice": {"type": "any"}},
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
    ],
)
def test_a_bad_field_is_told_in_the_apis_words(fields: dict[str, Any], message: str) -> None:
    assert refusal(sent(**fields)) == message


@pytest.mark.parametrize(
    ("messages", "beginning"),
    [
        ([USER, {"role": "user", "content": []}], "messages.1: all messages must have non-empty content"),
        (
            [said({"type": "image_url"})],
            "messages.0.content.0: Input tag 'image_url' found using 'type' does not match",
        ),
        ([said(RESULT)], "messages.0.content: unexpected `tool_use_id` found in `tool_result` blocks: t."),
        ([USER, CALL], "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t."),
        ([USER, CALL, USER], "messages.1: `tool_use` ids were found without"),
        ([USER, CALL, said(TEXT, RESULT)], "messages.1: `tool_use` ids were found without"),
    ],
)
def test_messages_that_do_not_fit_together_are_refused(messages: list[Any], beginning: str) -> None:
    assert refusal(sent(messages=messages)).startswith(beginning)


def test_thinking_wants_the_thoughts_before_the_calls() -> None:
    messages = [USER, CALL, said(RESULT)]
    thought = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    with_thought = [USER, said(thought, *CALL["content"], role="assistant"), said(RESULT)]
    assert refusal(sent(messages=messages, thinking=THINKING)).startswith(
        "messages.1.content.0.type: Expected `thinking`"
    )
    assert answer_to(sent(messages=with_thought, thinking=THINKING)).status == 200


@pytest.mark.parametrize(
    "messages",
    [
        [USER, CALL, said(RESULT, TEXT)],
        [USER, CALL, said(RESULT), said(TEXT)],
        [USER, {"role": "system", "content": "Be brief."}, CALL, said(RESULT)],
        [USER, {"role": "assistant", "content": "You"}],
    ],
)
def test_messages_that_fit_are_answered(messages: list[Any]) -> None:
    assert answer_to(sent(messages=messages)).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    assert refusal(body).startswith("The request body is not valid JSON")
