"""Lays what a provider offers beside the models that are set up: what to bring up to date, to add, and what is gone.

Pure. What comes of it in the database, and how the changes read, is `routing.catalog_rows`' business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase

from providers.types import Unit
from routing.catalog import Model
from routing.offers.naming import entry_for
from routing.offers.offer import Offer

FREE: Mapping[Unit, Decimal] = {Unit.INPUT: Decimal(0), Unit.OUTPUT: Decimal(0)}


@dataclass(frozen=True, slots=True)
class Comparison:
    known: tuple[Model, ...]
    """Models that are set up, as the provider describes them; with its prices."""
    added: tuple[Model, ...]
    """Models that were asked for and are not set up yet."""
    more: tuple[str, ...]
    """Names of the others that could be added."""
    gone: tuple[str, ...]
    """Names of models that are set up and no longer offered."""
    unmatched: tuple[str, ...]
    """Patterns of `add` that no offered model fits."""

    def wanted(self, *, prices: bool) -> tuple[Model, ...]:
        """What to load: new models with all there is, known ones with their prices only where that is wanted."""
        known = self.known if prices else tuple(replace(model, prices={}, price_tiers=()) for model in self.known)
        return known + self.added


def compare(
    offers: Sequence[Offer],
    *,
    held: Iterable[Model],
    add: Collection[str] = (),
    layer: str | None = None,
    is_free: bool = False,
    skipped: Collection[str] = (),
) -> Comparison:
    """`add` are patterns as the shell has them; `is_free`: a local server's models cost nothing; `skipped`: names that
    are offered in an entry that could not be read."""
    by_name = {offer.model.name: offer for offer in offers}
    known: list[Model] = []
    gone: list[str] = []
    served: set[str] = set()
    for model in held:
        entry = entry_for(model.name, listed=by_name)
        if entry is None and entry_for(model.name, listed=skipped) is not None:
            continue
        if entry is None:
            gone.append(model.name)
        else:
            served.add(entry)
            known.append(updated(model, offer=by_name[entry]))
    others = [offer for name, offer in by_name.items() if name not in served and offer.is_usable]
    chosen = {
        offer.model.name: offer for offer in others if any(fnmatchcase(offer.model.name, pattern) for pattern in add)
    }
    return Comparison(
        known=tuple(known),
        added=tuple(_new(offer, layer=layer, is_free=is_free) for offer in chosen.values()),
        more=tuple(offer.model.name for offer in others if offer.model.name not in chosen),
        gone=tuple(gone),
        unmatched=tuple(pattern for pattern in add if not any(fnmatchcase(name, pattern) for name in by_name)),
    )


def updated(held: Model, *, offer: Offer) -> Model:
    """The facts of the offer under the name that is set up. Its title, switch and layers are the operator's."""
    model = offer.model
    kept = (held.capabilities or frozenset()) - offer.tells
    told = model.capabilities or frozenset()
    return Model(
        name=held.name,
        kind=model.kind,
        reasoning_control=model.reasoning_control,
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        capabilities=kept | told if offer.tells or told else None,
        prices=_worth_saying(model.prices, known={price.unit for price in held.price_list()}),
        price_tiers=model.price_tiers,
    )


def _new(offer: Offer, *, layer: str | None, is_free: bool) -> Model:
    model = offer.model
    prices = _worth_saying(model.prices, known=()) or (FREE if is_free else {})
    return replace(model, layer=layer if model.kind != "embeddings" else None, prices=prices)


def _worth_saying(prices: Mapping[Unit, Decimal], *, known: Collection[Unit]) -> Mapping[Unit, Decimal]:
    """Lists put 0 where a thing is not sold; a price of nothing is written only where another one stood."""
    return {unit: usd for unit, usd in prices.items() if usd or unit in known or unit in FREE}
