"""How models are now, for lists, commands and dry runs, in a server and in any other process; and putting one back by
hand.

Reads; what becomes of circuits is `routing.health`'s.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime

import msgspec
from django.db import DatabaseError, InterfaceError

from analytics import audit
from analytics.counters.opening import open_store
from analytics.counters.store import StoreError
from analytics.types import Caller
from routing import circuits, listing, runtime, transitions
from routing.circuit import RESET, Circuit, State, is_of
from routing.decision import may_use
from routing.models import CircuitTransition
from routing.types import ALL_CLOSED, Candidate, Snapshot

logger = logging.getLogger(__name__)

_WELL = Circuit("")


class ModelHealth(msgspec.Struct, frozen=True):
    """A model in one of its layers."""

    candidate: Candidate
    circuit: Circuit
    last: CircuitTransition | None
    """What became of it last, where anything ever did."""

    @property
    def is_noted(self) -> bool:
        """Whether there is anything to say of it now."""
        return self.circuit.state is not State.CLOSED or self.circuit.failures > 0

    @property
    def lacks_its_key(self) -> bool:
        """Nobody calls it, well or not."""
        provider = self.candidate.model.provider
        return provider.needs_credential and not provider.credential

    @property
    def since(self) -> datetime | None:
        """When it was closed last; None while it is."""
        return _moment(self.circuit.opened_at) if self.circuit.state is not State.CLOSED else None

    @property
    def until(self) -> datetime | None:
        return _moment(self.circuit.until) if self.circuit.state is not State.CLOSED else None


def known() -> Mapping[int, Circuit]:
    """What this process knows, or the store where it keeps none; nothing while the counters are away."""
    try:
        return runtime.current().health.known
    except runtime.NotRunning:
        pass
    try:
        return circuits.in_store()
    except StoreError as error:
        logger.warning("The counters are away, and so is what they know of models' health: %s", error)
        return ALL_CLOSED


def not_closed(snapshot: Snapshot) -> Mapping[int, Circuit]:
    """As a plan is given them."""
    found = known()
    return circuits.of_now(found, fingerprints=_fingerprints(snapshot, of=found)) if found else ALL_CLOSED


def models(snapshot: Snapshot, *, caller: Caller | None) -> list[ModelHealth]:
    """Every model in each of its layers, cheapest first, that `caller` may use (None: a user, who sees all)."""
    found = known()
    prints = _fingerprints(snapshot, of=found)
    current = {number: circuit for number, circuit in found.items() if is_of(circuit, prints.get(number, ""))}
    candidates = [one for layer in listing.layers(snapshot, caller=caller) for one in layer.candidates]
    candidates += [one for one in _outside(snapshot) if may_use(one, caller=caller)]
    last = _last({one.model.id for one in candidates})
    return [ModelHealth(one, current.get(one.model.id, _WELL), last.get(one.model.id)) for one in candidates]


def _last(model_ids: set[int]) -> Mapping[int, CircuitTransition]:
    """Nothing while the database is away: circuits are known without it, and are asked for just then."""
    try:
        return transitions.latest(model_ids)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("What became of circuits cannot be read: %s", error)
        return {}


def reset(name: str | None, *, snapshot: Snapshot) -> list[str]:
    """Closes the circuits of a model at every provider that serves the id, of all models without a name; returns the
    names of those that were not closed.

    Raises: decision.UnknownModel, StoreError.
    """
    if name is None:
        found = [one for served in snapshot.served.values() for one in served]
    else:
        found = list(listing.model(name, snapshot=snapshot, caller=None).candidates)
    candidates = {one.model.id: one for one in found}
    closed = []
    with closing(open_store()) as store:
        for number, candidate in candidates.items():
            now = time.time()
            before = circuits.change(store, number, become=lambda _: None, now=now)
            if before is not None and before.state is not State.CLOSED:
                closed.append(candidate.model.qualified_name)
                row = transitions.row(candidate.model, before, None, at=now, cause=RESET)
                if row is not None:
                    row.save()
                audit.record("circuit.reset", target=candidate.model.qualified_name)
    return closed


def _outside(snapshot: Snapshot) -> list[Candidate]:
    """Models in no layer."""
    found = {one.model.id: one for served in snapshot.served.values() for one in served if not one.layer}
    return sorted(found.values(), key=lambda one: one.model.qualified_name)


def _fingerprints(snapshot: Snapshot, *, of: Mapping[int, Circuit]) -> dict[int, str]:
    found = {one.model.id: one.model for served in snapshot.served.values() for one in served if one.model.id in of}
    return {number: circuits.fingerprint(model) for number, model in found.items()}


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
