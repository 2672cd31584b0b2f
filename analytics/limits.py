"""What a key, and all keys of its project together, may ask for in a minute and at once.

Turns a caller's limits into one step of the counters and its answer into a lease, or into the refusal. Tokens are
counted when a request is admitted by an upper estimate, and corrected when it is known what it used.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec

from analytics.counters.guard import Guard
from analytics.counters.steps import Admit, Admitted, Correct, Rate, RateState, Settle, Slots
from analytics.types import NO_LIMITS, Caller, Limits

REQUESTS, TOKENS, PLACES = "requests", "tokens", "slots"
IN_WORDS = {REQUESTS: "requests per minute", TOKENS: "tokens per minute", PLACES: "concurrent requests"}
WAIT_FOR_A_PLACE_S = 1.0
MOST_TOKENS = 1 << 52
"""More than any limit: a client may ask for answers of any length, a store's numbers have an end."""


class Whose(NamedTuple):
    """Whose counter of what."""

    whose: str
    """`key` or `project`."""
    kind: str


class Quota(msgspec.Struct, frozen=True):
    """The tightest of a caller's limits of one kind, as the `X-RateLimit-*` headers tell it."""

    kind: str
    limit: int
    remaining: int
    reset_ms: int


class LimitReached(Exception):
    """A limit does not let the request through. Nothing of it was counted."""

    def __init__(self, name: Whose, *, limit: int, cost: int, retry_s: float | None, quotas: tuple[Quota, ...]) -> None:
        super().__init__(f"The {name.whose}'s limit of {limit:,} {IN_WORDS[name.kind]} is reached.")
        self.kind = name.kind
        self.whose = name.whose
        self.limit = limit
        self.cost = cost
        self.retry_s = retry_s
        """None: never, the request alone is more than the limit."""
        self.quotas = quotas


class Lease(msgspec.Struct, frozen=True):
    """What a request was let through with, to be given back and corrected when it settles."""

    slots: tuple[str, ...] = ()
    rates: tuple[Rate, ...] = ()
    bucket: int = 0
    quotas: tuple[Quota, ...] = ()

    def corrections(self, *, used_tokens: int | None) -> tuple[Correct, ...]:
        """What makes the rates true once it is known what was used; None: no model was called, no tokens were.

        The request itself stays counted: whoever is refused by a budget or for want of a model has a row in the ledger
        all the same, and must not write any number of them.
        """
        used = used_tokens or 0
        return tuple(
            Correct(rate.name, self.bucket, used - rate.cost)
            for rate in self.rates
            if rate.name.endswith(TOKENS) and used != rate.cost
        )


NO_LEASE = Lease()


def has_any(caller: Caller) -> bool:
    return caller.key_limits != NO_LIMITS or caller.project_limits != NO_LIMITS


async def admit(
    guard: Guard, caller: Caller, *, request_id: str, tokens: int, usual_tokens: int, ttl_s: float
) -> Lease:
    """Lets a request through, all limits in one step. `tokens` is the most it may use by its own words, to which
    `usual_tokens` are added for an answer of no stated length, as far as the limit allows.

    Raises: LimitReached. When the counters are away, the request goes through and is counted as unchecked.
    """
    terms = _terms(caller.key_id, caller.project_id, own=caller.key_limits, shared=caller.project_limits)
    rates = terms.rates_of(tokens=min(tokens, MOST_TOKENS), usual_tokens=min(usual_tokens, MOST_TOKENS))
    step = Admit(request_id, rates, terms.slots, guard.span_ms, round(ttl_s * 1000))
    admitted = await guard.admit(step)
    if admitted is None:
        return NO_LEASE
    quotas = _quotas(terms.names, rates, admitted.states)
    if admitted.refused is not None:
        raise _refusal(step, admitted, names=terms.names, quotas=quotas)
    return Lease(terms.slot_names, rates, admitted.bucket, quotas)


def give_back(guard: Guard, lease: Lease, *, request_id: str) -> None:
    """Of a request that was let through and asks no model: its places and its tokens."""
    if lease is not NO_LEASE:
        corrections = lease.corrections(used_tokens=None)
        guard.settle(Settle(request_id, None, lease.slots, corrections, guard.span_ms))


