"""What an attempt used where its provider did not tell: the tokens of what was asked and of what was said, counted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from providers.tokens import COUNTER, Text, TokenCounter
from providers.types import ChatRequest, Usage
from routing import need

MESSAGE_TOKENS = 3
ANSWER_TOKENS = 3
"""Around each message, and before the answer: OpenAI's own figures for its chat format ("How to count tokens with
tiktoken", OpenAI Cookbook). Others' differ by one or two."""


class Counted(msgspec.Struct, frozen=True):
    """Tokens by our own count."""

    input_tokens: int
    """Without images and files."""
    output_tokens: int


def is_wanted(usage: Usage | None) -> bool:
    """Whether the provider left something to count."""
    return usage is None or usage.is_partial


async def count(
    request: ChatRequest, *, said: Callable[[], Text], usage: Usage | None, counter: TokenCounter = COUNTER
) -> Counted | None:
    """What was used, when the answer says `said`; None when nobody can tell. Input that the provider told is not
    counted again."""
    output_tokens = await counter.count(said)
    if output_tokens is None:
        return None
    if usage is not None:
        return Counted(0, output_tokens)
    input_tokens = await counter.count(partial(_asked, request))
    if input_tokens is None:
        return None
    return Counted(input_tokens + MESSAGE_TOKENS * len(request.messages) + ANSWER_TOKENS, output_tokens)


def _asked(request: ChatRequest) -> Text:
    return Text("\n".join(need.texts(request)))
