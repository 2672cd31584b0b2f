"""Sends a body in OpenAI's dialect to a model of Anthropic's, up to the wire: what goes out, or why nothing does."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from gateway.api import bodies
from providers.dialects import anthropic
from providers.types import Composed, FailureKind, Model, ProviderError
from tests.unit.providers.test_openai_dialect import ACME
from tests.unit.providers.test_openai_dialect import model as openai_model

HELLO = [{"role": "user", "content": "Hi"}]
SAID_HELLO = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
USE = {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "42"}
TOLD = {"type": "tool_result", "tool_use_id": "call_1", "content": "42"}


def claude(*, extra_body: dict[str, Any] | None = None, **fields: Any) -> Model:
    provider = replace(ACME, dialect="anthropic", extra_body=extra_body or {})
    return replace(openai_model("claude-5"), provider=provider, **fields)


def composed(body: dict[str, Any] | bytes, *, model: Model | None = None) -> Composed:
    raw = body if isinstance(body, bytes) else msgspec.json.encode({"model": "auto", "messages": HELLO} | body)
    return anthropic.compose(bodies.chat_request(raw), model=model or claude())


def sent(body: dict[str, Any] | bytes, **model: Any) -> dict[str, Any]:
    """The whole body that goes out."""
    return msgspec.json.decode(composed(body, model=claude(**model)).body)


def sent_fields(body: dict[str, Any], **model: Any) -> dict[str, Any]:
    """What goes out beyond what always does."""
    always = {"model": "claude-5", "max_tokens": 4096, "messages": SAID_HELLO}
    return {name: value for name, value in sent(body, **model).items() if always.get(name) != value}


def sent_messages(*messages: dict[str, Any], **model: Any) -> list[dict[str, Any]]:
    return sent({"messages": list(messages)}, **model)["messages"]


def raw_fields(body: bytes) -> dict[str, bytes]:
    """What goes out, each field in its bytes."""
    fields = msgspec.json.decode(composed(body).body, type=dict[str, msgspec.Raw])
    return {name: bytes(raw) for name, raw in fields.items()}


def warnings(body: dict[str, Any], **model: Any) -> tuple[str, ...]:
    return composed(body, model=claude(**model)).warnings


MISTAKES = ("invalid_type", "invalid_value", "missing_required_parameter")


def refused(body: dict[str, Any]) -> tuple[str, str]:
    """The field that a refusal names, and what it says."""
    error = failure(body)
    assert error.body is not None
    return error.body["param"], error.message


def failure(body: dict[str, Any]) -> ProviderError:
    """Why nothing goes out: as what Anthropic lacks, or as the client's mistake."""
    with pytest.raises(ProviderError) as caught:
        composed(body)
    error = caught.value
    assert error.status == 400
    assert error.body is not None
    assert (error.kind, error.body["code"]) in [
        (FailureKind.UNSUPPORTED, "unsupported_parameter"),
        *((FailureKind.REJECTED, code) for code in MISTAKES),
    ]
    assert error.body | {"param": None, "code": None} == {
        "message": error.message,
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    return error
