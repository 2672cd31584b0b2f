"""What local servers say of models that were just found: windows and capabilities, for rows that are about to be made.

Best effort within a second, so that `quickstart` does not wait: what is not told in time, `manage.py models sync`
brings later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping

from gateway import asking
from gateway.discovery import Finding
from providers import door, rows
from providers.models import Model as ModelRow
from providers.models import Provider as ProviderRow
from providers.types import Provider, ProviderError
from routing.catalog import Model
from routing.offers.offer import OfferError

WITHIN_S = 1.0

logger = logging.getLogger(__name__)

Described = Mapping[tuple[str, str], Model]
"""By the provider's slug and the model's name."""


def describe(findings: Iterable[Finding]) -> Described:
    """What is told of those of the found models that have no row yet; asks all servers at once."""
    wanted = {finding.slug: names for finding in findings if finding.is_local and (names := _new_names(finding))}
    if not wanted:
        return {}
    providers = rows.providers_by_id(ProviderRow.objects.filter(slug__in=wanted)).values()
    return asyncio.run(_ask_all(list(providers), wanted=wanted))


def _new_names(finding: Finding) -> set[str]:
    known = ModelRow.objects.filter(provider__slug=finding.slug).values_list("name", flat=True)
    return {model.name for model in finding.models} - set(known)


async def _ask_all(providers: Collection[Provider], *, wanted: Mapping[str, set[str]]) -> Described:
    async with door.opened():
        answers = await asyncio.gather(*(_ask(provider, names=wanted[provider.slug]) for provider in providers))
    return {key: model for answer in answers for key, model in answer.items()}


async def _ask(provider: Provider, *, names: Collection[str]) -> Described:
    try:
        offers = (await asking.offers_named(provider, names, within_s=WITHIN_S)).models
    except (ProviderError, OfferError, TimeoutError) as error:
        logger.info("%s did not describe its models: %s", provider.name, str(error) or "no answer in time")
        return {}
    return {(provider.slug, offer.model.name): offer.model for offer in offers if offer.model.name in names}
