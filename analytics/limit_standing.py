"""How full limits per minute are at a moment, by the counters: for lists and pages, which take nothing out of them.

A request's own way to the counters is `analytics.limits`. How many requests are under way at once is not told: a place
is known by who holds it alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from django.conf import settings

from analytics import limits
from analytics.counters.opening import open_store
from analytics.counters.steps import Admit, Rate
from analytics.counters.store import StoreError
from analytics.models import ApiKey, Project
from analytics.types import Limits

logger = logging.getLogger(__name__)

KINDS = {"requests_per_minute": limits.REQUESTS, "tokens_per_minute": limits.TOKENS}
"""By a row's column: the kind of the counter."""


def of(row: ApiKey | Project) -> Mapping[str, int]:
    """By a row's column: how much of that limit is used now. Those that it has; none while the counters are away, which
    is no error."""
    own = Limits(row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests)
    rates = limits.rates_of_key(row.pk, own) if isinstance(row, ApiKey) else limits.rates_of_project(row.pk, own)
    used = _used(rates) if rates else ()
    columns = [column for column in KINDS if getattr(row, column) is not None]
    return dict(zip(columns, used, strict=False))


def _used(rates: Sequence[Rate]) -> Sequence[int]:
    """Of each, in order: nothing is asked for, so that nothing is counted."""
    step = Admit("", tuple(rates), (), round(settings.RATE_WINDOW_S * 1000), 0)
    try:
        return asyncio.run(_looked_at(step))
    except StoreError as error:
        logger.warning("How much of limits is used cannot be told: %s", error)
        return ()


async def _looked_at(step: Admit) -> list[int]:
    store = open_store()
    try:
        return [state.used for state in (await store.admit(step)).states]
    finally:
        await store.aclose()
        store.close()
