"""What a recorded call costs, worked out a second time: whole numbers, from the vendor's figures as they were recorded.

Shares nothing with the gateway's code, on purpose: the standard library, and rules taken from the vendors' documents.
All money is in units of 1e-10 USD, in which every price of the list is a whole number for a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

UNITS = 10**10
"""In a USD."""
PER_MILLION = 10**4
"""A price of 1 USD for a million tokens, for one of them."""


def usage_told(answer: bytes, *, is_stream: bool) -> dict[str, Any]:
    """The vendor's usage object as it stands; a stream's events one over the other. Empty where there is none."""
    if not is_stream:
        return _usage_in(json.loads(answer, parse_float=Decimal))
    found: dict[str, Any] = {}
    for line in answer.decode().splitlines():
        payload = line.removeprefix("data:").strip()
        if line.startswith("data:") and payload != "[DONE]":
            event = json.loads(payload, parse_float=Decimal)
            told = _usage_in(event.get("message") or {}) | _usage_in(event)
            found |= {name: value for name, value in told.items() if value is not None}
    return found


def _usage_in(document: Mapping[str, Any]) -> dict[str, Any]:
    return document.get("usage") or (document.get("x_groq") or {}).get("usage") or {}


def cost(usage: Mapping[str, Any], prices: Mapping[str, str]) -> int:
    """By the vendor's own figure, else by the price list."""
    if isinstance(usage.get("cost"), int | Decimal):
        told = Decimal(usage["cost"])
        if usage.get("is_byok"):
            told += Decimal(usage["cost_details"]["upstream_inference_cost"] or 0)
        return int((told * UNITS).to_integral_value(ROUND_HALF_EVEN))
    return _of_anthropic(usage, prices) if "input_tokens" in usage else _of_openai(usage, prices)


def _of_openai(usage: Mapping[str, Any], prices: Mapping[str, str]) -> int:
    """Its prompt holds what was read from a cache and written to it."""
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens") or usage.get("num_cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0
    written = details.get("cache_write_tokens") or 0
    searches = (usage.get("server_tool_use_details") or {}).get("web_search_requests") or 0
    plain = usage["prompt_tokens"] - cached - written
    return (
        plain * _a_token(prices, "input")
        + cached * _a_token(prices, "cached_input", "input")
        + written * _a_token(prices, "cache_write_5m", "input")
        + usage["completion_tokens"] * _a_token(prices, "output")
        + searches * _a_search(prices)
    )


def _of_anthropic(usage: Mapping[str, Any], prices: Mapping[str, str]) -> int:
    """Its input holds neither; compactions are charged beside the sums."""
    compactions = [one for one in usage.get("iterations") or [] if one["type"] == "compaction"]
    total = ((usage.get("server_tool_use") or {}).get("web_search_requests") or 0) * _a_search(prices)
    for part in [usage, *compactions]:
        written = part.get("cache_creation_input_tokens") or 0
        for_an_hour = (part.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0
        total += part["input_tokens"] * _a_token(prices, "input")
        total += (part.get("cache_read_input_tokens") or 0) * _a_token(prices, "cached_input", "input")
        total += (written - for_an_hour) * _a_token(prices, "cache_write_5m", "input")
        total += for_an_hour * _a_token(prices, "cache_write_1h", "cache_write_5m", "input")
        total += part["output_tokens"] * _a_token(prices, "output")
    return total


def _a_token(prices: Mapping[str, str], *units: str) -> int:
    return _whole(next(prices[unit] for unit in units if unit in prices), PER_MILLION)


def _a_search(prices: Mapping[str, str]) -> int:
    return _whole(prices.get("web_search", "0"), UNITS)


def _whole(usd: str, units: int) -> int:
    scaled = Decimal(usd) * units
    assert scaled == int(scaled), f"{usd} is no whole number of units"
    return int(scaled)
