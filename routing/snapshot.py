"""Keeps the configuration of this process: one immutable `Snapshot`, loaded in a thread, replaced as a whole.

Nothing on the way of a request touches the database. A poll of three version numbers, which triggers move whoever
writes, tells which groups of tables to load again; changed API keys are fetched alone. When the database is gone the
last snapshot goes on serving for `SNAPSHOT_MAX_AGE_S`.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from analytics import budget_book, callers, cost, ids
from analytics.callers import Callers
from analytics.types import Book
from providers import rows, sqlite_file
from providers.models import ConfigChange, ConfigVersion
from providers.types import Model, Unit
from routing import balancing
from routing import models as tables
from routing.circuit import Rules
from routing.types import Balancing, Candidate, Layer, Policy, Snapshot, UnknownPrice, WhenClientLeaves

logger = logging.getLogger(__name__)

OUTPUT_SHARE = 3
"""Input tokens counted for one of output when prices are compared."""
MOST_CHANGES = 5000
"""Changed keys fetched one by one; beyond that loading all is cheaper."""
UNPRICED = Decimal("Infinity")
_AWAY = (DatabaseError, InterfaceError)


class SnapshotError(Exception):
    """Root of what keeps the configuration from being used.

    SnapshotError
    ├── NotLoaded    nothing was loaded yet: the database was not there at start, or has no tables
    └── Stale        the last one is older than SNAPSHOT_MAX_AGE_S
    """


class NotLoaded(SnapshotError): ...


class Stale(SnapshotError): ...


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The groups a snapshot is composed from, each with the version it was loaded at."""

    versions: dict[str, int]
    callers: Callers
    budgets: Book
    models: dict[int, Model]
    layers: tuple[tables.Layer, ...]
    policy: tables.Policy | None


_current: Snapshot | None = None


def current() -> Snapshot:
    """The configuration in force. Raises: NotLoaded, Stale."""
    if _current is None:
        raise NotLoaded("The configuration has not been loaded yet.")
    if time.monotonic() - _current.loaded_at > settings.SNAPSHOT_MAX_AGE_S:
        raise Stale("The database has been away for too long; the configuration may no longer hold.")
    return _current


def age_s() -> float | None:
    """Seconds since the database last confirmed the snapshot; None before the first."""
    return None if _current is None else time.monotonic() - _current.loaded_at


def load() -> Snapshot:
    """Loads everything now and puts it in force: for commands, and for the start of a server."""
    return _publish(_load(None))


def forget() -> None:
    """Goes back to the state before the first load."""
    global _current  # noqa: PLW0603 - the one snapshot of this process
    _current = None


class Poller(threading.Thread):
    """Keeps the snapshot fresh until stopped. The first load happens here as well, so a server starts without one."""

    def __init__(self, *, every_s: float) -> None:
        super().__init__(name="snapshot", daemon=True)
        self._every_s = every_s
        self._stopping = threading.Event()
        self._loaded: _Loaded | None = None
        self.problem = ""
        """Why the database could not be read, '' while it can."""
        self.has_looked = threading.Event()
        """Set once the first load has succeeded or failed."""

    def run(self) -> None:
        while True:
            self._poll()
            self.has_looked.set()
            if self._stopping.wait(self._every_s):
                connection.close()
                return

    def stop(self) -> None:
        self._stopping.set()
        self.join(5.0)

    def _poll(self) -> None:
        try:
            self._loaded = _load(self._loaded)
            _publish(self._loaded)
        except _AWAY as error:
            if not self.problem:
                logger.error("The configuration cannot be read, the last one stays in force: %s", error)
            self.problem = str(error)[:200] or type(error).__name__
            connection.close()
            return
        except Exception:
            # A row that cannot be understood must not end the thread that would see it mended.
            logger.exception("The configuration cannot be loaded, the last one stays in force")
            self.problem = "the configuration cannot be understood; see the log"
            return
        self.problem = ""


def _load(known: _Loaded | None) -> _Loaded:
    """What is in the database now; groups whose version has not moved are taken over from `known`."""
    sqlite_file.require(connection)
    # Versions first: a change that lands between the two reads is loaded now and once more at the next poll.
    versions = dict(ConfigVersion.objects.values_list("group", "version"))
    if known is None:
        return _Loaded(versions, callers.load_all(), budget_book.load(), rows.models_by_id(), _layers(), _policy())
    if versions == known.versions:
        return known
    moved = {group for group, version in versions.items() if known.versions.get(group) != version}
    return _Loaded(
        versions=versions,
        callers=_callers(known, version=versions["keys"]) if "keys" in moved else known.callers,
        budgets=budget_book.load() if _may_budgets_differ(known, moved=moved) else known.budgets,
        models=rows.models_by_id() if "providers" in moved else known.models,
        layers=_layers() if "routing" in moved else known.layers,
        policy=_policy() if "routing" in moved else known.policy,
    )


def _may_budgets_differ(known: _Loaded, *, moved: set[str]) -> bool:
    """Their windows begin by their projects' clocks, and they carry the names of keys and projects."""
    return "budgets" in moved or ("keys" in moved and known.budgets.has_any)


