"""Lists what can be asked for: models and layers, as seen by a caller; and of which models a caller may be told.

Reads the snapshot, decides nothing. A caller of None is a user, who sees all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from analytics import cost, ids
from analytics.types import Caller
from providers.types import Unit
from routing import plan
from routing.decision import UnknownModel, may_use, near_names
from routing.types import Candidate, Dropped, DropReason, Layer, Snapshot

NOT_ALLOWED = frozenset({DropReason.LAYER_NOT_ALLOWED, DropReason.MODEL_NOT_ALLOWED})


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model id and who serves it, best first. What it can do and costs is told of the first."""

    name: str
    candidates: tuple[Candidate, ...]

    @property
    def first(self) -> Candidate:
        return self.candidates[0]

    @property
    def providers(self) -> list[str]:
        """Slugs of those who serve it, each once: a model may stand in several layers."""
        return list(dict.fromkeys(candidate.model.provider.slug for candidate in self.candidates))

    def prices(self, *, at: float) -> Mapping[Unit, Decimal]:
        """USD per million units."""
        return cost.per_million(self.first.model.prices, at=ids.moment(at))


def models(snapshot: Snapshot, *, caller: Caller | None) -> list[ListedModel]:
    """Every id under its provider's own name, that `caller` may use; all of them for a user (None)."""
    listed = (_listed(name, snapshot=snapshot, caller=caller) for name in sorted(snapshot.served))
    return [model for model in listed if model.candidates and model.name == model.first.model.name]


def model(name: str, *, snapshot: Snapshot, caller: Caller | None) -> ListedModel:
    """One model by its own id or as `provider/id`. Raises: UnknownModel."""
    found = _listed(name, snapshot=snapshot, caller=caller)
    if not found.candidates:
        raise UnknownModel(name, near=near_names(name, snapshot=snapshot, caller=caller))
    return found


def layers(snapshot: Snapshot, *, caller: Caller | None) -> list[Layer]:
    """The layers `caller` may use, each with the candidates it may use; all of them for a user (None)."""
    return [
        replace(layer, candidates=tuple(one for one in layer.candidates if may_use(one, caller=caller)))
        for layer in snapshot.layers
        if caller is None or plan.is_layer_allowed(layer.name, caller=caller)
    ]


def _listed(name: str, *, snapshot: Snapshot, caller: Caller | None) -> ListedModel:
    candidates = snapshot.served.get(name, ())
    return ListedModel(name, tuple(candidate for candidate in candidates if may_use(candidate, caller=caller)))


def may_use_named(qualified_name: str, *, layer: str, caller: Caller | None) -> bool:
    """`may_use` for a model of which only names are left, as in a row of the ledger."""
    if caller is None:
        return True
    names = (qualified_name, qualified_name.partition("/")[2])
    return plan.is_layer_allowed(layer, caller=caller) and plan.are_names_allowed(names, caller=caller)


def tellable(dropped: Iterable[Dropped], *, caller: Caller | None) -> list[Dropped]:
    """Those whose models the caller may be told of.

    The reason alone does not say it: models of a layer that was not entered are dropped before anyone looks whether
    the key may use them.
    """
    return [value for value in dropped if value.reason not in NOT_ALLOWED and may_use(value.candidate, caller=caller)]
