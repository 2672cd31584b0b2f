"""Who is at work and from where, for entries of the audit trail whose writer knows neither.

Set once for a request (`gateway.middleware`), a command (`gateway.console`) or a task (`gateway.celery`), and read when
an entry is written. Knows no tables and no requests; looks nobody up before an entry asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

COMMAND_LINE = "command line"
SYSTEM = "system"
"""What nobody asked for: tasks, threads."""
UNKNOWN = "unknown"
"""Nobody said who it is."""


def _nowhere() -> str | None:
    return None


@dataclass(slots=True)
class _Origin:
    """Asked when an entry is written: most requests write none, and a user costs a query."""

    actor: Callable[[], str]
    address: Callable[[], str | None] = _nowhere


_origin: ContextVar[_Origin | None] = ContextVar("audit_origin", default=None)
_is_told: ContextVar[bool] = ContextVar("audit_is_told", default=False)


def actor() -> str:
    """Who is at work, `UNKNOWN` where nobody said."""
    origin = _origin.get()
    return UNKNOWN if origin is None else origin.actor() or UNKNOWN


def address() -> str | None:
    """From where; None where it is no request's doing."""
    origin = _origin.get()
    return None if origin is None else origin.address()


@contextmanager
def request_of(actor: Callable[[], str], *, address: Callable[[], str | None]) -> Iterator[None]:
    """For the time of a request. `actor` may answer '' when nobody is signed in."""
    before = _origin.set(_Origin(actor, address))
    try:
        yield
    finally:
        _origin.reset(before)


@contextmanager
def acting(actor: str) -> Iterator[None]:
    """Somebody else acts for a while, at the same address."""
    outer = _origin.get()
    before = _origin.set(_Origin(lambda: actor, _nowhere if outer is None else outer.address))
    try:
        yield
    finally:
        _origin.reset(before)


def begin(actor: str) -> None:
    """As `acting`, until this thread or task is told otherwise: for those who have no end to name."""
    _origin.set(_Origin(lambda: actor))


def name(actor: str) -> None:
    """It is known now whose request this is: that of an API key."""
    origin = _origin.get()
    if origin is not None:
        origin.actor = lambda: actor


def is_told() -> bool:
    """Whether whoever writes rows now tells of them in entries of its own."""
    return _is_told.get()


@contextmanager
def told_here() -> Iterator[None]:
    """Rows written within are told of by their writer: `analytics.audit_following` keeps silent. Also a decorator."""
    before = _is_told.set(True)
    try:
        yield
    finally:
        _is_told.reset(before)
