"""Processes over one register of circuits, each of which looks when it is told to."""

import time
from contextlib import contextmanager
from dataclasses import replace

from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.store import StoreAway
from providers.types import FailureKind, ProviderError
from routing import snapshot
from routing.circuit import outcome
from routing.health import Health
from tests.unit.routing.test_plan import candidate, model
from tests.unit.routing.test_plan import snapshot as configured

NOON = 1_800_000_000.0


class Clock:
    def __init__(self):
        self.s = NOON

    def __call__(self):
        return self.s


class Counters(SqliteStore):
    """Counts what is asked of it, and goes away when told to."""

    is_away = False

    def __init__(self, path, clock):
        super().__init__(path, deadline_s=5.0, clock=lambda: int(clock() * 1000))
        self.writes = []

    def registered(self, kind):
        if self.is_away:
            raise StoreAway("gone")
        return super().registered(kind)

    def register(self, kind, changes):
        if self.is_away:
            raise StoreAway("gone")
        self.writes.append(len(changes))
        return super().register(kind, changes)


class Process:
    """One that looks when it is told to."""

    def __init__(self, path, clock):
        self.clock = clock
        self.store = Counters(path, clock)
        self.health = Health(self.store, now=clock, draw=lambda: 0.0)

    def sees(self, of, *kinds, probe="", began_s_ago=0.0, **fields):
        for kind in kinds:
            error = None if kind == "ok" else ProviderError(FailureKind(kind), "it failed", **fields)
            ended = outcome(error, at=self.clock(), began_at=self.clock() - began_s_ago, probe=probe)
            self.health.saw(of, ended)
        return self.looks()

    def looks(self):
        self.health.look()
        return self

    def state(self, of):
        found = self.health.circuits.get(of.id)
        return "closed" if found is None else found.state.value

    @property
    def rows(self):
        return [(row.from_state, row.to_state, row.cause) for row in self.health.writer._rows]


M = model("m")


@contextmanager
def in_force(*models, version="1"):
    """This is what is configured."""
    config = configured(*(candidate(each) for each in models))
    snapshot._current = replace(config, version=version, loaded_at=time.monotonic())
    yield
