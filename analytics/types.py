"""The frozen values of who asks: nothing here loads, checks or counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec


def storable(text: str, *, most: int) -> str:
    """At most `most` characters of a text from outside, as both databases store it: PostgreSQL knows no NUL, and
    neither half a surrogate pair."""
    if text.isascii() and "\0" not in text:
        return text[:most]
    return text[: most * 2].replace("\0", "").encode("utf-8", "replace").decode()[:most]


class Scope(StrEnum):
    """What an API key may do."""

    CHAT = "chat"
    USAGE_OWN = "usage:own"
    USAGE_PROJECT = "usage:project"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """An API key, or the owner of this installation at its own command line (`key_id` None)."""

    key_id: int | None
    key_name: str
    key_prefix: str
    project_id: int
    project: str
    """The project's slug."""
    scopes: frozenset[Scope]
    allowed_models: tuple[str, ...]
    """Shell-style patterns over model ids; empty allows all."""
    allowed_layers: tuple[str, ...]
    """Shell-style patterns over layer names; empty allows all."""
    expires_at: datetime | None
    enabled: bool


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened", tag_field="line"):
    """What the spool knows of a request whose answer is not here yet: enough for a row if the process dies."""

    id: UUID
    project_id: int
    project: str
    key_id: int | None
    key_name: str
    requested_model: str
    provider: str
    model_id: int
    model: str
    layer: str
    is_stream: bool
    session: str
    attempts: int
    input_tokens: int
    cost_usd: Decimal


class UsageRow(msgspec.Struct, frozen=True, kw_only=True, tag="settled", tag_field="line"):
    """One row of the ledger on its way there: the columns of `analytics.models.UsageRecord` under their own names,
    JSON columns as bytes already encoded."""

    id: UUID
    started_at: datetime
    kind: str = "chat"
    outcome: str
    status: int
    project_id: int
    project: str
    key_id: int | None
    key_name: str
    requested_model: str
    provider: str = ""
    model_id: int | None = None
    model: str = ""
    layer: str = ""
    is_stream: bool = False
    session: str = ""
    score: float | None = None
    attempts: int = 0
    fell_back: bool = False
    decision: msgspec.Raw = msgspec.Raw(b"{}")
    trail: msgspec.Raw = msgspec.Raw(b"[]")
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0
    images: int = 0
    cost_usd: Decimal = Decimal(0)
    cost_source: str = "none"
    computed_cost_usd: Decimal | None = None
    reported_cost_usd: Decimal | None = None
    is_disputed: bool = False
    prices: msgspec.Raw = msgspec.Raw(b"{}")
    duration_ms: float = 0.0
    first_token_ms: float | None = None
    finish_reason: str = ""
    error_kind: str = ""
    error_message: str = ""
