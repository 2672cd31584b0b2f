"""Whether this process may be sent requests. Only what makes every request fail counts; the rest is «degraded».

Anybody may ask: no reason holds a driver's words, which name hosts and users. Those are in the log.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor

from routing import runtime, snapshot
from routing.types import Candidate

NOT_READABLE = "database not reachable, or its configuration not readable: see the log"
COUNTERS_AWAY = "counters not reachable: limits are open, keys with a budget are refused"
ROWS_WAIT = "usage rows wait in the spool: the database does not take them"


@dataclass(frozen=True, slots=True)
class Readiness:
    failing: list[str]
    """Each makes the process not ready."""
    degraded: list[str]
    """What is wrong while requests are still answered."""

    @property
    def status(self) -> str:
        if self.failing:
            return "not ready"
        return "degraded" if self.degraded else "ready"


def look() -> Readiness:
    """Looks at every condition now. Uses the database: not for the event loop."""
    try:
        process = runtime.current()
    except runtime.NotRunning:
        return Readiness(["stopping"], [])
    failing: list[str] = []
    degraded: list[str] = []
    if process.is_stopping:
        failing.append("stopping")
    else:
        failing += _dead_threads(process)
    if not process.spool.is_writable():
        failing.append("spool not writable")
    if process.drainer.problem:
        degraded.append(ROWS_WAIT)
    if not process.guard.is_here:
        degraded.append(COUNTERS_AWAY)
    _look_at_configuration(failing, degraded, has_problem=bool(process.poller.problem))
    degraded += _layers_out(process)
    return Readiness(failing, degraded)


def _dead_threads(process: runtime.Runtime) -> list[str]:
    threads = {
        "ledger thread died": process.drainer,
        "configuration thread died": process.poller,
        "counters thread died": process.keeper,
        "health thread died": process.health,
    }
    return [reason for reason, thread in threads.items() if not thread.is_alive()]


def _layers_out(process: runtime.Runtime) -> list[str]:
    """Layers of which no model may be called now."""
    try:
        config = snapshot.current()
    except snapshot.SnapshotError:
        return []
    circuits, now = process.health.circuits, time.time()
    out = {number for number, circuit in circuits.items() if circuit.is_out(at=now)}
    return [
        f"every model of layer {layer.name} is out of order: see `manage.py health`"
        for layer in config.layers
        if (callable_ones := [one.model.id for one in layer.candidates if not _lacks_its_key(one)])
        and out.issuperset(callable_ones)
    ]


def _lacks_its_key(candidate: Candidate) -> bool:
    provider = candidate.model.provider
    return provider.needs_credential and not provider.credential


def _look_at_configuration(failing: list[str], degraded: list[str], *, has_problem: bool) -> None:
    try:
        config = snapshot.current()
    except snapshot.NotLoaded:
        failing.append(_why_not_loaded() or (NOT_READABLE if has_problem else "configuration not loaded yet"))
        return
    except snapshot.Stale:
        failing.append("configuration older than SNAPSHOT_MAX_AGE_S")
        return
    if has_problem:
        degraded.append(NOT_READABLE)
    if not any(layer.candidates for layer in config.layers):
        failing.append("no enabled candidate: load a catalog (`manage.py catalog load`)")


def _why_not_loaded() -> str:
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "database schema not up to date: run `manage.py migrate`"
    except (DatabaseError, InterfaceError):
        return "database not reachable"
    return ""
