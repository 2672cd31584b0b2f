"""How an alert stands from look to look: every transition there is, by a clock of the test's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.machine import NORMAL, Comparator, Level, Missing, Seen, Standing, State, Terms, end, step

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def walk(looks, **terms):
    """The state and level after each look, given as (seconds, value) or (seconds, `Seen`)."""
    told, standing = [], NORMAL
    for seconds, value in looks:
        seen = value if isinstance(value, Seen) else Seen(value, samples=1)
        standing = step(standing, seen, terms=Terms(**terms), now=at(seconds))
        told.append(f"{standing.state} {standing.level}".strip())
    return told


ABOVE = {"warning": 5.0, "critical": 10.0}
BELOW = {"warning": 5.0, "critical": 1.0, "comparator": Comparator.BELOW}
NOTHING, BROKEN = Seen(), Seen(error="the query took too long")
SHORT = {
    "N": "normal", "P": "pending", "F": "firing", "R": "recovering", "X": "resolved", "D": "no_data", "E": "error",
    "w": " warning", "c": " critical",
}  # fmt: skip
WALKS = {
    "at the threshold it is beyond": (ABOVE, [(0, 4.9), (60, 5.0)], "N Fw"),
    "without waiting": (ABOVE, [(0, 10), (60, 4)], "Fc Xc"),
    "to the end": (ABOVE, [(0, 5), (60, 4), (120, 4)], "Fw Xw N"),
    "for by wall time": (ABOVE | {"for_s": 120}, [(0, 6), (60, 6), (119, 6), (120, 6)], "Pw Pw Pw Fw"),
    "for begins anew": (ABOVE | {"for_s": 120}, [(0, 6), (60, 4), (120, 6), (180, 6)], "Pw N Pw Pw"),
    "looks that did not come": (ABOVE | {"for_s": 120}, [(0, 6), (600, 6)], "Pw Fw"),
    "worse while pending": (ABOVE | {"for_s": 60}, [(0, 6), (30, 12), (60, 12)], "Pw Pc Fc"),
    "kept firing": (ABOVE | {"keep_firing_s": 120}, [(0, 6), (60, 4), (120, 4), (180, 4)], "Fw Rw Rw Xw"),
    "back while recovering": (
        ABOVE | {"keep_firing_s": 120}, [(0, 6), (60, 4), (120, 6), (180, 4), (240, 4)], "Fw Rw Fw Rw Rw",
    ),
    "back while recovering needs no for": (
        ABOVE | {"keep_firing_s": 120, "for_s": 300}, [(0, 6), (300, 6), (360, 4), (420, 6)], "Pw Fw Rw Fw",
    ),
    "once more after resolved": (ABOVE | {"for_s": 60}, [(0, 6), (60, 6), (120, 4), (180, 6)], "Pw Fw Xw Pw"),
    "hysteresis": (ABOVE | {"hysteresis": 2}, [(0, 5), (60, 3), (120, 2.9)], "Fw Fw Xw"),
    "hysteresis holds nothing that is calm": (ABOVE | {"hysteresis": 2}, [(0, 3), (60, 4.9)], "N N"),
    "while recovering the threshold itself counts": (
        ABOVE | {"hysteresis": 2, "keep_firing_s": 300}, [(0, 5), (60, 2), (120, 4.9), (180, 5)], "Fw Rw Rw Fw",
    ),
    "two levels": (
        ABOVE | {"hysteresis": 2}, [(0, 10), (60, 8), (120, 7.9), (180, 9.9), (240, 10)], "Fc Fc Fw Fw Fc",
    ),
    "critical alone": ({"critical": 10.0}, [(0, 9.9), (60, 10), (120, 9)], "N Fc Xc"),
    "below": (
        BELOW | {"hysteresis": 1}, [(0, 5.1), (60, 5), (120, 1), (180, 2), (240, 2.1), (300, 6), (360, 6.1)],
        "N Fw Fc Fc Fw Fw Xw",
    ),
    "no data is normal": (ABOVE, [(0, 6), (60, NOTHING)], "Fw Xw"),
    "no data keeps": (
        ABOVE | {"no_data": Missing.KEEP, "for_s": 60},
        [(0, 6), (30, NOTHING), (60, 6), (90, NOTHING), (120, 4)], "Pw Pw Fw Fw Xw",
    ),
    "no data alerts": (
        ABOVE | {"no_data": Missing.ALERT, "severity": Level.CRITICAL, "for_s": 60},
        [(0, NOTHING), (60, NOTHING), (120, 4)], "Pc Dc Xc",
    ),
    "from one alert to the other": (
        ABOVE | {"no_data": Missing.ALERT}, [(0, 12), (60, NOTHING), (120, 12), (180, 1)], "Fc Dw Fc Xc",
    ),
    "an error keeps": (ABOVE, [(0, 6), (60, BROKEN), (120, 4)], "Fw Fw Xw"),
    "an error alerts": (
        ABOVE | {"on_error": Missing.ALERT, "keep_firing_s": 60},
        [(0, BROKEN), (60, BROKEN), (120, 1), (180, 1)], "Ew Ew Rw Xw",
    ),
    "an error is normal": (ABOVE | {"on_error": Missing.NORMAL}, [(0, 6), (60, BROKEN)], "Fw Xw"),
    "too few samples are no data": (
        ABOVE | {"min_samples": 10}, [(0, Seen(100.0, samples=9)), (60, Seen(100.0, samples=10))], "N Fc",
    ),
}  # fmt: skip
"""What a rule asks for, what is seen when (in seconds), and the state and level after each look."""


@pytest.mark.parametrize(("terms", "looks", "states"), WALKS.values(), ids=WALKS)
def test_each_look_leads_on(terms, looks, states):
    assert walk(looks, **terms) == ["".join(SHORT[letter] for letter in one) for one in states.split()]


def test_an_alert_began_when_it_fired_and_keeps_that_to_its_end():
    terms, standing, began = Terms(**ABOVE, for_s=60, keep_firing_s=60), NORMAL, []
    for seconds, value in ((0, 6), (60, 6), (120, 12), (180, 1), (200, 6), (260, 1), (320, 1), (380, 1)):
        standing = step(standing, Seen(float(value), samples=1), terms=terms, now=at(seconds))
        began.append(standing.began_at)
    assert began == [None, *[at(60)] * 6, None]


def test_since_is_when_the_state_began_whatever_becomes_of_the_level():
    terms = Terms(**ABOVE)
    warned = step(NORMAL, Seen(6.0, samples=1), terms=terms, now=at(0))
    worse = step(warned, Seen(11.0, samples=1), terms=terms, now=at(60))
    assert (worse.level, worse.since) == (Level.CRITICAL, at(0))


@pytest.mark.parametrize("value", [1.0, 6.0])
def test_where_nothing_changes_it_is_the_same_value(value):
    terms, seen = Terms(**ABOVE, for_s=60), Seen(value, samples=1)
    standing = NORMAL
    for seconds in (0, 60):
        standing = step(standing, seen, terms=terms, now=at(seconds))
        assert step(standing, seen, terms=terms, now=at(seconds)) is standing


@pytest.mark.parametrize(
    ("state", "then"),
    [
        (State.NORMAL, State.NORMAL), (State.PENDING, State.NORMAL), (State.RESOLVED, State.NORMAL),
        (State.FIRING, State.RESOLVED), (State.RECOVERING, State.RESOLVED), (State.NO_DATA, State.RESOLVED),
        (State.ERROR, State.RESOLVED),
    ],
)  # fmt: skip
def test_where_nobody_looks_any_more_it_ends(state, then):
    assert end(Standing(state, Level.WARNING, at(0), at(0)), now=at(60)).state is then


def test_a_clock_that_goes_back_ends_nothing_early():
    terms = Terms(**ABOVE, for_s=60)
    pending = step(NORMAL, Seen(6.0, samples=1), terms=terms, now=at(0))
    assert step(pending, Seen(6.0, samples=1), terms=terms, now=at(-3600)).state is State.PENDING
