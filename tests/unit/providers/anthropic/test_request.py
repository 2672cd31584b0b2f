"""A whole request to Anthropic: what every body carries, what passes as it came, and that no body breaks it."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from gateway.api import bodies
from providers.dialects import anthropic
from providers.types import FailureKind, ProviderError
from tests.unit.providers.anthropic.sending import (
    CALL,
    HELLO,
    RESULT,
    SAID_HELLO,
    claude,
    composed,
    raw_fields,
    refused,
    sent,
    sent_fields,
)


class TestWhatEveryBodyCarries:
    def test_the_model_is_the_rows_and_a_limit_is_always_said(self):
        assert sent({}) == {"model": "claude-5", "max_tokens": 4096, "messages": SAID_HELLO}

    @pytest.mark.parametrize(
        ("fields", "row", "limit"),
        [
            ({}, None, 4096),
            ({}, 64_000, 64_000),
            ({"max_tokens": 7}, 64_000, 7),
            ({"max_completion_tokens": 8}, None, 8),
            ({"max_tokens": 7, "max_completion_tokens": 8}, None, 8),
            ({"max_tokens": None}, None, 4096),
        ],
    )
    def test_the_limit_is_the_clients_else_the_rows(self, fields, row, limit):
        assert sent(fields, max_output_tokens=row)["max_tokens"] == limit

    @pytest.mark.parametrize(
        ("fields", "stream"),
        [
            ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
            ({"stream": False}, {"stream": False}),
            ({"stream": None, "stream_options": None, "models": ["a"]}, {}),
        ],
    )
    def test_a_stream_is_asked_for_without_its_options(self, fields, stream):
        assert sent_fields(fields) == stream

    def test_the_rows_extra_body_fills_what_is_not_said(self):
        extra = {"top_k": 5, "max_tokens": 1, "inference_geo": "eu"}
        assert sent_fields({"top_k": 9}, extra_body=extra) == {"top_k": 9, "inference_geo": "eu"}


class TestWhatPasses:
    @pytest.mark.parametrize(
        "field",
        [
            b'"top_k":5',
            b'"container":"container_1"',
            b'"container":{"skills":[{"type":"anthropic","skill_id":"pptx"}]}',
            b'"mcp_servers":[{"name":"deepwiki","type":"url","url":"https://mcp.test"}]',
            b'"context_management":{"edits":[{"type":"compact_20260112"}]}',
            b'"cache_control":{"ttl":"5m","type":"ephemeral"}',
            b'"thinking":{"type":"enabled","budget_tokens":1024}',
            b'"thinking":{"type":"disabled"}',
            b'"output_config":{"effort":"high","task_budget":{"total":20000,"type":"tokens"}}',
            b'"stop_sequences":["Paris"]',
            b'"top_p":0.90',
            b'"temperature":0.0',
            b'"x_new":{ "a":1.0, "b":100000000000000000000000000000, "c" : 1e400 }',
            rb'"x_new":"caf\u00e9 <\/script>"',
        ],
    )
    def test_anthropics_own_fields_keep_their_bytes(self, field):
        name = field[1 : field.index(b'"', 1)].decode()
        found = raw_fields(b'{"model":"auto","messages":[{"role":"user","content":"Hi"}],' + field + b"}")
        assert found[name] == field[len(name) + 3 :]

    def test_null_counts_as_not_sent(self):
        names = [
            "top_k",
            "thinking",
            "tools",
            "tool_choice",
            "stop",
            "temperature",
            "metadata",
            "user",
            "n",
            "logprobs",
        ]
        assert sent_fields(dict.fromkeys([*names, "response_format", "reasoning", "reasoning_effort"])) == {}

    def test_the_clients_request_stays_as_it_is_for_the_next_model(self):
        """The same request may be composed for several models."""
        part = {"type": "text", "text": "Hi"}
        messages = [
            {"role": "user", "content": [part], "cache_control": {"type": "ephemeral"}},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            RESULT,
            {"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]},
        ]
        request = bodies.chat_request(json.encode({"model": "auto", "messages": messages, "seed": 5, "stop": "x"}))
        before = json.encode([request.messages, sorted(request.fields)])
        first = anthropic.compose(request, model=claude(inline_system=False))
        assert json.encode([request.messages, sorted(request.fields)]) == before
        assert anthropic.compose(request, model=claude()) == first


NESTED = 400


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": [{"type": "document", "x": "NEST"}]}]},
        {"tools": [{"type": "web_search_20250305", "x": "NEST"}]},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"x": "NEST"}}}},
        {"thinking": "NEST"},
        {"seed": "NEST"},
    ],
)
def test_what_is_nested_too_deeply_is_refused_or_passes(body):
    raw = json.encode({"model": "auto", "messages": HELLO} | body)
    raw = raw.replace(b'"NEST"', b"[" * NESTED + b"]" * NESTED)
    try:
        assert composed(raw).body
    except ProviderError as error:
        assert (error.kind, error.body["param"]) == (FailureKind.UNSUPPORTED, None)


def test_words_nested_deeper_than_they_can_be_written_are_refused():
    content = [{"type": "document"}]
    for _ in range(5000):
        content = [{"type": "document", "x": content}]
    request = bodies.chat_request(json.encode({"model": "auto", "messages": HELLO}))
    deep = msgspec.structs.replace(request, messages=[{"role": "user", "content": content}])
    with pytest.raises(ProviderError, match="nested too deeply") as caught:
        anthropic.compose(deep, model=claude())
    assert caught.value.kind is FailureKind.UNSUPPORTED


WORDS = st.sampled_from(
    [
        *("user", "assistant", "tool", "system", "developer", "function", "text", "image_url", "file", "refusal"),
        *("input_audio", "tool_result", "tool_use", "custom", "allowed_tools", "auto", "required", "none", "high"),
        *("json_schema", "json_object", "enabled", "adaptive", "data:image/png;base64,AA", "https://x.test/a"),
        *("data:text/plain;base64,x", "{}", "", " ", "reasoning.text", "anthropic-claude-v1", "web_search"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def either(**shapes):
    """An object with these members, each well-formed, odd or missing."""
    return st.fixed_dictionaries({}, optional={name: shape | VALUES for name, shape in shapes.items()})


PARTS = either(
    type=WORDS,
    text=WORDS,
    refusal=WORDS,
    image_url=either(url=WORDS, detail=WORDS),
    file=either(file_data=WORDS, file_id=WORDS, filename=WORDS),
    content=VALUES,
)
CALLS = either(id=WORDS, type=WORDS, function=either(name=WORDS, arguments=WORDS), custom=VALUES, index=VALUES)
DETAILS = either(type=WORDS, text=WORDS, signature=WORDS, data=WORDS, format=WORDS)
MESSAGES = either(
    role=WORDS,
    content=WORDS | st.lists(PARTS | VALUES, max_size=3),
    tool_calls=st.lists(CALLS | VALUES, max_size=2),
    tool_call_id=WORDS,
    reasoning_details=st.lists(DETAILS | VALUES, max_size=2),
    native_content=st.lists(PARTS | VALUES, max_size=2),
    refusal=WORDS,
    name=WORDS,
    cache_control=VALUES,
)
TOOLS = either(
    type=WORDS, function=either(name=WORDS, parameters=VALUES, strict=VALUES), name=WORDS, input_schema=VALUES
)
ALLOWED = either(mode=WORDS, tools=st.lists(TOOLS, max_size=2))
FIELDS = {
    "tools": st.lists(TOOLS | VALUES, max_size=2),
    "tool_choice": WORDS | either(type=WORDS, function=either(name=WORDS), allowed_tools=ALLOWED, name=WORDS),
    "parallel_tool_calls": st.booleans() | VALUES,
    "response_format": either(type=WORDS, json_schema=either(schema=VALUES, description=WORDS)),
    "reasoning": either(effort=WORDS, max_tokens=VALUES, enabled=VALUES),
    "web_search_options": either(user_location=either(approximate=VALUES), search_context_size=WORDS),
    "metadata": either(user_id=WORDS),
    "max_tokens": st.integers(1, 10_000),
} | dict.fromkeys(
    [
        *("stop", "stop_sequences", "temperature", "top_p", "user", "safety_identifier", "service_tier", "system"),
        *("thinking", "output_config", "reasoning_effort", "n", "logprobs", "modalities", "seed", "functions"),
    ],
    VALUES,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(MESSAGES, min_size=1, max_size=5), st.fixed_dictionaries({}, optional=FIELDS), st.booleans())
def test_any_body_is_composed_or_refused(messages, fields, is_plain):
    kept = [message for message in messages if isinstance(message, dict)]
    try:
        # Beside a plain conversation the other fields are reached more often.
        request = bodies.chat_request(json.encode({"model": "auto", "messages": HELLO if is_plain else kept} | fields))
    except bodies.BadBody:
        return
    try:
        body = json.decode(anthropic.compose(request, model=claude()).body)
    except ProviderError as error:
        assert error.kind in (FailureKind.UNSUPPORTED, FailureKind.REJECTED)
        assert error.status == 400
        return
    assert_valid(body)


def assert_valid(body):
    """What the Messages API refuses whatever is said."""
    assert body["max_tokens"] >= 1
    assert body["messages"]
    roles = [turn["role"] for turn in body["messages"]]
    assert ("user", "user") not in zip(roles, roles[1:], strict=False)
    for turn in body["messages"]:
        kinds = [block.get("type") for block in turn["content"]]
        assert kinds
        if turn["role"] != "assistant":
            results = kinds.count("tool_result")
            assert set(kinds[:results]) <= {"tool_result"}
            assert all(block["text"].strip() for block in turn["content"] if block["type"] == "text")


def test_a_conversation_of_nothing_is_refused():
    assert refused({"messages": [{"role": "system", "content": "Be kind."}]}) == (
        "messages",
        "messages holds no word of a user: Anthropic's models need one to answer to.",
    )
