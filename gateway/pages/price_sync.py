"""`/admin/prices/sync/`: where our prices differ from the list of `genai-prices`, and those that are ticked followed.

Nothing is written but what was on the page: each tick carries a digest of what it was of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from analytics.authority import Authority
from gateway import price_listing
from gateway.pages import acting
from gateway.pages.acting import Outcome
from gateway.wording import counted
from providers import price_book
from providers.models import Model, Provider
from routing import model_rows, price_sync
from routing.price_sync import Change, PriceProblem

PERMISSION = "providers.change_price"
_HEADINGS = slice(1, None)
"""Of a change's row, without the model, which stands above its rows."""
CHANGED = "Prices changed since they were shown, so nothing is written: look at them again."


class Differing(msgspec.Struct, frozen=True):
    """A model whose prices differ."""

    model: str
    tick: str
    """What is sent for it: its name behind a digest of what differs."""
    rows: tuple[Sequence[object], ...]
    """Of a table: unit, per, old, new, change."""


def page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found = acting.signed_in(request, PERMISSION)
    outcome = acting.outcome_of(request, {"apply": (PERMISSION, _apply)}, found)
    if outcome.goes_to:
        return acting.answered(request, "", {}, outcome)
    slug = request.GET.get("provider", "").replace("\0", "")
    compared = price_sync.compare(_of(slug))
    told = {
        **context,
        "title": "Follow a list of prices",
        "slug": slug,
        "providers": list(Provider.objects.filter(is_local=False).order_by("slug").values_list("slug", flat=True)),
        "source": price_book.source(),
        "headings": price_listing.CHANGE_HEADINGS[_HEADINGS],
        "differing": _differing(compared.changes),
        "changes": len(compared.changes),
        "also": price_listing.also_found(compared, names_all=True),
    }
    return acting.answered(request, "gateway/prices/sync.html", told, outcome)


def _of(slug: str) -> QuerySet[Model]:
    return Model.objects.filter(provider__slug=slug) if slug else Model.objects.all()


def _differing(changes: Sequence[Change]) -> list[Differing]:
    by_model: dict[str, list[Change]] = {}
    for change in changes:
        by_model.setdefault(change.model, []).append(change)
    return [
        Differing(model, _tick(model, some), tuple(price_listing.change_row(one)[_HEADINGS] for one in some))
        for model, some in by_model.items()
    ]


def _tick(model: str, changes: Sequence[Change]) -> str:
    told = msgspec.json.encode([change.step for change in changes])
    return f"{hashlib.sha256(told).hexdigest()[:24]} {model}"


def _apply(sent: QueryDict, found: Authority) -> Outcome:
    ticks = set(sent.getlist("change"))
    names = {tick.partition(" ")[2] for tick in ticks if "\0" not in tick}
    if not ticks:
        raise ValidationError("Tick the models whose prices shall follow.")
    wanted = model_rows.named().filter(Q(full_name__in=names))
    rows = Model.objects.filter(pk__in=[row.pk for row in wanted])
    compared = price_sync.compare(rows)
    if {one.tick for one in _differing(compared.changes)} != ticks:
        raise ValidationError(CHANGED)
    try:
        done = price_sync.sync(rows, actor=found.actor, shown=compared)
    except PriceProblem as problem:
        raise ValidationError(CHANGED) from problem
    said = f"{counted(len(done.changes), 'price')} of {counted(len(ticks), 'model')} changed, from now on."
    return Outcome(said=said, goes_to=reverse("admin:price_sync"))