def slots_of(key_id: int | None, project_id: int) -> tuple[str, ...]:
    """Names of the places a request of theirs may hold."""
    own = (f"k{key_id}:{PLACES}",) if key_id is not None else ()
    return (*own, f"p{project_id}:{PLACES}")


def rates_of_key(key_id: int, own: Limits) -> tuple[Rate, ...]:
    """What is counted of its limits per minute, of requests first; each with nothing asked for."""
    return _with_nothing(_terms(key_id, 0, own=own, shared=NO_LIMITS))


def rates_of_project(project_id: int, shared: Limits) -> tuple[Rate, ...]:
    """Likewise, of all its keys together."""
    return _with_nothing(_terms(None, project_id, own=NO_LIMITS, shared=shared))


def _with_nothing(terms: _Terms) -> tuple[Rate, ...]:
    return tuple(Rate(rate.name, rate.limit, 0) for rate in terms.rates)


class _Terms(msgspec.Struct, frozen=True):
    """All limits of a caller, as far as they are the same for each of its requests."""

    names: tuple[Whose, ...]
    """Of the rates, and behind them of the places."""
    rates: tuple[Rate, ...]
    """A rate of tokens with cost 0."""
    slots: tuple[Slots, ...]
    slot_names: tuple[str, ...]

    def rates_of(self, *, tokens: int, usual_tokens: int) -> tuple[Rate, ...]:
        if all(rate.cost for rate in self.rates):
            return self.rates
        return tuple(rate if rate.cost else _for_tokens(rate, tokens, usual_tokens) for rate in self.rates)


def _for_tokens(rate: Rate, tokens: int, usual_tokens: int) -> Rate:
    return Rate(rate.name, rate.limit, max(tokens, min(tokens + usual_tokens, rate.limit)))


@lru_cache(maxsize=10_000)
def _terms(key_id: int | None, project_id: int, *, own: Limits, shared: Limits) -> _Terms:
    names: list[Whose] = []
    rates: list[Rate] = []
    slots: list[tuple[Whose, Slots]] = []
    for whose, start, limits in (("key", f"k{key_id}", own), ("project", f"p{project_id}", shared)):
        for kind, limit, cost in (
            (REQUESTS, limits.requests_per_minute, 1),
            (TOKENS, limits.tokens_per_minute, 0),
        ):
            if limit is not None:
                names.append(Whose(whose, kind))
                rates.append(Rate(f"{start}:{kind}", limit, cost))
        if limits.concurrent_requests is not None:
            slots.append((Whose(whose, PLACES), Slots(f"{start}:{PLACES}", limits.concurrent_requests)))
    places = tuple(slot for _, slot in slots)
    every = (*names, *(name for name, _ in slots))
    return _Terms(every, tuple(rates), places, tuple(place.name for place in places))


def _quotas(names: tuple[Whose, ...], rates: tuple[Rate, ...], states: tuple[RateState, ...]) -> tuple[Quota, ...]:
    tightest: dict[str, Quota] = {}
    for name, rate, state in zip(names, rates, states, strict=False):
        quota = Quota(name.kind, rate.limit, max(rate.limit - state.used, 0), state.reset_ms)
        known = tightest.get(name.kind)
        if known is None or quota.remaining < known.remaining:
            tightest[name.kind] = quota
    return tuple(tightest.values())


def _refusal(step: Admit, admitted: Admitted, *, names: tuple[Whose, ...], quotas: tuple[Quota, ...]) -> LimitReached:
    place = admitted.refused or 0
    if place >= len(step.rates):
        slot = step.slots[place - len(step.rates)]
        return LimitReached(names[place], limit=slot.limit, cost=1, retry_s=WAIT_FOR_A_PLACE_S, quotas=quotas)
    never = next((number for number, rate in enumerate(step.rates) if rate.cost > rate.limit), None)
    if never is not None:  # whichever limit came first, no waiting helps
        place = never
    rate, retry_s = step.rates[place], None if never is not None else admitted.retry_ms / 1000
    return LimitReached(names[place], limit=rate.limit, cost=rate.cost, retry_s=retry_s, quotas=quotas)
