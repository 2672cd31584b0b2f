"""Composes a request to the Messages API out of one in OpenAI's dialect."""

from __future__ import annotations

from providers.types import ChatRequest, Composed, Model


def compose(request: ChatRequest, *, model: Model) -> Composed:
    raise NotImplementedError
