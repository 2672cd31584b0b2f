"""Finds patterns of an API key's allow-lists that match nothing there is: a slip of the pen, or a model to come.

Reads the tables, switched-off rows too: what exists today may be switched on tomorrow. Refuses nothing, but says of a
layer's name whether it is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from rapidfuzz import fuzz, process, utils

from providers.models import Model
from routing.models import Layer

NEAR_NAMES = 3
NEAR_ENOUGH = 70
"""Of 100. Lower than for a model's id: a pattern's `*` stands for what is missing."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    pattern: str
    noun: str
    """`model` or `layer`."""
    near: tuple[str, ...]
    """Names that look like it, best first."""

    def __str__(self) -> str:
        hint = f" Did you mean {' or '.join(self.near)}?" if self.near else ""
        return f"No {self.noun} matches {self.pattern!r} yet.{hint}"


def unmatched(*, models: Sequence[str], layers: Sequence[str]) -> list[Unmatched]:
    """The patterns over model ids and over layer names that match nothing, in their order. One query for each kind."""
    return [
        *_unmatched(models, noun="model", names=_model_names() if models else ()),
        *_unmatched(layers, noun="layer", names=_layer_names() if layers else ()),
    ]


def layer_mistake(name: str) -> str | None:
    """What is wrong with the name of a layer where one has to exist; None when it does."""
    names = _layer_names()
    if name in names:
        return None
    near = _near(name, names=names)
    known = f"Did you mean {' or '.join(near)}?" if near else f"There is {', '.join(names) or 'none yet'}."
    return f"There is no layer {name!r}. {known}"


def _model_names() -> tuple[str, ...]:
    """Every model by its own id and as `provider/id`, as `plan.is_model_allowed` compares them."""
    rows = list(Model.objects.values_list("provider__slug", "name"))
    return tuple(dict.fromkeys([f"{slug}/{name}" for slug, name in rows] + [name for _, name in rows]))


def _layer_names() -> tuple[str, ...]:
    return tuple(Layer.objects.values_list("name", flat=True))


def _unmatched(patterns: Sequence[str], *, noun: str, names: Sequence[str]) -> list[Unmatched]:
    return [
        Unmatched(pattern, noun, _near(pattern, names=names))
        for pattern in patterns
        if not any(fnmatchcase(name, pattern) for name in names)
    ]


def _near(pattern: str, *, names: Sequence[str]) -> tuple[str, ...]:
    found = process.extract(
        pattern,
        names,
        scorer=fuzz.WRatio,
        processor=utils.default_process,
        limit=NEAR_NAMES,
        score_cutoff=NEAR_ENOUGH,
    )
    return tuple(name for name, _, _ in found)
