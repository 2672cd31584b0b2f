"""What is asked of a counters' store and what it answers: frozen values, whole numbers, no I/O.

Money is in billionths of a dollar (nano-dollars), rounded up; times are Unix milliseconds. Names of counters are
plain text, made by `analytics.limits` (`k7:requests`, `p1:slots`) and `analytics.budgets`.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import msgspec

NANO = Decimal(1_000_000_000)
NO_END = 1 << 52
"""An account's `ends_ms` when its window has no end."""


def nano(usd: Decimal) -> int:
    """Whole nano-dollars, rounded up: what is counted is never less than what was spent."""
    return int((usd * NANO).to_integral_value(ROUND_CEILING))


def usd(nano_usd: int) -> Decimal:
    return Decimal(nano_usd) / NANO


class Rate(msgspec.Struct, frozen=True):
    """One limit over a sliding window, and how much of it is asked for."""

    name: str
    limit: int
    cost: int


class Slots(msgspec.Struct, frozen=True):
    """One limit on what is under way at once; a request takes one place until it settles or its lease ends."""

    name: str
    limit: int


class Admit(msgspec.Struct, frozen=True):
    """Asks for a lease: all of it or nothing."""

    id: str
    """The request's."""
    rates: tuple[Rate, ...]
    slots: tuple[Slots, ...]
    span_ms: int
    """Length of the sliding window of every rate."""
    ttl_ms: int
    """How long a place may be held at most."""


class RateState(msgspec.Struct, frozen=True):
    used: int
    """In the window now, with what was just granted."""
    reset_ms: int
    """Until all that is in the window has left it, when nothing is added."""


class Admitted(msgspec.Struct, frozen=True):
    refused: int | None
    """Place of the first limit that refuses in `rates` followed by `slots`; None: the lease is granted."""
    retry_ms: int
    """When refused by a rate: until as much as was asked for may be granted. By a slot: 0, as nobody knows."""
    bucket: int
    """Where the rates were counted: a later `Correct` names it."""
    states: tuple[RateState, ...]
    """One for each rate, in order."""


class Account(msgspec.Struct, frozen=True):
    """One budget in one of its windows."""

    name: str
    limit: int | None
    """Nano-dollars; None: is counted, refuses nothing."""
    shorten: bool
    """Whether a smaller cap than the first is fine with it."""
    starts_ms: int
    ends_ms: int
    may_begin: bool
    """Whether an account the store does not hold may start at zero, if the store has been whole since `starts_ms`:
    nothing can have been spent that it has not seen."""
    may_miss: bool = False
    """Whether a reservation may be made without it while the store does not hold it: it is told nothing then and
    refuses nothing, and a rebuild finds its name in the reservation."""


class Reserve(msgspec.Struct, frozen=True):
    """Asks all accounts for one cap, in one step: the first of `caps` that all of them take.

    An account takes a cap when spent + open + cap <= limit, and, for any but the first cap, when it shortens or would
    have taken the first. A second `Reserve` of the same id raises the cap that is open to the one granted, and never
    lowers it; what is open for the id already counts towards it.
    """

    id: str
    caps: tuple[int, ...]
    """Nano-dollars, the largest first; one or two."""
    accounts: tuple[Account, ...]
    ttl_ms: int
    """When it lapses: it is then charged at its cap until a `Settle` corrects it."""


class Balance(msgspec.Struct, frozen=True):
    spent: int
    """Settled, and what lapsed reservations are charged."""
    open: int


class Reserved(msgspec.Struct, frozen=True):
    granted: int | None
    """Place of the granted cap in `caps`; None: nothing was reserved, or what was open stays as it is."""
    refused: int | None
    """Place of the first account that takes none of the caps it may take."""
    missing: tuple[int, ...]
    """Places of accounts that the store does not hold and may not begin. Nothing is reserved then, but where all of
    them may miss: in the others, and the reservation has their names too."""
    balances: tuple[Balance, ...]
    """Of each account after the step, in order, of nothing for one that may miss and does; empty when others are
    missing."""


class Correct(msgspec.Struct, frozen=True):
    """Changes what a rate counted when a request was admitted. A bucket that has left the window stays as it is."""

    name: str
    bucket: int
    by: int


class Settle(msgspec.Struct, frozen=True):
    """The end of a request: gives back its places, corrects its rates, settles its reservation. A reservation is
    settled once: for an id that has none, or whose was settled, the money part does nothing."""

    id: str
    nano_usd: int | None = None
    """None: there is nothing reserved."""
    slots: tuple[str, ...] = ()
    corrections: tuple[Correct, ...] = ()
    span_ms: int = 60_000


class Settled(msgspec.Struct, frozen=True):
    spent: tuple[tuple[str, int], ...]
    """Of each account that the reservation stood in, after the step; of none where this step settled none."""


class Line(msgspec.Struct, frozen=True):
    """A request as a rebuild needs it: from a spool, or announced by the process that has it."""

    id: str
    project_id: int
    key_id: int | None
    nano_usd: int
    """Settled: what it cost; open: its cap."""
    is_open: bool


class Held(msgspec.Struct, frozen=True):
    """A request that was open when the accounts were rebuilt."""

    id: str
    cap: int
    accounts: tuple[str, ...]


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild found."""

    spent: tuple[tuple[str, int, int], ...]
    """Name, `ends_ms` and what was spent, of each rebuilt account."""
    held: tuple[Held, ...]
    ttl_ms: int
    """When those that were held lapse."""


def parts(rebuilt: Rebuilt, *, at_most: int) -> list[Rebuilt]:
    """The same for so many accounts at once, at least one: no step may keep requests waiting for long."""
    if len(rebuilt.spent) <= at_most:
        return [rebuilt]
    found = []
    for start in range(0, len(rebuilt.spent), at_most):
        spent = rebuilt.spent[start : start + at_most]
        names = {name for name, _, _ in spent}
        own = (Held(one.id, one.cap, tuple(name for name in one.accounts if name in names)) for one in rebuilt.held)
        found.append(Rebuilt(spent, tuple(held for held in own if held.accounts), rebuilt.ttl_ms))
    return found


class Entry(msgspec.Struct, frozen=True):
    """What stands in a register under a name."""

    version: int
    """Grows with every change, and is given to no other content of this name, before or after."""
    value: bytes


class Change(msgspec.Struct, frozen=True):
    """Asks for an entry in a register to be written, or taken out, if it is still what was read."""

    name: str
    """Not empty."""
    known_version: int
    """0: the entry is not there."""
    value: bytes | None
    """None: take it out."""
    ttl_ms: int = 60_000
    """From now on; then it is not there any more."""


class Pulse(msgspec.Struct, frozen=True):
    """The state of a store."""

    whole_since_ms: int | None
    """None: it is empty, or of another life (restarted, restored): its money counts nothing until `begin` made it
    whole again."""
    rebuilding: str
    """Token of the rebuild under way, '' if none."""
