"""The Messages API's usage: in disjoint buckets for the ledger, and in OpenAI's words for the client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.dialects.counts import NUMBER, count, is_absurd
from providers.types import Usage

OUTPUT = ("output_tokens", "output_tokens_details")
"""What a stream's first event gives a placeholder for."""
_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_TELLING = ("input_tokens", "output_tokens")
"""A usage object without any of these says nothing."""


def read(usage: object) -> Usage | None:
    """The buckets. Unlike OpenAI's, the vendor's input tokens do not contain the cached ones."""
    if not isinstance(usage, dict) or not any(_is_told(usage, name) for name in _TELLING):
        return None
    if any(is_absurd(usage.get(name)) for name in _INPUT):
        return None  # an estimate is nearer to the truth than zero
    parts = [usage, *_compactions(usage)]
    written = _sum(parts, "cache_creation_input_tokens")
    written_1h = count(sum(_within(part, "cache_creation", "ephemeral_1h_input_tokens") for part in parts))
    return Usage(
        input_tokens=_sum(parts, "input_tokens"),
        cached_input_tokens=_sum(parts, "cache_read_input_tokens"),
        cache_write_5m_tokens=max(0, written - written_1h),
        cache_write_1h_tokens=min(written, written_1h),
        output_tokens=_sum(parts, "output_tokens"),
        reasoning_tokens=_within(usage, "output_tokens_details", "thinking_tokens"),
        web_searches=_within(usage, "server_tool_use", "web_search_requests"),
        is_partial=not _is_told(usage, "output_tokens") or is_absurd(usage["output_tokens"]),
    )


def composed(usage: object) -> dict[str, Any] | None:
    """OpenAI's usage object; what it has no name for stands beside, under the vendor's."""
    if not isinstance(usage, dict):
        return None
    cached, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    prompt, output = count(usage.get("input_tokens")) + cached + written, count(usage.get("output_tokens"))
    return {name: value for name, value in usage.items() if name not in _TELLING} | {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": _within(usage, "output_tokens_details", "thinking_tokens"),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def merged(known: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """A stream's figures are cumulative: what is told later counts, what is not told again stays."""
    return {**known, **{name: value for name, value in later.items() if value is not None}}


def _compactions(usage: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Summaries that the model made of the conversation on its way: charged, and not in the sums beside them.

    https://platform.claude.com/docs/en/build-with-claude/compaction, "Understanding usage".
    """
    steps = usage.get("iterations")
    wanted = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return [step for step in wanted if step.get("type") == "compaction"]


def _sum(parts: list[Mapping[str, Any]], name: str) -> int:
    return count(sum(count(part.get(name)) for part in parts))


def _within(usage: Mapping[str, Any], name: str, inner: str) -> int:
    details = usage.get(name)
    return count(details.get(inner)) if isinstance(details, dict) else 0


def _is_told(usage: Mapping[str, Any], name: str) -> bool:
    return isinstance(usage.get(name), NUMBER)
