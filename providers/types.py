"""The frozen values that travel between the vendors' side and everything above it.

Owns what a provider, a model, a price and a usage are once they have left the database or the wire, and how a failed
call is described. Does not load them (`providers.rows`) and does not turn usage into money (`analytics.cost`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Raw


class Capability(StrEnum):
    """What a model can do beyond plain text in, plain text out."""

    TOOLS = "tools"
    VISION = "vision"
    JSON_SCHEMA = "json_schema"
    AUDIO = "audio"
    REASONING = "reasoning"


class Unit(StrEnum):
    """What a price is a price of. The token units are disjoint: a token is counted in exactly one of them."""

    INPUT = "input"
    CACHED_INPUT = "cached_input"
    CACHE_WRITE_5M = "cache_write_5m"
    CACHE_WRITE_1H = "cache_write_1h"
    OUTPUT = "output"
    REQUEST = "request"
    WEB_SEARCH = "web_search"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Price:
    """USD for one unit (one token, one request), valid from a moment on and from a number of input tokens on."""

    unit: Unit
    usd_per_unit: Decimal
    from_tokens: int
    valid_from: datetime


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, each counted from the step before it. A whole answer may use the first three of them together."""

    connect_s: float
    headers_s: float
    first_content_s: float
    between_frames_s: float


@dataclass(frozen=True, slots=True)
class Provider:
    """Who is called, and how: one row of `providers_provider` with its credential opened."""

    id: int
    slug: str
    name: str
    dialect: str
    base_url: str
    is_local: bool
    needs_credential: bool
    credential: str | None = field(repr=False)
    usage_in_streams: bool
    """Whether `stream_options.include_usage` may be sent."""
    extra_body: Mapping[str, Any]
    timeouts: Timeouts
    max_tokens_field: str = ""
    """The only name it knows for the output limit: `max_tokens` or `max_completion_tokens`; '' for both."""
    reasoning_field: str = ""
    """The only name under which it takes reasoning back: `reasoning` or `reasoning_content`; '' for both."""
    text_as_string: bool = False
    """Whether it takes text only as a string, not as a list of parts."""
    stops_when_left: bool = True
    """Whether it writes, and charges, no more of a stream once nobody reads it."""
    max_concurrent: int | None = None
    """Calls that may be under way there at once; None: as many as come."""
    max_queued: int = 100
    """Requests that may wait for one of them to end."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model at one provider."""

    id: int
    provider: Provider
    name: str
    """The vendor's own id, sent upstream as it stands."""
    title: str
    context_tokens: int | None
    """Input and output together; None when nobody told us."""
    max_output_tokens: int | None
    max_input_tokens_per_file: int
    """Upper estimate of what one image or file costs, in input tokens."""
    capabilities: frozenset[Capability]
    prices: tuple[Price, ...]
    created_at: datetime
    reasoning_control: str = "effort"
    """`effort` or `budget`: how the model is asked to reason, where its dialect has both."""
    inline_system: bool = True
    """Whether it takes system messages amid a conversation, where its dialect may refuse them."""
    qualified_name: str = field(init=False)
    """`provider/id`, as it is also asked for."""
    priced_from: float = field(init=False)
    """Unix time from which a chat can be costed, for any size: prices for input and output hold. Infinite if never."""

    def __post_init__(self) -> None:
        # Read several times a request: worked out once.
        object.__setattr__(self, "qualified_name", f"{self.provider.slug}/{self.name}")
        starts = [_first_price(self.prices, unit=unit) for unit in (Unit.INPUT, Unit.OUTPUT)]
        object.__setattr__(self, "priced_from", max(starts))


def _first_price(prices: tuple[Price, ...], *, unit: Unit) -> float:
    starts = [price.valid_from.timestamp() for price in prices if price.unit is unit and not price.from_tokens]
    return min(starts, default=math.inf)


MOST_USD = Decimal(1_000_000)
"""A provider's word for what one request cost, above this, is a mistake and is not believed."""


class Usage(msgspec.Struct, frozen=True):
    """What one answer consumed, in disjoint buckets: their sum is the total number of tokens."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    """Already part of `output_tokens`; told apart for reports only."""
    web_searches: int = 0
    images: int = 0
    reported_cost_usd: Decimal | None = None
    """What the provider says the call cost, its upstream's share included."""
    is_partial: bool = False
    """The provider told what went in, but not yet what came out: the output has to be estimated."""

    @property
    def total_tokens(self) -> int:
        return self.all_input_tokens + self.output_tokens

    @property
    def all_input_tokens(self) -> int:
        return self.input_tokens + self.cached_input_tokens + self.cache_write_5m_tokens + self.cache_write_1h_tokens


