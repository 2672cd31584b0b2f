"""`/admin/models/add/`: a provider's own list of models, those to add ticked, and put into a layer on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from analytics.authority import Authority
from gateway import offering
from gateway.offering import Offering
from gateway.pages import acting
from gateway.pages.acting import Outcome
from providers.models import Provider
from providers.types import Capability, Unit
from routing import catalog
from routing.configuring import listed
from routing.models import Layer

MOST_SHOWN = 500
PERMISSION = "providers.add_model"


class Line(msgspec.Struct, frozen=True):
    """A model that could be added."""

    name: str
    title: str
    kind: str
    context_tokens: int | None
    prices: tuple[str, ...]
    """Of input and output, USD per million tokens, where the list tells both."""
    capabilities: tuple[str, ...]
    is_ticked: bool


def page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found = acting.signed_in(request, PERMISSION)
    outcome = acting.outcome_of(request, {"add": (PERMISSION, _add)}, found)
    slug = (request.POST.get("provider") or request.GET.get("provider", "")).replace("\0", "")
    told = {
        **context,
        "title": "Add models",
        "providers": list(Provider.objects.order_by("name")),
        "slug": slug,
        "layers": list(Layer.objects.order_by("position")) if found.may("routing.add_candidate") else [],
        "layer": request.POST.get("layer", ""),
        "words": request.GET.get("q", ""),
    }
    if slug and not outcome.goes_to:
        told, outcome = _with_list(told, outcome, ticked=frozenset(request.POST.getlist("name")))
    return acting.answered(request, "gateway/models/offers.html", told, outcome)


def _with_list(told: dict[str, Any], outcome: Outcome, *, ticked: frozenset[str]) -> tuple[dict[str, Any], Outcome]:
    try:
        found = offering.offered(told["slug"])
    except offering.FAILURES as error:
        return told, outcome if outcome.mistake else Outcome(mistake=str(error), status=400)
    lines = _lines(found, words=told["words"], ticked=ticked)
    more = len(lines) - MOST_SHOWN
    return {**told, "found": found, "lines": lines[:MOST_SHOWN], "more": max(more, 0)}, outcome


def _lines(found: Offering, *, words: str, ticked: frozenset[str]) -> list[Line]:
    """Those in whose name or title each of the words stands."""
    wanted = words.lower().split()
    models = [one for one in found.fresh if all(word in f"{one.name} {one.title or ''}".lower() for word in wanted)]
    return [_line(model, is_ticked=model.name in ticked) for model in models]


def _line(model: catalog.Model, *, is_ticked: bool) -> Line:
    prices = [model.prices.get(unit) for unit in (Unit.INPUT, Unit.OUTPUT)]
    able = model.capabilities or frozenset()
    return Line(
        name=model.name,
        title=model.title or "",
        kind=model.kind or "chat",
        context_tokens=model.context_tokens,
        prices=tuple(f"{usd.normalize():f}" for usd in prices if usd is not None) if None not in prices else (),
        capabilities=tuple(one.value.replace("_", " ") for one in Capability if one in able),
        is_ticked=is_ticked,
    )


def _add(sent: QueryDict, found: Authority) -> Outcome:
    slug, layer = sent.get("provider", "").replace("\0", ""), _layer(sent, found)
    try:
        added = offering.add(slug, dict.fromkeys(sent.getlist("name")), layer=layer, actor=found.actor)
    except offering.FAILURES as error:
        raise ValidationError(str(error)) from error
    names = listed([row.name for row in added.models])
    said = f"Added to {slug}{f' and {layer.name}' if layer else ''}: {names}."
    if added.unpriced:
        said += f" Nobody knows what these cost, so give them prices: {listed([row.name for row in added.unpriced])}."
    return Outcome(said=said, goes_to=f"{reverse('admin:model_offers')}?{urlencode({'provider': slug})}")


def _layer(sent: QueryDict, found: Authority) -> Layer | None:
    """Raises: PermissionDenied, ValidationError."""
    name = sent.get("layer", "")
    if not name:
        return None
    acting.require(found, "routing.add_candidate")
    row = Layer.objects.filter(name=name).first() if "\0" not in name else None
    if row is None:
        raise ValidationError(f"There is no layer {name!r} any more.")
    return row
