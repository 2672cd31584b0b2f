"""Anthropic's Messages API, called through OpenAI's chat completions: what goes there is composed by `request`, what
comes back is translated by `answer` and `stream`. docs/anthropic.md says what becomes of each field."""

from __future__ import annotations

from providers.dialects.anthropic.answer import read_answer
from providers.dialects.anthropic.errors import read_error
from providers.dialects.anthropic.request import compose
from providers.types import Provider

__all__ = ["compose", "headers", "read_answer", "read_error", "url"]

VERSION = "2023-06-01"


def url(provider: Provider) -> str:
    return f"{provider.base_url}/messages"


def headers(provider: Provider, *, betas: str = "") -> dict[str, str]:
    """Only what the provider needs; of the client's headers only the betas it asks for go out."""
    wanted = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "ai-mcp-gateway",
        "anthropic-version": VERSION,
    }
    if provider.credential:
        wanted["x-api-key"] = provider.credential
    if betas:
        wanted["anthropic-beta"] = betas
    return wanted
