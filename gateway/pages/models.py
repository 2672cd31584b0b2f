"""`/admin/models/`: layers and the models in them, in the order of trying; put in order, switched, added, taken out.

Each change is one call into `routing`'s services, and one form that works without scripts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone

from analytics.authority import Authority
from gateway import price_listing
from gateway.pages import acting
from providers.models import Model
from providers.types import Capability, Unit
from routing import candidate_rows, health_listing, layer_rows, model_rows, snapshot
from routing.circuit import State
from routing.models import Candidate, Layer
from routing.snapshot import SnapshotError

MOST_NAMED = 2_000
"""Models offered while a name is typed."""
_SHOWN = (Unit.INPUT, Unit.OUTPUT)


class Line(msgspec.Struct, frozen=True):
    """A model in a layer, as the page has it."""

    candidate: Candidate
    model: Model
    name: str
    prices: tuple[str, ...]
    """Of input and output, USD per million tokens, where both are known."""
    capabilities: tuple[str, ...]
    trouble: str
    """Why it is not called now; '' where it is."""
    is_first: bool
    is_last: bool


class Shelf(msgspec.Struct, frozen=True):
    layer: Layer
    lines: tuple[Line, ...]
    mark: str
    """Goes back with whatever is put in order: by it an order that somebody else gave meanwhile is not undone."""


def page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found = acting.signed_in(request, "providers.view_model")
    outcome = acting.outcome_of(request, _ACTS, found)
    told = {
        **context,
        "title": "Models",
        "shelves": _shelves(),
        "names": [
            str(row) for row in Model.objects.select_related("provider").order_by("provider__slug", "name")[:MOST_NAMED]
        ],
        "may": {permission.partition(".")[2]: found.may(permission) for permission, _ in _ACTS.values()},
        "may_add": found.may("providers.add_model"),
        "typed": request.POST if outcome.mistake else {},
    }
    return acting.answered(request, "gateway/models.html", told, outcome)


def _shelves() -> list[Shelf]:
    held = Candidate.objects.select_related("model__provider").prefetch_related("model__prices")
    rows = Layer.objects.prefetch_related(Prefetch("candidates", queryset=held.order_by("priority", "pk")))
    layers = list(rows.order_by("position"))
    prices = _prices(one.model for layer in layers for one in layer.candidates.all())
    troubles, places = _troubles(), _places()
    return [
        Shelf(
            layer,
            tuple(_lines(_in_order(layer.candidates.all(), places), prices, troubles)),
            candidate_rows.mark(layer.candidates.all()),
        )
        for layer in layers
    ]


def _in_order(held: Iterable[Candidate], places: Mapping[tuple[str, int], int]) -> list[Candidate]:
    """As they are tried. Those that never are, since they are switched off, come last of their priority."""
    last = len(places)
    return sorted(held, key=lambda one: (one.priority, places.get((one.layer.name, one.model_id), last), one.pk))


def _places() -> dict[tuple[str, int], int]:
    """By layer and model: the place among those of one priority, which price and weight decide."""
    try:
        layers = snapshot.current().layers
    except SnapshotError:
        return {}
    return {
        (layer.name, candidate.model.id): number
        for layer in layers
        for number, candidate in enumerate(layer.candidates)
    }


def _lines(held: list[Candidate], prices: Mapping[int, tuple[str, ...]], troubles: Mapping[int, str]) -> Iterable[Line]:
    for number, one in enumerate(held):
        model = one.model
        off = "" if model.enabled else "switched off"
        off = off or ("" if model.provider.enabled else f"{model.provider} is switched off")
        yield Line(
            candidate=one,
            model=model,
            name=str(model),
            prices=prices.get(model.pk, ()),
            capabilities=tuple(one.value.replace("_", " ") for one in Capability if getattr(model, one.value)),
            trouble=off or troubles.get(model.pk, ""),
            is_first=number == 0,
            is_last=number == len(held) - 1,
        )


def _prices(models: Iterable[Model]) -> dict[int, tuple[str, ...]]:
    """The smallest tier's, of models that have one for input and output."""
    found: dict[int, dict[str, str]] = {}
    for shown in price_listing.shown({model.pk: model for model in models}.values(), at=timezone.now(), history=False):
        found.setdefault(shown.price.model_id, {}).setdefault(shown.price.unit, shown.price.listed_usd)
    return {
        number: tuple(units[unit] for unit in _SHOWN) for number, units in found.items() if units.keys() >= {*_SHOWN}
    }


