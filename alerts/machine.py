"""The state of a rule for one set of labels, from one look at its metric to the next. Pure.

Owns when an alert begins, changes, recovers and is resolved. Time is the looks' own: nothing is counted in ticks, so a
look that comes late or not at all moves nothing but the moment of what it finds.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class State(StrEnum):
    NORMAL = "normal"
    PENDING = "pending"
    """Beyond a threshold, and not yet for as long as the rule asks."""
    FIRING = "firing"
    RECOVERING = "recovering"
    """Within bounds again, and not yet for as long as it is kept firing."""
    RESOLVED = "resolved"
    NO_DATA = "no_data"
    """An alert of its own: there is nothing to look at."""
    ERROR = "error"
    """An alert of its own: the look failed."""


ALARMED = frozenset({State.FIRING, State.NO_DATA, State.ERROR})
TOLD = ALARMED | {State.RECOVERING}
"""In which people may have been told that something is wrong."""


class Level(StrEnum):
    """How bad; a rule's severities are the same words as the audit trail's."""

    NONE = ""
    WARNING = "warning"
    CRITICAL = "critical"


class Comparator(StrEnum):
    ABOVE = "above"
    """At the threshold, or above it."""
    BELOW = "below"
    """At the threshold, or below it."""


class Missing(StrEnum):
    """What it means that there is no value."""

    NORMAL = "normal"
    """Nothing is wrong."""
    KEEP = "keep"
    """All stays as it was."""
    ALERT = "alert"
    """It is an alert."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule asks for. Values are in its metric's unit, durations in seconds."""

    comparator: Comparator = Comparator.ABOVE
    warning: float | None = None
    critical: float | None = None
    hysteresis: float = 0.0
    """How far within a threshold the value must come before it counts as back."""
    for_s: float = 0.0
    keep_firing_s: float = 0.0
    min_samples: int = 0
    """With fewer there is no value."""
    no_data: Missing = Missing.NORMAL
    on_error: Missing = Missing.KEEP
    severity: Level = Level.WARNING
    """Of an alert that there is no data, or that looking fails."""


class Seen(msgspec.Struct, frozen=True):
    """What a look found."""

    value: float | None = None
    samples: int = 0
    """What the value was made from."""
    error: str = ""


class Standing(msgspec.Struct, frozen=True):
    """The state, and since when."""

    state: State = State.NORMAL
    level: Level = Level.NONE
    since: datetime | None = None
    """When this state began."""
    began_at: datetime | None = None
    """When the alert did; it ends with its being resolved."""


NORMAL = Standing()


def step(was: Standing, seen: Seen, *, terms: Terms, now: datetime) -> Standing:
    """How it stands after a look at `now`; the same value where nothing changed."""
    missing = _missing(seen, terms)
    if missing is Missing.KEEP:
        return was
    if missing is Missing.ALERT:
        return _alarm(was, State.ERROR if seen.error else State.NO_DATA, terms.severity, terms=terms, now=now)
    level = Level.NONE if missing is not None else _level(was, seen.value, terms)
    if level is Level.NONE:
        return _calm(was, terms=terms, now=now)
    return _alarm(was, State.FIRING, level, terms=terms, now=now)


def end(was: Standing, *, now: datetime) -> Standing:
    """How it stands once nobody looks any more: the rule was changed, paused or deleted."""
    if was.state in TOLD:
        return Standing(State.RESOLVED, was.level, now, was.began_at)
    return NORMAL


def _missing(seen: Seen, terms: Terms) -> Missing | None:
    """None: there is a value."""
    if seen.error:
        return terms.on_error
    if seen.value is None or seen.samples < terms.min_samples:
        return terms.no_data
    return None


def _level(was: Standing, value: float | None, terms: Terms) -> Level:
    """While it fires, a value must come back by the hysteresis; while it recovers, go beyond the threshold itself."""
    held = was.level if was.state is State.FIRING else Level.NONE
    if _is_beyond(value, terms.critical, terms, is_held=held is Level.CRITICAL):
        return Level.CRITICAL
    if _is_beyond(value, terms.warning, terms, is_held=held is not Level.NONE):
        return Level.WARNING
    return Level.NONE


def _is_beyond(value: float | None, threshold: float | None, terms: Terms, *, is_held: bool) -> bool:
    if value is None or threshold is None:
        return False
    margin = terms.hysteresis if is_held else 0.0
    if terms.comparator is Comparator.ABOVE:
        return value >= threshold - margin
    return value <= threshold + margin


def _alarm(was: Standing, state: State, level: Level, *, terms: Terms, now: datetime) -> Standing:
    if was.state in ALARMED:
        if (was.state, was.level) == (state, level):
            return was
        return Standing(state, level, was.since if was.state is state else now, was.began_at)
    if was.state is State.RECOVERING:
        return Standing(state, level, now, was.began_at)
    if was.state is not State.PENDING:
        pending = Standing(State.PENDING, level, now)
    else:
        pending = was if was.level is level else msgspec.structs.replace(was, level=level)
    return Standing(state, level, now, now) if _lasted(pending, now) >= terms.for_s else pending


def _calm(was: Standing, *, terms: Terms, now: datetime) -> Standing:
    if was.state in ALARMED and terms.keep_firing_s > 0:
        return Standing(State.RECOVERING, was.level, now, was.began_at)
    if was.state is State.RECOVERING and _lasted(was, now) < terms.keep_firing_s:
        return was
    if was.state in TOLD:
        return Standing(State.RESOLVED, was.level, now, was.began_at)
    return NORMAL


def _lasted(standing: Standing, now: datetime) -> float:
    return (now - standing.since).total_seconds() if standing.since is not None else 0.0