class ChatRequest(msgspec.Struct, frozen=True):
    """A chat completion as the client sent it, in OpenAI's dialect.

    `fields` holds every top-level field in its original bytes: what nobody edits is sent on exactly as it came. The
    rest is what deciding and accounting need to read, checked at the edge.
    """

    fields: Mapping[str, Raw]
    model: str
    models: tuple[str, ...]
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Any]
    response_format: str
    """`text`, `json_object` or `json_schema`."""
    max_output_tokens: int | None
    answers: int
    """Choices asked for (`n`), each as long as it may be."""
    is_stream: bool
    wants_usage: bool
    """Whether the client asked for usage at the end of its stream."""
    session: str
    """What the body says of the session: `prompt_cache_key`, else `user`."""
    wants_reasoning: bool = False
    """Whether the model is asked to think, in any vendor's words."""
    wants_audio: bool = False
    """Whether the answer is to be spoken."""
    betas: str = ""
    """The client's `anthropic-beta` header: features it wants of the vendor, separated by commas."""

    def __repr__(self) -> str:
        return f"ChatRequest(model={self.model!r}, fields={sorted(self.fields)})"  # a log must not hold the words


class Composed(msgspec.Struct, frozen=True):
    """A request's body in the provider's dialect, and what of the client's it could not carry, in words."""

    body: bytes
    warnings: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """A whole answer in OpenAI's dialect (byte for byte as the provider sent it, where it speaks that), and what was
    read from it."""

    body: bytes
    usage: Usage | None
    finish_reason: str
    warnings: tuple[str, ...] = ()
    """What the request had to leave out for this provider."""


class FailureKind(StrEnum):
    """Why a call failed, by what it means for the next step (DESIGN section 3's table)."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    BAD_ANSWER = "bad_answer"
    RATE_LIMITED = "rate_limited"
    CREDENTIALS = "credentials"
    NOT_FOUND = "not_found"
    CONTEXT_TOO_LONG = "context_too_long"
    UNSUPPORTED = "unsupported"
    """The provider's dialect has no words for a part of the request; another's may. Most often it was not even called,
    and never does it cost anything."""
    OVERLOADED = "overloaded"
    """By us: as many calls are under way as its row allows, and the wait is too long. It was not called."""
    REJECTED = "rejected"
    BROKEN_STREAM = "broken_stream"


class FailureCause(StrEnum):
    """What has to be mended on our side of an answer that never came, where it is known. The kind says what follows."""

    PRIVATE_ADDRESS = "private address"
    """The provider is not marked local."""
    METADATA_ADDRESS = "metadata address"
    UNUSABLE_ADDRESS = "unusable address"
    UNUSABLE_CREDENTIAL = "unusable credential"
    NO_TLS = "no TLS"
    UNKNOWN_AUTHORITY = "unknown authority"
    """The certificate is signed by nobody who is trusted here."""
    BAD_CERTIFICATE = "bad certificate"
    """It has expired, or is for another name."""
    PROXY = "proxy"
    """The environment's proxy cannot be used, or does not let us through."""


class ProviderError(Exception):
    """A failed call to a provider. Callers read the fields, never the text.

    `status` is the provider's HTTP status where there was one; `retry_after_s` what it asked us to wait; `body` the
    vendor's error object, passed on for failures the caller has to mend; `event` the payload that held it in a stream;
    `cause` what an operator has to mend, where that is known.
    `usage` what the provider told of its work before it failed, which may have to be paid; `may_cost` whether it may
    have been at work at all, None: as failures of its kind mostly are.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        body: Mapping[str, Any] | None = None,
        event: bytes | None = None,
        cause: FailureCause | None = None,
        usage: Usage | None = None,
        may_cost: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.body = body
        self.event = event
        self.cause = cause
        self.usage = usage
        self.may_cost = may_cost

    def mask(self, secret: str) -> None:
        """Takes `secret` out of everything that is told."""
        self.message = _without(secret, self.message)
        self.args = (self.message,)
        written = msgspec.json.encode(secret)[1:-1]
        if self.body is not None:
            body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self.body).replace(written, b"..."))
            if isinstance(words := body.get("message"), str):
                body["message"] = _without(secret, words)
            self.body = body
        if self.event is not None:
            self.event = self.event.replace(written, b"...")


LEAST_PART = 4
"""Characters of a secret that are worth hiding at the end of words that were cut."""


def _without(secret: str, words: str) -> str:
    """`words` without the secret, and without its beginning where they were cut amid it."""
    words = words.replace(secret, "...")
    parts = (secret[:size] for size in range(len(secret) - 1, LEAST_PART - 1, -1))
    part = next((part for part in parts if words.endswith(part)), "")
    return f"{words.removesuffix(part)}..." if part else words
