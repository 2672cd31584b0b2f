"""Translates a whole answer of the Messages API into OpenAI's dialect."""

from __future__ import annotations

from providers.types import Answer


def read_answer(body: bytes) -> Answer:
    raise NotImplementedError
