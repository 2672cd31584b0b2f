"""What is the client's own mistake is told as such, so that no other model is asked in vain; what Anthropic alone lacks
is another model's to answer."""

import pytest

from providers.types import FailureKind
from tests.unit.providers.anthropic.sending import CALL, HELLO, failure


def said(**message):
    return {"messages": [*HELLO, message]}


def user(*parts):
    return said(role="user", content=list(parts))


def called(**fields):
    return said(role="assistant", tool_calls=[CALL | fields])


def code_of(body, kind):
    error = failure(body)
    assert error.kind is kind
    return error.body["code"]


@pytest.mark.parametrize(
    "body",
    [
        {"stop": 5},
        {"stop": ["a", 5]},
        {"parallel_tool_calls": "no"},
        {"tools": [5]},
        {"tools": [{"type": "function", "function": {"name": 5}}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
        {"tool_choice": 5},
        {"metadata": 5},
        {"reasoning": "high"},
        {"reasoning_effort": 5},
        {"reasoning": {"max_tokens": "many"}},
        {"service_tier": 5},
        said(role=5),
        said(role="user", content=5),
        user("Hi"),
        user({"type": 5}),
        user({"type": "text", "text": 5}),
        user({"type": "image_url", "image_url": 5}),
        user({"type": "image_url", "image_url": {"url": 5}}),
        user({"type": "file", "file": "x"}),
        said(role="assistant", refusal=5),
        said(role="assistant", tool_calls=["f"]),
        called(function={"name": "f", "arguments": {"a": 1}}),
    ],
)
def test_a_wrong_type(body):
    assert code_of(body, FailureKind.REJECTED) == "invalid_type"


@pytest.mark.parametrize(
    "body",
    [
        {"tool_choice": "any"},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
        {"reasoning": {"max_tokens": 0}},
        said(role="robot"),
        said(role="tool", content="4", tool_call_id=""),
    ],
)
def test_a_wrong_value(body):
    assert code_of(body, FailureKind.REJECTED) == "invalid_value"


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{}]},
        {"tools": [{"type": "function"}]},
        {"tools": [{"type": "function", "function": {}}]},
        {"tool_choice": {"type": "function"}},
        said(content="Hi"),
        said(role="user"),
        user({"text": "Hi"}),
        user({"type": "text"}),
        user({"type": "image_url"}),
        user({"type": "image_url", "image_url": {}}),
        user({"type": "file", "file": {}}),
        said(role="tool", content="4"),
        called(id=None),
        called(function=None),
        called(function={"arguments": "{}"}),
    ],
)
def test_what_is_missing(body):
    assert code_of(body, FailureKind.REJECTED) == "missing_required_parameter"


@pytest.mark.parametrize(
    "body",
    [
        {"n": 2},
        {"stop": " "},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "grammar"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
        {"reasoning_effort": "default"},
        {"messages": [{"role": "system", "content": "Be kind."}]},
        said(role="function", name="f", content="4"),
        said(role="assistant", audio={"id": "a"}),
        user({"type": "input_audio", "input_audio": {}}),
        user({"type": "image_url", "image_url": "https://x.test/a.png"}),
        user({"type": "image_url", "image_url": {"url": "gs://x/a.png"}}),
        user({"type": "file", "file": {"file_data": "JVBERi0xLjQ="}}),
        called(function={"name": "f", "arguments": "{"}),
    ],
)
def test_what_another_model_may_take_is_no_mistake(body):
    assert code_of(body, FailureKind.UNSUPPORTED) == "unsupported_parameter"
