"""Composes a request to the Messages API out of one in OpenAI's dialect.

The body begins as the client's own, field by field in its bytes; each step takes the fields it knows out of it and puts
Anthropic's in. What no step takes is Anthropic's own and passes as it came.
"""

from __future__ import annotations

from typing import Any

import msgspec

from providers.dialects.anthropic import messages, options, reasoning, tools, unsupported
from providers.dialects.anthropic.reading import NULL, refusal
from providers.types import ChatRequest, Composed, Model

DEFAULT_MAX_TOKENS = 4096
"""The vendor wants a limit; this is it where neither the client nor the model's row has one."""
_CONSUMED = ("models", "stream_options", "max_completion_tokens")


def compose(request: ChatRequest, *, model: Model, cap_tokens: int | None = None) -> Composed:
    """The body for `model`, an answer of at most `cap_tokens`, and what of the client's wishes it leaves out.

    Raises: ProviderError(UNSUPPORTED or REJECTED), naming the field that cannot be said in Anthropic's dialect.
    """
    try:
        return _composed(request, model=model, cap_tokens=cap_tokens)
    except RecursionError as error:  # the decoder that let it in went deeper than the encoder
        raise refusal(None, "The request is nested too deeply: make it flatter.") from error


def _composed(request: ChatRequest, *, model: Model, cap_tokens: int | None) -> Composed:
    body: dict[str, Any] = {name: raw for name, raw in request.fields.items() if raw != NULL}
    warnings: list[str] = []
    for name in _CONSUMED:
        body.pop(name, None)
    body["model"] = model.name
    limit = request.max_output_tokens or model.max_output_tokens or DEFAULT_MAX_TOKENS
    body["max_tokens"] = limit if cap_tokens is None else min(limit, cap_tokens)
    unsupported.settle(body, warnings=warnings)
    messages.apply(body, messages=request.messages, inline_system=model.inline_system, warnings=warnings)
    tools.apply(body, warnings=warnings)
    options.apply(body, warnings=warnings)
    reasoning.apply(body, model=model, warnings=warnings)
    for name, value in model.provider.extra_body.items():
        body.setdefault(name, value)
    if body["max_tokens"] < limit:
        reasoning.fit(body, before=limit, warnings=warnings)
    return Composed(msgspec.json.encode(body), tuple(dict.fromkeys(warnings)))