def _troubles() -> dict[int, str]:
    try:
        found = health_listing.models(snapshot.current(), caller=None)
    except SnapshotError:
        return {}
    return {
        one.candidate.model.id: "no key for its provider" if one.lacks_its_key else one.circuit.words()
        for one in found
        if one.lacks_its_key or one.circuit.state is not State.CLOSED
    }


# What the forms do: each returns what was done, in words.


def _move(sent: QueryDict, found: Authority) -> str:
    row = _candidate(sent)
    held = list(candidate_rows.of(row.layer))
    candidate_rows.refuse_another_order(held, was=sent.get("was", ""))
    names = [str(one.model) for one in _in_order(held, _places())]
    at = names.index(str(row.model))
    to = at - 1 if sent.get("to") == "up" else at + 1
    if not 0 <= to < len(names):
        raise ValidationError(f"{row.model} is the {'first' if to < 0 else 'last'} one already.")
    names[at], names[to] = names[to], names[at]
    candidate_rows.reorder(row.layer, names, actor=found.actor, was=sent.get("was", ""))
    return f"{row.model} is number {to + 1} of {row.layer.name} now."


def _order(sent: QueryDict, found: Authority) -> str:
    layer = _layer(sent)
    candidate_rows.reorder(layer, sent.getlist("model"), actor=found.actor, was=sent.get("was", ""))
    return f"The models of {layer.name} are in a new order."


def _switch(sent: QueryDict, found: Authority) -> str:
    row = candidate_rows.edit(_candidate(sent), actor=found.actor, changes={"enabled": _is_on(sent)})
    return f"{row.model} is {'on' if row.enabled else 'off'} in {row.layer.name}."


def _add(sent: QueryDict, found: Authority) -> str:
    layer, name = _layer(sent), sent.get("model", "").strip()
    model = model_rows.find(name)
    if model is None:
        raise ValidationError(f"There is no model {name!r}: choose one of the list, as provider/name.")
    last = max((one.priority for one in candidate_rows.of(layer)), default=-1)
    candidate_rows.add(layer, model, actor=found.actor, priority=last + 1)
    return f"{model} is the last one of {layer.name} now."


def _remove(sent: QueryDict, found: Authority) -> str:
    row = _candidate(sent)
    candidate_rows.remove(row, actor=found.actor)
    return f"{row.model} is no longer in {row.layer.name}."


def _add_layer(sent: QueryDict, found: Authority) -> str:
    last = Layer.objects.order_by("position").last()
    score = last.from_score if last is not None else 0.0
    row = layer_rows.create(actor=found.actor, name=sent.get("name", "").strip(), from_score=score)
    return f"The layer {row.name} is there, above all others: put models into it, and say which requests enter it."


def _rename(sent: QueryDict, found: Authority) -> str:
    changes = {"name": sent.get("name", "").strip(), "title": sent.get("title", "").strip()}
    row = layer_rows.edit(_layer(sent), actor=found.actor, changes=changes)
    return f"The layer is called {row} now."


def _switch_layer(sent: QueryDict, found: Authority) -> str:
    row = layer_rows.toggle(_layer(sent), actor=found.actor, enabled=_is_on(sent))
    return f"The layer {row.name} is {'on' if row.enabled else 'off'}."


_ACTS: acting.Acts = {
    "move": ("routing.change_candidate", _move),
    "order": ("routing.change_candidate", _order),
    "switch": ("routing.change_candidate", _switch),
    "add": ("routing.add_candidate", _add),
    "remove": ("routing.delete_candidate", _remove),
    "add-layer": ("routing.add_layer", _add_layer),
    "rename-layer": ("routing.change_layer", _rename),
    "switch-layer": ("routing.change_layer", _switch_layer),
}


def _is_on(sent: QueryDict) -> bool:
    return sent.get("enabled") == "true"


def _layer(sent: QueryDict) -> Layer:
    """Raises: ValidationError."""
    name = sent.get("layer", "")
    row = Layer.objects.filter(name=name).first() if "\0" not in name else None
    if row is None:
        raise ValidationError(f"There is no layer {name!r} any more.")
    return row


def _candidate(sent: QueryDict) -> Candidate:
    """Raises: ValidationError."""
    layer, model = _layer(sent), model_rows.find(sent.get("model", ""))
    row = candidate_rows.of(layer).filter(model=model).first() if model is not None else None
    if row is None:
        raise ValidationError(f"{sent.get('model', '')!r} is not in {layer.name} any more.")
    return row
