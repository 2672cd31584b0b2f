"""The frozen values of a routing decision: what is needed, how hard it is, what there is, what will be tried.

Owns no behaviour beyond look-ups. Imported by the pure modules, so it knows neither Django nor HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from analytics.types import NO_BOOK, Book, Caller
from providers.types import Capability, Model
from routing.circuit import Circuit, Rules

AUTO = "auto"
"""The model that requests ask for when the gateway is to choose."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for, read once from its body and headers."""

    prompt: str
    """The text of the last user message; never stored."""
    system: str = ""
    """System and developer instructions, joined; never stored."""
    turns: int = 1
    """Messages in the conversation."""
    tools: int = 0
    """Tools offered."""
    models: tuple[str, ...] = ()
    """Exact model ids in the caller's order; empty means `auto`."""
    enter: str | None = None
    """Name of the layer to enter at; None leaves it to the score."""
    fenced: bool = False
    """Stay in the layer entered."""
    capabilities: frozenset[Capability] = frozenset()
    """What a model must be able to do."""
    files: int = 0
    """Images and files in the messages."""
    input_tokens: int = 0
    """Upper estimate without files (`routing.need`)."""
    max_output_tokens: int | None = None
    """Of one answer: the largest that is stated under any name; None where none is, or one that is no limit."""
    has_other_limits: bool = False
    """Whether it is stated under a name that not every vendor knows."""
    answers: int = 1
    """How many are asked for at once."""
    prediction_tokens: int = 0
    """Of the answer that the client predicts, by the upper estimate: what of it is rejected is billed as output."""
    web_searches: int = 0
    """The most that it may have the vendor make, where it switches them on."""
    writes_cache: bool = False
    """Whether its input may be written to the vendor's cache, which may cost more than reading it."""
    price_factor: Decimal = Decimal(1)
    """How often its list price a vendor may charge for a token, by what the client asks for beside the answer."""
    max_cost_usd: Decimal | None = None
    session: str = ""

    def __repr__(self) -> str:
        return f"Need(turns={self.turns}, models={self.models}, enter={self.enter!r})"  # a log must not hold the words


class Wishes(msgspec.Struct, frozen=True):
    """What the caller's headers ask for, beside the body. They win over the body."""

    layer: str | None = None
    fenced: bool = False
    max_cost_usd: Decimal | None = None
    timeout_s: float | None = None
    session: str = ""
    max_attempts: int | None = None


class Reason(msgspec.Struct, frozen=True):
    """One rule that spoke, and by how much it moved the score."""

    name: str
    points: float


class Score(msgspec.Struct, frozen=True):
    """How hard a request looks: 0 a greeting, 1 a proof. `value` is None when nothing could be said."""

    value: float | None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model in a layer."""

    model: Model
    layer: str
    priority: int
    relative_cost: Decimal
    """Lower is tried first within a priority; derived from the price unless the row says otherwise."""
    weight: float | None
    """Share among the weighted models of its priority; None: ordered by cost, and 1 among those of the same cost."""


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    title: str
    position: int
    from_score: float
    """A request whose score is at least this enters here, unless a higher layer claims it."""
    candidates: tuple[Candidate, ...]
    ranks: tuple[tuple[Candidate, ...], ...] = field(repr=False)
    """The same ones, best first; those of one rank are equals (`routing.balancing`)."""
    max_attempts: int | None = None
    """Of a request that enters here; None: the policy's."""
    deadline_s: float | None = None
    """Likewise."""


class Bounds(msgspec.Struct, frozen=True):
    """What one request may take, over retries and fall-overs together."""

    max_attempts: int
    deadline_s: float
    """On the wall clock, from its start."""


class UnknownPrice(StrEnum):
    """What happens to a model without a price."""

    DENY = "deny"
    ESTIMATE = "estimate"


class WhenClientLeaves(StrEnum):
    """What happens to a stream whose client left."""

    CANCEL = "cancel"
    """The provider is cut; what it wrote is counted where it did not tell."""
    DRAIN = "drain"
    """It is read to its end, for the provider's own figures."""


