"""Our count of tokens against what vendors counted: text, without calls and thoughts, which carry more than is seen."""

from __future__ import annotations

from statistics import median

import pytest

from providers.tokens import COUNTER
from tests.wire.recordings import MISSING, Recording
from tests.wire.test_invoices import answered, read

pytestmark = pytest.mark.wire

LEAST_TOKENS = 20


async def shares(vendor: str) -> list[float]:
    """Of each answer that is only text: what we count, as a share of what the vendor counted."""
    found = []
    for recording in filter(is_text, answered(vendor)):
        usage, text = read(recording)
        if usage is not None and usage.output_tokens > LEAST_TOKENS and not usage.reasoning_tokens:
            counted = await COUNTER.count(lambda text=text: text)  # type: ignore[misc]
            assert counted is not None
            found.append(counted / usage.output_tokens)
    return found or pytest.skip(MISSING)


def is_text(recording: Recording) -> bool:
    answer = recording.answer.replace(b" ", b"")
    return not recording.asked.get("tools") and b'"tool_calls":[' not in answer and b"tool_use" not in answer


async def test_openais_text_is_counted_to_the_token() -> None:
    assert set(await shares("openai")) == {1.0}


@pytest.mark.parametrize("vendor", ["anthropic", "groq", "mistral", "openrouter"])
async def test_others_text_comes_near(vendor: str) -> None:
    assert 0.8 < median(await shares(vendor)) < 1.1
