"""The instruments themselves: a comparison that sees nothing proves nothing. No gateway here."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from tests.wire import spec
from tests.wire.anthropic import as_openai, assembled, meaning, mutations, sameness
from tests.wire.recordings import Recording

pytestmark = pytest.mark.wire

Json = dict[str, Any]

ASKED: Json = {
    "model": "m",
    "max_tokens": 16,
    "stream": False,
    "system": "Be brief.",
    "messages": [
        {"role": "user", "content": "Two"},
        {"role": "user", "content": [{"type": "text", "text": "numbers"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "pick", "input": {"from": 1, "to": 9}},
                {"type": "tool_use", "id": "b", "name": "pick", "input": {"from": 1, "to": 9}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "4", "is_error": False},
                {"type": "tool_result", "tool_use_id": "b", "content": "7", "is_error": False},
            ],
        },
    ],
    "tools": [
        {
            "type": "custom",
            "name": "pick",
            "input_schema": {"type": "object", "properties": {"from": {"maximum": 10}, "to": {"maximum": 10}}},
        }
    ],
}


def changed(change: Callable[[Json], object]) -> Json:
    body = copy.deepcopy(ASKED)
    change(body)
    return body


def _write_the_other_way(body: Json) -> None:
    del body["stream"], body["tools"][0]["type"]
    body["system"] = [{"type": "text", "text": "Be brief."}]
    first, second, calls, results = body["messages"]
    both = [{"type": "text", "text": first["content"]}, *second["content"]]
    for result in results["content"]:
        del result["is_error"]
        result["content"] = [{"type": "text", "text": result["content"]}]
    body["messages"] = [{"role": "user", "content": both}, calls, results]


def test_two_ways_to_write_the_same_are_the_same() -> None:
    assert sameness.differences(ASKED, changed(_write_the_other_way)) == []


OPENAIS_PARTS = {
    "user": {"text", "image_url", "file"},
    "system": {"text"},
    "assistant": {"text"},
    "tool": {"text"},
}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda body: body.update(system="Be brief!"), id="a letter"),
        pytest.param(lambda body: body.update(system="Be brief. "), id="a space"),
        pytest.param(lambda body: body.update(stream=True), id="a stream"),
        pytest.param(lambda body: body.update(max_tokens=16.0), id="a number of another type"),
        pytest.param(lambda body: body.update(top_k=None), id="a field more"),
        pytest.param(lambda body: body["messages"].pop(1), id="a user message less"),
        pytest.param(lambda body: body["messages"][2]["content"].pop(), id="a block less"),
        pytest.param(lambda body: body["messages"][3]["content"].reverse(), id="tool results swapped"),
        pytest.param(lambda body: body["messages"][3]["content"][0].update(is_error=True), id="an error"),
        pytest.param(lambda body: body["messages"][3]["content"][0].update(content=[]), id="an empty result"),
        pytest.param(lambda body: body["messages"][2].update(role="user"), id="another role"),
        pytest.param(
            lambda body: body["messages"][2]["content"][0].update(input={"to": 9, "from": 1}),
            id="input in another order",
        ),
        pytest.param(
            lambda body: body["tools"][0]["input_schema"]["properties"]["to"].update(maximum=10.0),
            id="10.0 in a schema",
        ),
        pytest.param(
            lambda body: body["tools"][0]["input_schema"].update(
                properties={"to": {"maximum": 10}, "from": {"maximum": 10}}
            ),
            id="properties in another order",
        ),
        pytest.param(lambda body: body["tools"][0].update(type="bash_20250124"), id="another type of tool"),
    ],
)
def test_a_change_of_meaning_is_seen(change: Callable[[Json], object]) -> None:
    assert sameness.differences(ASKED, changed(change))
    assert sameness.differences(changed(change), ASKED)


def test_any_changed_leaf_of_a_recorded_request_is_seen(recording: Recording) -> None:
    random, body = Random(recording.id), recording.asked
    for _ in range(20):
        done, other = mutations.leaf(body, random=random)
        assert sameness.differences(body, other), done


def test_anything_dropped_or_swapped_in_a_recorded_request_is_seen(recording: Recording) -> None:
    random, body = Random(recording.id), recording.asked
    for _ in range(20):
        done, other = mutations.structure(body, random=random)
        assert sameness.differences(body, other), done


def test_a_request_is_said_in_openais_words(recording: Recording, specification: None) -> None:
    body = as_openai.convert(recording.asked)
    assert not body.keys() & {"system", "stop_sequences", "metadata"}
    assert {message["role"] for message in body["messages"]} <= {"system", "user", "assistant", "tool"}
    if not _has_native(body):
        assert spec.errors("CreateChatCompletionRequest", body) == []


def _has_native(body: Json) -> bool:
    """Whether it holds tools or parts that OpenAI has not, or not there: its tool results are text."""
    types = {tool["type"] for tool in body.get("tools", ())} - {"function"}
    for message in body["messages"]:
        parts = message["content"] if isinstance(message["content"], list) else ()
        types |= {part["type"] for part in parts} - OPENAIS_PARTS[message["role"]]
    return bool(types)


def test_a_recorded_stream_is_a_message(streamed: Recording) -> None:
    message = assembled.anthropic(streamed.answer.decode())
    meant = meaning.of_anthropic(message.body, inputs=message.inputs)
    assert meant.differences(meant) == []
    assert meant.text
    assert meant.completion_tokens
