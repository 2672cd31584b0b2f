"""The gauges of a process that answers requests: what its parts know of themselves.

Counts nothing on a request's way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from analytics.gauge_sources import OF_ANY_PROCESS, Backlog, Rejected
from analytics.gauges import Source
from providers import places
from routing import snapshot, streaming
from routing.circuit import State

if TYPE_CHECKING:
    from routing.health import Health
    from routing.runtime import Runtime

SAME_LOOK_S = 1.0


def sources(process: Runtime, *, spool_root: Path) -> dict[str, Source]:
    """By name. Units stand in the names; what has none is a number, or a yes or no."""
    backlog = _once_a_look(process.drainer.backlog)
    guard, drainer, health = process.guard, process.drainer, process.health
    return {
        "in_flight": lambda: backlog().in_flight,
        "spool_lag_s": lambda: backlog().lag_s(now=datetime.now(UTC)),
        "spool_rows": lambda: backlog().rows,
        "spool_rows_in_memory": lambda: drainer.rows_in_memory,
        "rejected_rows": Rejected(spool_root),
        "ledger_has_problem": lambda: bool(drainer.problem),
        "counters_away": lambda: not guard.is_here,
        "admitted_unchecked": lambda: guard.missed.admitted_unchecked,
        "not_reserved": lambda: guard.missed.not_reserved,
        "circuits_open": lambda: _circuits(health, State.OPEN),
        "circuits_half_open": lambda: _circuits(health, State.HALF_OPEN),
        "snapshot_age_s": _snapshot_age_s,
        "provider_calls": lambda: _those_with_any(places.under_way()),
        "provider_queue": lambda: _those_with_any(places.waiting()),
        "bodies_dropped": lambda: process.bodies.dropped,
        "bodies_waiting_bytes": lambda: process.bodies.waiting_bytes,
        "malformed_events": lambda: streaming.malformed_events.count,
        **OF_ANY_PROCESS,
    }


def _those_with_any(numbers: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in numbers.items() if number}


def _circuits(health: Health, state: State) -> int:
    return sum(circuit.state is state for circuit in health.circuits.values())


def _snapshot_age_s() -> float | None:
    age_s = snapshot.age_s()
    return None if age_s is None else round(age_s, 3)


def _once_a_look(ask: Callable[[], Backlog]) -> Callable[[], Backlog]:
    """Two gauges of one look share the reading of files."""
    known: tuple[float, Backlog] | None = None

    def asked() -> Backlog:
        nonlocal known
        if known is None or time.monotonic() - known[0] > SAME_LOOK_S:
            known = time.monotonic(), ask()
        return known[1]

    return asked
