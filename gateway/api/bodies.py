"""The JSON edge: request bodies and headers into checked, frozen values. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType
from rest_framework.parsers import BaseParser

from providers.dialects import unusual_json
from providers.types import ChatRequest
from routing.types import Wishes


class BadBody(Exception):
    """A request that cannot be understood: what to change, and the field or header it is about."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class _Format(msgspec.Struct):
    type: str = "text"


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Chat(msgspec.Struct):
    """What must have its type for us to route; everything else is the provider's to judge."""

    model: str | UnsetType = UNSET
    messages: list[dict[str, Any]] | UnsetType = UNSET
    models: list[str] = []
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    tools: list[Any] | None = None
    response_format: _Format | None = None
    prompt_cache_key: Any = None
    user: Any = None
    reasoning_effort: Any = None
    reasoning: Any = None
    thinking: Any = None
    modalities: Any = None


LONGEST_ID = 300
MOST_MODELS = 50
LOOKED_AT = 1_000_000
"""Bytes of a body that is no JSON in which we look for the reason."""

_MOST_DIGITS = 9
"""Of a number of attempts that are read: more than any policy allows."""

_read_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_read_chat = msgspec.json.Decoder(_Chat).decode


def chat_request(body: bytes, *, betas: str = "", default_model: str = "") -> ChatRequest:
    """Reads the body of `POST /v1/chat/completions`; `betas` is the request's `anthropic-beta` header.

    Raises: BadBody.
    """
    fields, chat = _decoded(body)
    model = chat.model or default_model
    if not model:
        raise BadBody(f"model is {_lack(chat.model)}: use a model's id, a layer's name, or 'auto'.", param="model")
    for name in (model, *chat.models):
        if len(name) > LONGEST_ID:
            raise BadBody(f"A model's id has at most {LONGEST_ID} characters.", param="model")
    if len(chat.models) > MOST_MODELS:
        raise BadBody(f"models holds at most {MOST_MODELS} ids.", param="models")
    if not chat.messages:
        raise BadBody(f"messages is {_lack(chat.messages)}: send at least one message.", param="messages")
    for name in ("max_tokens", "max_completion_tokens", "n"):
        if (number := getattr(chat, name)) is not None and number < 1:
            raise BadBody(f"{name} must be at least 1.", param=name)
    return ChatRequest(
        fields=fields,
        model=model,
        models=tuple(chat.models),
        messages=chat.messages,
        tools=chat.tools or (),
        response_format=chat.response_format.type if chat.response_format else "text",
        # Of two, some vendors obey the one and some the other.
        max_output_tokens=max(chat.max_tokens or 0, chat.max_completion_tokens or 0) or None,
        answers=chat.n or 1,
        is_stream=bool(chat.stream),
        wants_usage=bool(chat.stream_options and chat.stream_options.include_usage),
        session=_session(chat),
        wants_reasoning=_wants_reasoning(chat),
        wants_audio=isinstance(chat.modalities, list) and "audio" in chat.modalities,
        betas=betas,
    )


def _session(chat: _Chat) -> str:
    """What the body names it by. The wrong type names none: the vendor judges it."""
    for name in (chat.prompt_cache_key, chat.user):
        if isinstance(name, str) and name:
            return name
    return ""


def _wants_reasoning(chat: _Chat) -> bool:
    """In OpenAI's words, OpenRouter's or Anthropic's. The wrong type asks for nothing: the vendor judges it."""
    if isinstance(chat.thinking, dict) and chat.thinking.get("type") in ("enabled", "adaptive"):
        return True
    asked = chat.reasoning if isinstance(chat.reasoning, dict) else {}
    effort = asked.get("effort") or chat.reasoning_effort
    if asked.get("enabled") is False or effort == "none":
        return False
    return bool(isinstance(effort, str) and effort) or bool(asked.get("enabled") or asked.get("max_tokens"))


def _lack(value: object) -> str:
    return "missing" if value is UNSET else "empty"


def wishes(meta: Mapping[str, Any]) -> Wishes:
    """Reads the `X-Gateway-*` request headers out of `request.META`. Raises: BadBody naming the header."""
    layer = meta.get("HTTP_X_GATEWAY_LAYER", "").strip()
    name = layer.removeprefix("=").strip()
    if layer and not name:
        raise BadBody("X-Gateway-Layer names no layer: send L2, or =L2 to stay in it.", param="X-Gateway-Layer")
    return Wishes(
        layer=name or None,
        fenced=layer.startswith("="),
        max_cost_usd=_positive(meta, "X-Gateway-Max-Cost", example="0.05, or 0 for free models", least=Decimal(0)),
        timeout_s=_timeout_s(meta),
        session=meta.get("HTTP_X_SESSION_ID", "").strip()[:200],
        max_attempts=_max_attempts(meta),
    )


def _decoded(body: bytes) -> tuple[dict[str, Raw], _Chat]:
    if not body:
        raise BadBody("The body is empty: send a JSON object.")
    try:
        body.decode()  # the fields we pass on unread must be UTF-8 as well
        return _read_fields(body), _read_chat(body)
    except UnicodeDecodeError as error:
        raise BadBody(f"The body is not valid UTF-8: byte {error.start} cannot be decoded.") from error
    except RecursionError as error:
        raise BadBody("The JSON body is nested too deeply.") from error
    except msgspec.ValidationError as error:
        raise _wrong_field(error) from error
    except msgspec.DecodeError as error:
        if unusual_json.has_half_a_pair(body[:LOOKED_AT]):
            raise BadBody("The body holds half of a surrogate pair (\\ud800 to \\udfff): send it whole.") from error
        raise BadBody(f"The body is not valid JSON: {error}.") from error


def _wrong_field(error: msgspec.ValidationError) -> BadBody:
    problem, _, path = str(error).partition(" - at `$")
    param = path.strip("`.") or None
    if "missing required field" in problem:
        name = problem.rsplit("`", 2)[1]
        return BadBody(f"{name} is missing.", param=name)
    return BadBody(f"{param or 'The body'}: {problem[:1].lower()}{problem[1:]}.", param=param)


def _timeout_s(meta: Mapping[str, Any]) -> float | None:
    milliseconds = _positive(meta, "X-Gateway-Timeout-Ms", example="30000")
    return None if milliseconds is None else max(float(milliseconds) / 1000, 0.001)


def _max_attempts(meta: Mapping[str, Any]) -> int | None:
    name = "X-Gateway-Max-Attempts"
    text = meta.get("HTTP_X_GATEWAY_MAX_ATTEMPTS", "").strip()
    if not text:
        return None
    digits = text.lstrip("0")
    if not (text.isascii() and text.isdigit() and digits):
        raise BadBody(f"{name} must be a whole number from 1 on, such as 2.", param=name)
    return int(digits[:_MOST_DIGITS])


def _positive(meta: Mapping[str, Any], name: str, *, example: str, least: Decimal = Decimal("1e-9")) -> Decimal | None:
    text = meta.get("HTTP_" + name.upper().replace("-", "_"), "").strip()
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < least:
        raise BadBody(f"{name} must be a positive number, such as {example}.", param=name)
    return value


class JsonObjectParser(BaseParser):
    """DRF's way to a body for the endpoints outside the short way: the same errors, a plain dict."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        return read_object(stream.read())


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises: BadBody."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except UnicodeDecodeError as error:
        raise BadBody(f"The body is not valid UTF-8: byte {error.start} cannot be decoded.") from error
    except RecursionError as error:
        raise BadBody("The JSON body is nested too deeply.") from error
    except msgspec.DecodeError as error:
        raise BadBody(f"The body is not a valid JSON object: {error}.") from error
