"""What a provider can do wrong, and what has to follow: DESIGN's failure table as data. Knows nothing of the gateway.

A `Meaning` is a row of that table, a `Fault` something that a provider does, in words and as a script of the scripted
upstream, with the row it belongs to; `faults` lists them, and `cases` works out what has to come of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Health(StrEnum):
    """What a failure says of the model's health."""

    YES = "yes"
    NO = "no"
    UNTIL_ASKED = "until Retry-After"
    UNTIL_MENDED = "until the credential or model row changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What follows from a failure."""

    again: bool = False
    """The same model once more."""
    next_model: bool = False
    against_health: Health = Health.NO
    status: int = 200
    """The client's, if it was the last one."""
    code: str | None = None
    """Of the client's error object; None: the vendor's own, or none."""
    is_after_content: bool = False
    """The client has a part of the answer already, and gets the error as an event."""


class Row(StrEnum):
    """Of the table."""

    BROKEN = "broken before content"
    LATE = "too late before content"
    RATE_LIMITED = "rate limited"
    REFUSES_US = "refuses the gateway"
    DENIES = "refuses the gateway, or the request"
    """402, 403 and 404: docs/adr/0014."""
    TOO_LONG = "request too long"
    REFUSES_REQUEST = "refuses the request"
    BREAKS_OFF = "breaks after content"
    FINE = "no failure"


MEANINGS = {
    Row.BROKEN: Meaning(again=True, next_model=True, against_health=Health.YES, status=502),
    Row.LATE: Meaning(again=True, next_model=True, against_health=Health.YES, status=504, code="provider_timeout"),
    Row.RATE_LIMITED: Meaning(
        next_model=True, against_health=Health.UNTIL_ASKED, status=429, code="provider_rate_limited"
    ),
    Row.REFUSES_US: Meaning(
        next_model=True, against_health=Health.UNTIL_MENDED, status=502, code="provider_credentials"
    ),
    Row.DENIES: Meaning(next_model=True, against_health=Health.YES, status=502, code="provider_credentials"),
    Row.TOO_LONG: Meaning(next_model=True, status=400),
    Row.REFUSES_REQUEST: Meaning(),
    Row.BREAKS_OFF: Meaning(against_health=Health.YES, is_after_content=True),
    Row.FINE: Meaning(),
}


class Where(StrEnum):
    """Who stands at the provider's address."""

    UPSTREAM = "upstream"
    CUTTING = "cutting"
    """A scripted upstream that breaks every connection before a byte of its answer: none is ever kept."""
    REFUSED = "refused"
    NOWHERE = "nowhere"
    NO_TLS = "no-tls"
    FULL = "full"


class Patience(StrEnum):
    """How long the provider's row lets it take."""

    LONG = "patient"
    SHORT = "hasty"
    BETWEEN_FRAMES = "steady"
    """Long for the beginning, short for what follows."""


class Mode(StrEnum):
    JSON = "json"
    SSE = "sse"


BOTH = (Mode.JSON, Mode.SSE)
STREAM = (Mode.SSE,)
WHOLE = (Mode.JSON,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something a provider does."""

    name: str
    words: str
    """What it does."""
    row: Row
    kind: str = ""
    """What the ledger calls the failure; '' for none."""
    code: str | None = None
    """Of the client's error object, where the row of the table does not say it."""
    script: str = "chunks=6"
    sse_script: str = ""
    """Where a stream needs other words."""
    modes: tuple[Mode, ...] = BOTH
    where: Where = Where.UPSTREAM
    patience: Patience = Patience.LONG
    dialect: Literal["openai", "anthropic"] = "openai"
    status: int | None = None
    """The client's, where it is the vendor's own."""
    waits_s: int | None = None
    """What it asks to wait."""
    has_larger_behind: bool = True
    """Whether the healthy model behind it takes more tokens."""
    malformed: int = 0
    """Lines of its stream that cannot be read."""
    told_chunks: int = 6
    """Of its content, what reaches the client."""

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self.row]

    @property
    def is_hasty(self) -> bool:
        return self.patience is not Patience.LONG

    @property
    def floods(self) -> bool:
        return "flood=" in self.script

    @property
    def is_given_up(self) -> bool:
        """The gateway closes the connection, before the provider has ended its answer."""
        return self.is_hasty or self.floods

    @property
    def is_cut(self) -> bool:
        """The provider closes it."""
        return "cut=" in self.script or "reset=" in self.script

    def script_for(self, mode: Mode) -> str:
        return (mode is Mode.SSE and self.sse_script) or self.script
