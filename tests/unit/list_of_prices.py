"""A list of prices of our own in the place of the one that comes with `genai-prices`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from genai_prices import data_snapshot, types

Prices = types.ModelPrice | list[types.ConditionalPrice]


def listed(**prices: str | types.TieredPrices) -> types.ModelPrice:
    """Under the package's own names, such as `input_mtok`."""
    return types.ModelPrice(**{name: Decimal(usd) if isinstance(usd, str) else usd for name, usd in prices.items()})


def tiered(base: str, *tiers: tuple[int, str]) -> types.TieredPrices:
    return types.TieredPrices(base=Decimal(base), tiers=[types.Tier(start, Decimal(usd)) for start, usd in tiers])


@contextmanager
def standing_in(**models: Prices) -> Iterator[None]:
    """The provider `acme` with these models; other names that begin with theirs are theirs too."""
    entries = [
        types.ModelInfo(id=name, match=types.ClauseStartsWith(name), prices=prices) for name, prices in models.items()
    ]
    acme = types.Provider(id="acme", name="Acme", api_pattern=r"https://api\.acme\.test", models=entries)
    data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot([acme], from_auto_update=False))
    try:
        yield
    finally:
        data_snapshot.set_custom_snapshot(None)
