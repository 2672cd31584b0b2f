"""Reads the database's configuration out as a catalog: the way back of `routing.catalog_rows`.

Never says a secret: of a credential only the name of its environment variable.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models

from providers import models as vendors
from providers.listed_prices import listed_usd
from providers.types import Capability, Unit
from routing import catalog
from routing import models as tables
from routing.catalog import VERSION, Catalog, CatalogError, Model, Provider
from routing.catalog_rows import (
    CANDIDATE_CHOICES,
    LAYER_CHOICES,
    LAYER_FACTS,
    MODEL_CHOICES,
    MODEL_FACTS,
    PROVIDER_CHOICES,
    PROVIDER_FACTS,
    with_related,
)
from routing.types import Balancing, UnknownPrice, WhenClientLeaves


def dump() -> Catalog:
    """The whole configuration of layers, providers and models; loading it into the same database changes nothing.

    Of a provider's credentials it names the first environment variable; encrypted values stay where they are.

    Raises: CatalogError while there is no policy.
    """
    policy = tables.Policy.objects.select_related("default_layer").first()
    if policy is None:
        raise CatalogError("holds no policy yet; load a catalog first", source="database")
    return Catalog(
        version=VERSION,
        policy=catalog.Policy(
            default_layer=policy.default_layer.name,
            unknown_price=UnknownPrice(policy.unknown_price),
            deadline_s=policy.deadline_s,
            max_attempts=policy.max_attempts,
            when_client_leaves=WhenClientLeaves(policy.when_client_leaves),
            balancing=Balancing(policy.balancing),
            circuit_min_calls=policy.circuit_min_calls,
            circuit_failure_share=policy.circuit_failure_share,
            circuit_open_s=policy.circuit_open_s,
        ),
        layers=tuple(
            catalog.Layer(name=row.name, **_held(row, LAYER_FACTS + LAYER_CHOICES))
            for row in tables.Layer.objects.order_by("position")
        ),
        providers=tuple(_dumped_provider(row) for row in with_related(vendors.Provider.objects.order_by("slug"))),
    )


def models_of(slug: str) -> tuple[Model, ...]:
    """The models of one provider as they are set up; none when there is no such provider."""
    rows = with_related(vendors.Provider.objects.filter(slug=slug))
    return tuple(model for row in rows for model in _dumped_provider(row).models)


def _dumped_provider(row: vendors.Provider) -> Provider:
    variables = [credential.env_var for credential in row.credentials.all() if credential.env_var]
    return Provider(
        slug=row.slug,
        credential_env=variables[0] if variables else None,
        models=tuple(_dumped_model(model) for model in sorted(row.models.all(), key=lambda model: model.name)),
        **_held(row, PROVIDER_FACTS + PROVIDER_CHOICES),
    )


def _dumped_model(row: vendors.Model) -> Model:
    tiers: dict[tuple[datetime, int], dict[Unit, Decimal]] = {}
    for price in sorted(row.prices.all(), key=lambda price: (price.valid_from, price.from_tokens)):
        unit = Unit(price.unit)
        tiers.setdefault((price.valid_from, price.from_tokens), {})[unit] = listed_usd(unit, price.usd_per_unit)
    places = tuple(
        catalog.Candidate(layer=place.layer.name, **_held(place, CANDIDATE_CHOICES)) for place in row.candidates.all()
    )
    return Model(
        name=row.name,
        capabilities=frozenset(capability for capability in Capability if getattr(row, capability.value)),
        prices=tiers.pop((vendors.FIRST_DAY, 0), {}),
        price_tiers=tuple(
            catalog.PriceTier(
                from_tokens=tokens, valid_from=None if moment == vendors.FIRST_DAY else moment, prices=prices
            )
            for (moment, tokens), prices in tiers.items()
        ),
        **_dumped_places(places),
        **_held(row, MODEL_FACTS + MODEL_CHOICES),
    )


def _dumped_places(places: tuple[catalog.Candidate, ...]) -> dict[str, Any]:
    """The short form where it says everything."""
    if len(places) != 1 or not places[0].enabled:
        return {"candidates": places}
    (place,) = places
    return {name: getattr(place, name) for name in ("layer", "priority", "weight", "relative_cost")}


def _held(row: models.Model, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
