"""Asks providers that were out of reach whether they are back, by the free call for their list of models.

One that answers, whatever it says, has its models' circuits due at once: the next request tries them. Circuits that are
open for any other reason are left to time and to operators. Calls nobody while all are in reach.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial

from analytics.counters.opening import open_store
from analytics.counters.store import Store
from gateway import asking
from providers import door, rows
from providers import models as tables
from providers.types import FailureKind, Provider, ProviderError
from routing import circuits
from routing.circuit import Circuit, State, hastened
from routing.offers.offer import OfferError

CAUSES = frozenset({FailureKind.UNREACHABLE.value})
LEFT_S = 1.0
"""A circuit that is due within this time is not worth a call."""


def probe(*, within_s: float) -> list[str]:
    """Slugs of those that are back. Raises: StoreError."""
    with closing(open_store()) as store:
        waiting = _waiting(store)
        if not waiting:
            return []
        providers = _providers(waiting)
        back = asyncio.run(_answering(list(providers.values()), within_s=within_s))
        for number, provider in providers.items():
            if provider.slug in back:
                now = time.time()
                circuits.change(store, number, become=partial(_due, now=now), now=now)
        return sorted(back)


def _waiting(store: Store) -> list[int]:
    """Models that nobody tries before long, as their provider could not be reached."""
    soon = time.time() + LEFT_S
    found = {number: kept.circuit for number, kept in circuits.read(store).items()}
    return [number for number, circuit in found.items() if circuit is not None and _is_waiting(circuit, until=soon)]


def _is_waiting(circuit: Circuit, *, until: float) -> bool:
    return circuit.state is State.OPEN and circuit.cause in CAUSES and circuit.until > until


def _due(found: Circuit, *, now: float) -> Circuit:
    return hastened(found, now=now) if found.cause in CAUSES else found


def _providers(model_ids: Sequence[int]) -> Mapping[int, Provider]:
    """By the models' row ids."""
    models = tables.Model.objects.filter(pk__in=model_ids, enabled=True, provider__enabled=True)
    of = dict(models.values_list("pk", "provider_id"))
    found = rows.providers_by_id(tables.Provider.objects.filter(pk__in=set(of.values())))
    return {number: found[provider_id] for number, provider_id in of.items()}


async def _answering(providers: Sequence[Provider], *, within_s: float) -> set[str]:
    once = {provider.slug: provider for provider in providers}
    async with door.opened():
        answers = await asyncio.gather(*(_answers(provider, within_s=within_s) for provider in once.values()))
    return {slug for slug, is_back in zip(once, answers, strict=True) if is_back}


async def _answers(provider: Provider, *, within_s: float) -> bool:
    try:
        await asking.names_of(provider, within_s=within_s)
    except ProviderError as error:
        return error.status is not None  # it may not like the question, but it is there
    except TimeoutError:
        return False
    except OfferError:
        return True
    return True
