"""OpenAI's chat completions as providers speak them: composes requests, reads answers, streams and errors.

What the client sent is sent on byte for byte, except the edits of `compose`. What comes back is relayed byte for byte,
except a usage chunk that the client did not ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, DecimalException
from typing import Any

import msgspec
from msgspec import Raw

from providers.dialects import caps, quirks, unusual_json
from providers.dialects.counts import NUMBER, count, is_absurd
from providers.dialects.failures import error_in, error_of, kind_of, message_of, seconds_of
from providers.types import MOST_USD, Answer, ChatRequest, Composed, FailureKind, Model, Provider, ProviderError, Usage

_ASK_FOR_USAGE = Raw(b'{"include_usage":true}')
_CONTENT_FIELDS = (
    "content",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "tool_calls",
    "function_call",
    "annotations",
    "audio",
)
_TELLING = ("prompt_tokens", "completion_tokens", "cost")
"""A usage object without any of these says nothing."""
_STATUS_FIELDS = ("code", "status", "status_code")
"""Where error objects tell their status: OpenRouter in the first one, Groq in the last, with a word in the first."""
_CODES = {
    "content_filter": 400,
    "content_policy_violation": 400,
    "context_length_exceeded": 400,
    "string_above_max_length": 400,
    "invalid_api_key": 401,
    "insufficient_quota": 429,
    "model_not_found": 404,
    "rate_limit_exceeded": 429,
    "server_error": 500,
}
"""OpenAI's words for it, and the status that goes with each where it is no 200."""

_encode = msgspec.json.encode
_decode = msgspec.json.decode


def url(provider: Provider) -> str:
    return f"{provider.base_url}/chat/completions"


def headers(provider: Provider, *, betas: str = "") -> dict[str, str]:
    """Only what the provider needs; nothing of the client's headers goes out. This dialect knows no betas."""
    wanted = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "ai-mcp-gateway"}
    if provider.credential:
        wanted["Authorization"] = f"Bearer {provider.credential}"
    return wanted


def compose(request: ChatRequest, *, model: Model, cap_tokens: int | None = None) -> Composed:
    """The body for `model`: the client's own, with the model's name, without the gateway's `models` list, with usage
    asked for at the end of a stream, with the fields the provider's row adds where the client sent none, with the
    quirks that its row declares, and with each answer's length limited to `cap_tokens`."""
    provider, fields = model.provider, dict(request.fields)
    fields["model"] = Raw(_encode(model.name))
    fields.pop("models", None)
    if request.is_stream and not request.wants_usage and provider.usage_in_streams:
        fields["stream_options"] = _with_usage(fields.get("stream_options"))
    for name, value in provider.extra_body.items():
        fields.setdefault(name, Raw(_encode(value)))
    quirks.apply(fields, messages=request.messages, provider=provider)
    if cap_tokens is not None:
        caps.apply(fields, cap_tokens=cap_tokens, provider=provider)
    return Composed(_encode(fields))


def _with_usage(options: Raw | None) -> Raw:
    known = _decode(options) if options is not None else None
    return Raw(_encode(known | {"include_usage": True})) if known else _ASK_FOR_USAGE


def read_answer(body: bytes) -> Answer:
    """Reads a 200's body.

    Raises: ProviderError when it is no answer: not JSON, an error object, no choices, or nothing in them.
    """
    try:
        content = unusual_json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError(FailureKind.BAD_ANSWER, "its answer is not valid JSON", status=200) from error
    if not isinstance(content, dict):
        raise ProviderError(FailureKind.BAD_ANSWER, "its answer is not a JSON object", status=200)
    if is_error(content):
        raise error_in_answer(content)
    usage = read_usage(content.get("usage"))
    choices = content.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise ProviderError(FailureKind.BAD_ANSWER, "its answer has no choices", status=200, usage=usage)
    finish_reason = str(choices[0].get("finish_reason") or "")
    if is_empty(choices, usage=usage, part="message"):
        raise ProviderError(FailureKind.BAD_ANSWER, "its answer is empty", status=200, usage=usage)
    return Answer(body, usage, finish_reason)


