"""Whether this process may be sent requests. Only what makes every request fail counts; the rest is «degraded»."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from routing import runtime, snapshot


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
    if not process.spool.is_writable():
        failing.append("spool not writable")
    if process.drainer.failing_since:
        degraded.append(f"usage rows wait in the spool: {process.drainer.failing_since}")
    _look_at_configuration(failing, degraded, problem=process.poller.problem)
    return Readiness(failing, degraded)


def _look_at_configuration(failing: list[str], degraded: list[str], *, problem: str) -> None:
    try:
        config = snapshot.current()
    except snapshot.NotLoaded:
        failing.append(_why_not_loaded() or problem or "configuration not loaded yet")
        return
    except snapshot.Stale:
        failing.append("configuration older than SNAPSHOT_MAX_AGE_S")
        return
    if problem:
        degraded.append(f"database: {problem}")
    if not any(layer.candidates for layer in config.layers):
        failing.append("no enabled candidate: load a catalog (`manage.py catalog load`)")


def _why_not_loaded() -> str:
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "database schema not up to date: run `manage.py migrate`"
    except DatabaseError:
        return "database not reachable"
    return ""
