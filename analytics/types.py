"""The frozen values of who asks: nothing here loads, checks or counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
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
    """Changes keys, budgets and limits of its project."""
    INSTALLATION = "installation"
    """Changes what all projects share: providers, credentials, models, prices, layers, the policy."""


class Limits(msgspec.Struct, frozen=True):
    """What a key, or all keys of a project together, may do in any sliding minute, and at once. None: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Input and output together."""
    concurrent_requests: int | None = None


NO_LIMITS = Limits()


class Window(StrEnum):
    """What a budget is for, in its time zone. A total one has no end."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    """From Monday on."""
    MONTH = "month"
    TOTAL = "total"


class BudgetScope(StrEnum):
    INSTALLATION = "installation"
    PROJECT = "project"
    KEY = "key"


class BudgetAction(StrEnum):
    """What happens when a budget is reached."""

    REFUSE = "refuse"
    DEGRADE = "degrade"
    """Requests go no higher than the layer it names."""
    NOTE = "note"
    """An audit entry, nothing else."""


class NearEdge(StrEnum):
    """What happens when the longest answer a request may get no longer fits."""

    SHORTEN = "shorten"
    """It may become as long as answers for this key and model usually are."""
    DENY = "deny"


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be spent by an installation, a project or a key in a window: one row of `analytics_budget`."""

    id: int
    scope: BudgetScope
    name: str
    """Of whom it is, for messages: the project's slug or the key's name; '' for the installation."""
    project_id: int | None
    key_id: int | None
    window: Window
    zone: str
    """IANA name of the time zone its window's edges stand in: the project's, else the installation's."""
    limit_usd: Decimal
    action: BudgetAction
    layer: str
    """Name of the layer to degrade to."""
    near_edge: NearEdge
    severity: str
    """Of the audit entry when it is reached."""
    starts_at: datetime | None
    ends_at: datetime | None
    defined_at: datetime
    """Since when it counts what it counts: spending is kept under another name when this moves."""


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
    allowed_endpoints: tuple[str, ...] = ()
    """Shell-style patterns over paths, such as `/v1/chat/*`; empty allows all."""
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Addresses it may be used from; empty allows all."""
    key_limits: Limits = field(default=NO_LIMITS)
    project_limits: Limits = field(default=NO_LIMITS)
    project_enabled: bool = True
    """Whether it is not for its project that it is not enabled."""
    stores_bodies: bool = False
    """Whether its project keeps what is asked and answered."""
    was_rotated: bool = False
    """Recognised by the key from before a rotation, which expires when the grace period ends."""


class Book(msgspec.Struct, frozen=True):
    """Every enabled budget, whether or not its dates hold now."""

    installation: tuple[Budget, ...] = ()
    by_project: Mapping[int, tuple[Budget, ...]] = {}
    by_key: Mapping[int, tuple[Budget, ...]] = {}

    @property
    def has_any(self) -> bool:
        return bool(self.installation or self.by_project or self.by_key)

    def of(self, caller: Caller) -> tuple[Budget, ...]:
        """Those that a request of this caller counts in: its key's, its project's, the installation's."""
        own = self.by_key.get(caller.key_id, ()) if caller.key_id is not None else ()
        return own + self.by_project.get(caller.project_id, ()) + self.installation

    def all(self) -> tuple[Budget, ...]:
        return self.installation + tuple(
            budget for index in (self.by_project, self.by_key) for found in index.values() for budget in found
        )


NO_BOOK = Book()


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
    """0: nobody was called yet, budgets are being asked."""
    input_tokens: int
    cost_usd: Decimal
    cap_usd: Decimal = Decimal(0)
    """The most it may cost with all its attempts so far: what budgets hold for it, those too that are made later."""


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
    budget_usd: Decimal = Decimal(0)
    computed_cost_usd: Decimal | None = None
    reported_cost_usd: Decimal | None = None
    is_disputed: bool = False
    is_capped: bool = False
    prices: msgspec.Raw = msgspec.Raw(b"{}")
    duration_ms: float = 0.0
    first_token_ms: float | None = None
    finish_reason: str = ""
    error_kind: str = ""
    error_message: str = ""