def is_empty(choices: list[Any], *, usage: Usage | None, part: str) -> bool:
    return not (usage and usage.output_tokens) and not any(has_content(choice.get(part)) for choice in choices)


def has_content(part: object) -> bool:
    """Whether a message or delta carries anything a user would see or pay for, beyond its role."""
    return isinstance(part, dict) and any(part.get(name) for name in _CONTENT_FIELDS)


def read_error(status: int, *, body: bytes, retry_after: str | None) -> ProviderError:
    """What an answer that is not a 200 means."""
    error = error_of(body)
    return ProviderError(
        kind_of(status, error=error),
        message_of(error) or f"answered {status}",
        status=status,
        retry_after_s=seconds_of(retry_after),
        body=error if isinstance(error, dict) else None,
    )


def is_error(content: Mapping[str, Any]) -> bool:
    """Whether an object in place of an answer or a chunk is an error; older vLLM has its fields at the top."""
    return bool(content.get("error")) or content.get("object") == "error"


def error_in_answer(content: Mapping[str, Any], *, event: bytes | None = None) -> ProviderError:
    """An error object in a 200 or as an event: judged by its own code or status, else as a broken answer."""
    error = error_in(content)
    told = [error.get(name) for name in _STATUS_FIELDS] if isinstance(error, dict) else []
    status = next(filter(None, map(_status, told)), None) or (_CODES.get(str(told[0])) if told else None)
    kind = kind_of(status, error=error) if status else FailureKind.BAD_ANSWER
    return ProviderError(
        kind,
        message_of(error) or "answered with an error object",
        status=status or 200,
        body=error if isinstance(error, dict) else None,
        event=event,
        usage=read_usage(content.get("usage")),
    )


def _status(told: object) -> int | None:
    """A failure's HTTP status, from whatever a vendor writes it as; most write words in the same place."""
    text = str(told)
    return int(text) if len(text) == 3 and text.isascii() and text.isdecimal() and text[0] in "45" else None


def read_usage(usage: object) -> Usage | None:
    """OpenAI's usage object in disjoint buckets: its prompt tokens contain those read from a cache and written to it.

    No vendor says how long what was written is kept: it is counted at the price of the shorter time.
    """
    if not isinstance(usage, dict) or not any(isinstance(usage.get(name), NUMBER) for name in _TELLING):
        return None  # nothing to bill by: an estimate is nearer to the truth than zero
    cost = _reported_cost(usage)
    if cost is None and is_absurd(usage.get("prompt_tokens")):
        return None
    of_prompt = _details(usage.get("prompt_tokens_details"))
    prompt = count(usage.get("prompt_tokens"))
    cached = min(prompt, count(of_prompt.get("cached_tokens")) or _cached_otherwise(usage))
    written = min(prompt - cached, count(of_prompt.get("cache_write_tokens")))
    return Usage(
        input_tokens=prompt - cached - written,
        cached_input_tokens=cached,
        cache_write_5m_tokens=written,
        output_tokens=count(usage.get("completion_tokens")),
        reasoning_tokens=count(_details(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        web_searches=count(_details(usage.get("server_tool_use_details")).get("web_search_requests")),
        reported_cost_usd=cost,
        is_partial=cost is None and is_absurd(usage.get("completion_tokens")),
    )


def _cached_otherwise(usage: Mapping[str, Any]) -> int:
    """Prompt tokens read from a cache under Mistral's own name for them, and DeepSeek's."""
    return count(usage.get("num_cached_tokens")) or count(usage.get("prompt_cache_hit_tokens"))


def _details(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _reported_cost(usage: Mapping[str, Any]) -> Decimal | None:
    """OpenRouter's `cost`, plus what its upstream charged to the user's own key where one was used."""
    if not isinstance(usage.get("cost"), NUMBER):
        return None
    try:
        cost = Decimal(str(usage["cost"]))
        details = usage.get("cost_details")
        if usage.get("is_byok") and isinstance(details, dict):
            cost += Decimal(str(details.get("upstream_inference_cost") or 0))
    except DecimalException:  # no number, or one beyond any that may be added
        return None
    return cost if cost.is_finite() and 0 <= cost <= MOST_USD else None
