"""Circuits in the counters' register, where every process of an installation reads and changes the same ones.

Knows how they are written there, for how long, and of what a circuit is. What becomes of one is `routing.circuit`'s,
who changes it when `routing.health`'s.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import closing

import msgspec
from django.conf import settings
from django.utils.crypto import salted_hmac

from analytics.counters.opening import open_store
from analytics.counters.steps import Change
from analytics.counters.store import Store
from providers.types import Model
from routing.circuit import BUCKET_S, WINDOW_S, Circuit, State, is_of

KIND = "circuit"
COUNTED_S = WINDOW_S + BUCKET_S
FORGOTTEN_S = 86_400.0
"""After which a circuit that is due is forgotten, when nobody has asked for its model."""
TRIES = 5
"""Against other processes at the same circuit."""

_decoder = msgspec.json.Decoder(Circuit)


class Kept(msgspec.Struct, frozen=True):
    """What the register has of a model."""

    version: int
    circuit: Circuit | None
    """None: what another version of this program wrote, and nobody can read."""


class Wanted(msgspec.Struct, frozen=True):
    """A change to one circuit."""

    known: Kept | None
    circuit: Circuit | None


def read(store: Store) -> dict[int, Kept]:
    """By the model's row id. Raises: StoreError."""
    return {int(name): Kept(entry.version, _decoded(entry.value)) for name, entry in store.registered(KIND).items()}


def write(store: Store, wanted: Mapping[int, Wanted], *, now: float) -> set[int]:
    """Those that were changed; another process was quicker with the others. Raises: StoreError."""
    if not wanted:
        return set()
    changes = [_change(number, one, now=now) for number, one in wanted.items()]
    done = store.register(KIND, changes)
    return {number for number, is_done in zip(wanted, done, strict=True) if is_done}


def in_store() -> dict[int, Circuit]:
    """All there are, for a process that does not keep them. Raises: StoreError."""
    with closing(open_store()) as store:
        return {number: kept.circuit for number, kept in read(store).items() if kept.circuit is not None}


def change(store: Store, number: int, *, become: Callable[[Circuit], Circuit | None], now: float) -> Circuit | None:
    """Has a circuit become another, whoever else is at it; returns what it was, None where there is none, or it was
    another each time. Raises: StoreError."""
    for _ in range(TRIES):
        kept = read(store).get(number)
        if kept is None or kept.circuit is None:
            return None
        if write(store, {number: Wanted(kept, become(kept.circuit))}, now=now):
            return kept.circuit
    return None


def fingerprint(model: Model) -> str:
    """Of what is called: the provider's row and the model as it is asked for, not its prices; behind a dot of its
    credential, nothing where this process has none. Keyed, so that it tells nothing of the credential."""
    row = dataclasses.replace(model.provider, credential=None)
    called = [row, model.name, model.reasoning_control, model.inline_system]
    return f"{_digest(called)}.{_digest(model.provider.credential) if model.provider.credential else ''}"


def of_now(known: Mapping[int, Circuit], *, fingerprints: Mapping[int, str]) -> dict[int, Circuit]:
    """Those that are not closed, and are of what is configured now."""
    return {
        number: circuit
        for number, circuit in known.items()
        if circuit.state is not State.CLOSED and is_of(circuit, fingerprints.get(number, circuit.fingerprint))
    }


def _digest(of: object) -> str:
    content = msgspec.json.encode(of, order="deterministic")
    return salted_hmac("circuit", content, secret=settings.KEY_HASH_KEY, algorithm="sha256").hexdigest()[:24]


def _decoded(value: bytes) -> Circuit | None:
    try:
        return _decoder.decode(value)
    except msgspec.DecodeError:
        return None


def _change(number: int, wanted: Wanted, *, now: float) -> Change:
    known_version = wanted.known.version if wanted.known is not None else 0
    circuit = wanted.circuit
    if circuit is None:
        return Change(str(number), known_version, None)
    lasts_s = COUNTED_S if circuit.state is State.CLOSED else max(circuit.until - now, 0.0) + FORGOTTEN_S
    return Change(str(number), known_version, msgspec.json.encode(circuit), round(lasts_s * 1000))
