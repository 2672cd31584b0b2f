"""What roll-ups are kept of: which lengths of time, and for each which dimensions, from all of them to almost none.
Pure.

A *grain* is one kind of roll-up: a length (a minute, 15 minutes, a UTC day) and a *cut*, the dimensions it tells apart.
Every length has the full cut. The longer ones have poorer ones beside it: a month of a busy installation is half a
million rows in the full cut of its days, and a few hundred in the one that knows layers alone. A *series* is one
combination of values in a cut.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import msgspec

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)
MINUTES_KEPT = timedelta(days=8)
QUARTERS_KEPT = timedelta(days=400)
"""How long roll-ups are kept, those of days for good."""


class StatusClass(StrEnum):
    """How requests ended, as roll-ups tell it apart."""

    OK = "2xx"
    CLIENT_ERROR = "4xx"
    """Refused: a mistake of the client's, no budget, no model it may use."""
    SERVER_ERROR = "5xx"
    BROKEN = "broken"
    """An answer that began with 200 and ended in an error."""
    CANCELLED = "cancelled"
    """The client left."""
    INTERRUPTED = "interrupted"
    """The gateway stopped or was killed."""


def status_class(outcome: str, status: int) -> StatusClass:
    """By the `outcome` and `status` columns of a usage record."""
    if outcome == "error":
        if status < 400:
            return StatusClass.BROKEN
        return StatusClass.CLIENT_ERROR if status < 500 else StatusClass.SERVER_ERROR
    return _CLASS_OF_OUTCOME[outcome]


_CLASS_OF_OUTCOME = {
    "ok": StatusClass.OK,
    "cancelled": StatusClass.CANCELLED,
    "interrupted": StatusClass.INTERRUPTED,
}


class Dimensions(NamedTuple):
    """The values of a series. A cut that does not know a dimension has its default."""

    kind: str
    status_class: str = ""
    error_kind: str = ""
    layer: str = ""
    project_id: int | None = None
    project: str = ""
    key_id: int | None = None
    """None in a cut that knows keys: the local owner."""
    key_name: str = ""
    provider: str = ""
    model: str = ""


class Cut(IntEnum):
    """Which dimensions are told apart; each also knows the kind.

    One that does not know how requests ended has a few series where the others have one for every way to end. Its
    histograms hold answered requests alone, as reports want them.
    """

    FULL = 0
    ALL = 1
    PROJECT = 2
    KEY = 3
    MODEL = 4
    STATUS = 5


KNOWN = {
    Cut.ALL: frozenset({"layer"}),
    Cut.PROJECT: frozenset({"layer", "project"}),
    Cut.STATUS: frozenset({"layer", "project", "status"}),
    Cut.KEY: frozenset({"project", "key"}),
    Cut.MODEL: frozenset({"layer", "project", "provider", "model"}),
    Cut.FULL: frozenset({"layer", "project", "status", "key", "provider", "model"}),
}
"""By cut, poorest first. The kind is known in all of them; "status" is status class and kind of error."""


class Grain(IntEnum):
    """One kind of roll-up; its tens say how long, its ones which cut."""

    MINUTE = 10
    QUARTER = 20
    QUARTER_ALL = 21
    QUARTER_PROJECT = 22
    QUARTER_STATUS = 25
    DAY = 30
    DAY_ALL = 31
    DAY_PROJECT = 32
    DAY_KEY = 33
    DAY_MODEL = 34
    DAY_STATUS = 35

    @property
    def cut(self) -> Cut:
        return Cut(self % 10)

    @property
    def length(self) -> timedelta:
        return _LENGTHS[self // 10]

    def start_of(self, moment: datetime) -> datetime:
        """When the roll-up begins that counts what happened at `moment`."""
        return floor(moment, self.length)


_LENGTHS = {1: MINUTE, 2: QUARTER, 3: DAY}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor(moment: datetime, length: timedelta) -> datetime:
    """The last edge of roll-ups of this length that is not after `moment`, in UTC."""
    at = moment.astimezone(UTC)
    return at - (at - _EPOCH) % length


def ceiling(moment: datetime, length: timedelta) -> datetime:
    """The first edge that is not before it."""
    down = floor(moment, length)
    return down if down == moment else down + length


@lru_cache(maxsize=50_000)
def cut_down(full: Dimensions, cut: Cut) -> Dimensions:
    """The series of a poorer cut that one of the full cut belongs to."""
    if cut is Cut.FULL:
        return full
    known = KNOWN[cut]
    kept = Dimensions(full.kind)
    if "status" in known:
        kept = kept._replace(status_class=full.status_class, error_kind=full.error_kind)
    if "layer" in known:
        kept = kept._replace(layer=full.layer)
    if "project" in known:
        kept = kept._replace(project_id=full.project_id, project=full.project)
    if "key" in known:
        kept = kept._replace(key_id=full.key_id, key_name=full.key_name)
    if "model" in known:
        kept = kept._replace(provider=full.provider, model=full.model)
    return kept


@lru_cache(maxsize=50_000)
def series_id(cut: Cut, values: Dimensions) -> int:
    """63 bits that stand for these values everywhere, so that nobody has to ask the database for a number.

    Two series of a million share one with a probability of 5e-8; they would be counted together, in sums of money too.
    """
    digest = blake2b(msgspec.json.encode((cut, *values)), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