class Balancing(StrEnum):
    """Which of several equals is tried first, where no session says it."""

    WEIGHTED = "weighted"
    """Each for its weight's share of the requests."""
    LEAST_OUTSTANDING = "least_outstanding"
    """The one with the fewest calls under way in this process, for its weight."""


@dataclass(frozen=True, slots=True)
class Policy:
    default_layer: str
    unknown_price: UnknownPrice
    deadline_s: float
    max_attempts: int
    when_client_leaves: WhenClientLeaves = WhenClientLeaves.CANCEL
    balancing: Balancing = Balancing.WEIGHTED
    circuits: Rules = Rules()
    """When a model is called no more for a while."""


ALL_CLOSED: Mapping[int, Circuit] = {}


class Live(msgspec.Struct, frozen=True):
    """What changes from second to second, seen once per request."""

    now: float
    """Unix time, seconds."""
    left_usd: Decimal | None = None
    """What a budget that is near its end has left, when every open request costs nothing; None: enough."""
    ceiling: str | None = None
    """Name of the layer above which a budget that was reached lets nothing go."""
    outstanding: Mapping[int, int] = {}
    """Calls under way in this process, by model id; empty unless the policy balances by them."""
    circuits: Mapping[int, Circuit] = ALL_CLOSED
    """By the model's row id, those that are not closed."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole configuration at one moment. Immutable; one per process; replaced, never changed."""

    version: str
    loaded_at: float
    """`time.monotonic()` when the database last confirmed it."""
    callers: Mapping[bytes, Caller] = field(repr=False)
    """By keyed hash of the API key; disabled and expired ones too, so that the refusal can say so."""
    layers: tuple[Layer, ...]
    """Enabled ones, cheapest first."""
    served: Mapping[str, tuple[Candidate, ...]] = field(repr=False)
    """Enabled models by exact id, each under the provider's own id and as `provider/id`, best first; one in several
    layers stands there once for each, the lowest first. A model outside every layer has the layer name ''."""
    policy: Policy
    dearest: Model | None = None
    """The priced model that costs most: what stands in for an unknown price."""
    priced_until: datetime | None = None
    """When the next price known by now becomes valid: until then the order of candidates holds. None: for good."""

    budgets: Book = field(default=NO_BOOK, repr=False)
    """Who is held to which budgets."""

    def layer(self, name: str) -> Layer | None:
        for layer in self.layers:
            if layer.name == name:
                return layer
        return None


class DropReason(StrEnum):
    """Why a model will not be tried."""

    BELOW_ENTRY = "below the entry layer"
    OUTSIDE_FENCE = "outside the fenced layer"
    LAYER_NOT_ALLOWED = "layer not allowed for this key"
    MODEL_NOT_ALLOWED = "model not allowed for this key"
    NO_CREDENTIAL = "no credential for the provider"
    MISSING_CAPABILITY = "lacks a capability the request needs"
    CONTEXT_TOO_SMALL = "context too small"
    OUTPUT_TOO_SMALL = "cannot write that many tokens"
    TOO_DEAR = "above the request's cost ceiling"
    OVER_BUDGET = "more than its budget has left"
    DEGRADED = "above the layer its budget allows now"
    PRICE_UNKNOWN = "price unknown"
    CIRCUIT_OPEN = "out of order for now"


class Dropped(msgspec.Struct, frozen=True):
    candidate: Candidate
    reason: DropReason
    detail: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What will be tried, best first, and what will not and why."""

    attempts: tuple[Candidate, ...]
    dropped: tuple[Dropped, ...]
    entry: str
    """Name of the layer entered; '' when exact models were asked for."""
    entry_reason: str
    """In words: the score, the caller, the key's ceiling."""
    is_last_resort: bool = False
    """Whether all that could be tried is out of order, and the one that is due first is tried once nevertheless."""


class Opening(Protocol):
    """The beginning of a streamed answer, as its client sees it."""

    @property
    def has_begun(self) -> bool:
        """Whether it got 200 already, before any content: no failure has a status of its own then."""
