"""Lists of the OpenAI dialect, `GET /models`: `{"data": [{"id": ...}]}`, with what some vendors add to an entry.

Groq: `context_window`, `max_completion_tokens`. vLLM: `max_model_len`. llama.cpp: `meta.n_ctx`, the window it runs
with, `meta.n_ctx_train`, the one the model was trained for, and `architecture.input_modalities`. Mistral:
`max_context_length` and a `capabilities` object. All others tell names alone.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from providers.types import Capability
from routing.catalog import Model
from routing.offers.offer import (
    BY_MODALITY,
    Offer,
    OfferError,
    Skipped,
    Tokens,
    capabilities,
    decode,
    each,
    names,
    tokens,
)

TOLD_BY_MISTRAL = frozenset({Capability.TOOLS, Capability.VISION, Capability.AUDIO, Capability.REASONING})


class _Meta(msgspec.Struct, frozen=True):
    n_ctx: Tokens | None = None
    n_ctx_train: Tokens | None = None


class _MistralCapabilities(msgspec.Struct, frozen=True):
    completion_chat: bool
    function_calling: bool = False
    vision: bool = False
    audio: bool = False
    reasoning: bool = False


class _Entry(msgspec.Struct, frozen=True):
    id: str
    context_window: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    max_model_len: Tokens | None = None
    max_context_length: Tokens | None = None
    meta: _Meta | None = None
    architecture: Any = None
    """Only llama.cpp's object is read; other servers put other things here."""
    capabilities: Any = None
    """Only Mistral's object is read, likewise."""


class _List(msgspec.Struct, frozen=True):
    data: list[Raw] | None
    """null: Ollama without any model."""


def read(body: bytes) -> tuple[Offer | Skipped, ...]:
    """Raises: OfferError."""
    return tuple(each(decode(body, form=_List).data or (), form=_Entry, read=_offer))


def read_names(body: bytes) -> tuple[str, ...]:
    """The ids alone, of OpenRouter's and Anthropic's lists as well. Raises: OfferError."""
    return names(decode(body, form=_List).data or ())


def _offer(entry: _Entry) -> Offer:
    meta = entry.meta or _Meta()
    windows = (entry.context_window, entry.max_model_len, entry.max_context_length, meta.n_ctx, meta.n_ctx_train)
    window = next(filter(None, map(tokens, windows)), None)
    told = _told(entry)
    if told is None:
        inputs = _inputs(entry)
        model = Model(
            name=entry.id,
            context_tokens=window,
            max_output_tokens=tokens(entry.max_completion_tokens),
            capabilities=None if inputs is None else capabilities(inputs, words=BY_MODALITY),
        )
        return Offer(model, frozenset() if inputs is None else frozenset(BY_MODALITY.values()))
    flags = {
        Capability.TOOLS: told.function_calling,
        Capability.VISION: told.vision,
        Capability.AUDIO: told.audio,
        Capability.REASONING: told.reasoning,
    }
    found = frozenset(capability for capability, is_there in flags.items() if is_there)
    model = Model(name=entry.id, context_tokens=window, capabilities=found)
    return Offer(model, TOLD_BY_MISTRAL, is_usable=told.completion_chat)


def _inputs(entry: _Entry) -> list[str] | None:
    """The modalities that go in; None when it does not say."""
    told = entry.architecture.get("input_modalities") if isinstance(entry.architecture, dict) else None
    return [word for word in told if isinstance(word, str)] if isinstance(told, list) else None


def _told(entry: _Entry) -> _MistralCapabilities | None:
    if not isinstance(entry.capabilities, dict) or "completion_chat" not in entry.capabilities:
        return None
    try:
        return msgspec.convert(entry.capabilities, _MistralCapabilities)
    except msgspec.ValidationError as error:
        raise OfferError("its capabilities have another form than known") from error
