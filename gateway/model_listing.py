"""How the API shows models with the layers they are in, and prices, as their rows have them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from gateway import layer_listing, price_listing
from gateway.price_listing import Shown
from providers.models import Model, Price
from providers.types import Capability
from routing import model_rows
from routing.models import Candidate


def models() -> QuerySet[Model]:
    """With what `model_json` reads: three queries for any number of them."""
    places = Candidate.objects.select_related("layer").order_by("layer__position")
    return model_rows.named().prefetch_related("prices", Prefetch("candidates", queryset=places))


def one_model(row: Model) -> dict[str, Any]:
    return model_json(models().get(pk=row.pk), at=timezone.now())


def model_json(row: Model, *, at: datetime) -> dict[str, Any]:
    """A row out of `models`, with the prices in force then."""
    return {
        "object": "model",
        "id": str(row),
        "provider": row.provider.slug,
        "name": row.name,
        **{name: getattr(row, name) for name in model_rows.EDITABLE},
        "capabilities": sorted(one.value for one in Capability if getattr(row, one.value)),
        "layers": [{"layer": one.layer.name, **layer_listing.place(one)} for one in row.candidates.all()],
        "prices": [_price(one) for one in price_listing.shown([row], at=at, history=False)],
        "created_at": _moment(row.created_at),
        "updated_at": _moment(row.updated_at),
    }


def prices_json(rows: Collection[Price], *, at: datetime) -> list[dict[str, Any]]:
    """Each with whether it is in force then; in the order of `rows`."""
    ids = {row.model_id for row in rows}
    of = Model.objects.filter(pk__in=ids).select_related("provider").prefetch_related("prices")
    shown = {one.price.pk: one for one in price_listing.shown(of, at=at, history=True)}
    return [{"object": "price", "model": shown[row.pk].model, **_price(shown[row.pk])} for row in rows]


def _price(one: Shown) -> dict[str, Any]:
    told = price_listing.as_json(one)
    return {"id": one.price.pk, **{name: told[name] for name in told if name != "model"}}


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