def _callers(known: _Loaded, *, version: int) -> Callers:
    """Fetches the keys that changed, when every step since is accounted for by a named row; else all."""
    since = known.versions.get("keys", 0)
    changes = ConfigChange.objects.filter(group="keys", version__gt=since, version__lte=version)
    steps = list(changes.values_list("version", "row_id")[: MOST_CHANGES + 1])
    if len(steps) <= MOST_CHANGES and len({step for step, _ in steps}) == version - since:
        return callers.load_changed(known.callers, row_ids={row_id for _, row_id in steps})
    return callers.load_all()


def _layers() -> tuple[tables.Layer, ...]:
    return tuple(tables.Layer.objects.filter(enabled=True).order_by("position").prefetch_related("candidates"))


def _policy() -> tables.Policy | None:
    return tables.Policy.objects.select_related("default_layer").first()


def _publish(loaded: _Loaded) -> Snapshot:
    """Puts what was loaded in force; composed anew only when it moved, or when a price has become valid since."""
    global _current  # noqa: PLW0603 - the one snapshot of this process
    version = ".".join(str(loaded.versions[group]) for group in sorted(loaded.versions))
    now = _now()
    if _current is not None and _current.version == version and not _is_outpriced(_current, at=now):
        _current = replace(_current, loaded_at=time.monotonic())
    else:
        _current = _compose(loaded, version=version, at=now)
    return _current


def _now() -> datetime:
    return ids.moment(time.time())


def _is_outpriced(snapshot: Snapshot, *, at: datetime) -> bool:
    return snapshot.priced_until is not None and at >= snapshot.priced_until


def _compose(loaded: _Loaded, *, version: str, at: datetime) -> Snapshot:
    """The snapshot as prices stand at `at`."""
    layers = tuple(_layer(row, models=loaded.models, at=at) for row in loaded.layers)
    served = _served(layers, models=loaded.models, at=at)
    return Snapshot(
        version=version,
        loaded_at=time.monotonic(),
        callers=loaded.callers.by_hash,
        budgets=loaded.budgets,
        layers=layers,
        served=served,
        policy=_frozen_policy(loaded.policy, layers=layers),
        dearest=_dearest(served, at=at),
        priced_until=_next_price(loaded.models, after=at),
    )


def _next_price(models: dict[int, Model], *, after: datetime) -> datetime | None:
    return min(
        (price.valid_from for model in models.values() for price in model.prices if price.valid_from > after),
        default=None,
    )


def _layer(row: tables.Layer, *, models: dict[int, Model], at: datetime) -> Layer:
    candidates = [
        Candidate(
            model=models[candidate.model_id],
            layer=row.name,
            priority=candidate.priority,
            relative_cost=(
                _relative_cost(models[candidate.model_id], at=at)
                if candidate.relative_cost is None
                else candidate.relative_cost
            ),
            weight=candidate.weight,
        )
        for candidate in row.candidates.all()
        if candidate.enabled and candidate.model_id in models
    ]
    candidates.sort(key=_place)
    return Layer(
        row.name,
        row.title,
        row.position,
        row.from_score,
        tuple(candidates),
        balancing.ranked(candidates),
        row.max_attempts,
        row.deadline_s,
    )


def _place(candidate: Candidate) -> tuple[int, Decimal, str]:
    return candidate.priority, candidate.relative_cost, candidate.model.qualified_name


def _relative_cost(model: Model, *, at: datetime) -> Decimal:
    """USD per million tokens of a request with three input tokens for one of output."""
    per_million = cost.per_million(model.prices, at=at)
    if Unit.INPUT not in per_million or Unit.OUTPUT not in per_million:
        return UNPRICED
    return (OUTPUT_SHARE * per_million[Unit.INPUT] + per_million[Unit.OUTPUT]) / (OUTPUT_SHARE + 1)


def _served(layers: tuple[Layer, ...], *, models: dict[int, Model], at: datetime) -> dict[str, tuple[Candidate, ...]]:
    by_model: dict[int, list[Candidate]] = {}
    for layer in layers:
        for candidate in layer.candidates:
            by_model.setdefault(candidate.model.id, []).append(candidate)
    for model in models.values():
        by_model.setdefault(model.id, [Candidate(model, "", 0, _relative_cost(model, at=at), None)])
    served: dict[str, list[Candidate]] = {}
    for candidates in sorted(by_model.values(), key=lambda candidates: _place(candidates[0])):
        for name in {candidates[0].model.name, candidates[0].model.qualified_name}:
            served.setdefault(name, []).extend(candidates)
    return {name: tuple(candidates) for name, candidates in served.items()}


def _dearest(served: dict[str, tuple[Candidate, ...]], *, at: datetime) -> Model | None:
    cost_of = partial(_relative_cost, at=at)
    models = [one.model for candidates in served.values() for one in candidates]
    return max((model for model in models if cost_of(model) < UNPRICED), key=cost_of, default=None)


def _frozen_policy(row: tables.Policy | None, *, layers: tuple[Layer, ...]) -> Policy:
    if row is None:  # nothing was set up yet: there is no candidate either, and readiness says so
        return Policy(layers[0].name if layers else "", UnknownPrice.DENY, 600.0, 6)
    return Policy(
        row.default_layer.name,
        UnknownPrice(row.unknown_price),
        row.deadline_s,
        row.max_attempts,
        WhenClientLeaves(row.when_client_leaves),
        Balancing(row.balancing),
        Rules(row.circuit_min_calls, row.circuit_failure_share, row.circuit_open_s),
    )
