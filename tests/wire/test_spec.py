"""The schema's judge: it says what is wrong and where, and takes OpenAPI's ways of allowing null."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.wire import spec

pytestmark = pytest.mark.wire


@pytest.fixture(autouse=True)
def specification() -> None:
    if not os.environ.get("OPENAI_SPEC"):
        pytest.skip("OPENAI_SPEC is unset: it names a file with OpenAI's OpenAPI specification, as JSON")


def completion(**changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Hello", "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    whole = {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return whole | changes


def test_an_answer_as_published_is_valid() -> None:
    assert spec.errors("CreateChatCompletionResponse", completion()) == []


def test_a_field_of_ones_own_is_allowed() -> None:
    assert spec.errors("CreateChatCompletionResponse", completion(provider="p")) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"id": None}, "$.id"),
        ({"created": "now"}, "$.created"),
        ({"object": "completion"}, "$.object"),
        ({"choices": [{"index": 0}]}, "$.choices[0]"),
        ({"usage": {"prompt_tokens": 1}}, "$.usage"),
    ],
)
def test_a_wrong_one_is_told_with_its_place(changes: dict[str, Any], path: str) -> None:
    found = spec.errors("CreateChatCompletionResponse", completion(**changes))
    assert found
    assert all(error.startswith(f"{path}: ") for error in found)


@pytest.mark.parametrize(("limit", "is_valid"), [(None, True), (16, True), ("many", False)])
def test_what_is_nullable_may_be_null(limit: object, is_valid: bool) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_completion_tokens": limit}
    assert (spec.errors("CreateChatCompletionRequest", body) == []) is is_valid


def test_an_unknown_schema_is_a_mistake_of_the_test() -> None:
    with pytest.raises(AssertionError, match="has no Completion"):
        spec.errors("Completion", {})
