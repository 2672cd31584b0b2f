"""A configuration in which each case has models and layers of its own: what one does no other feels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Literal

from providers.types import Unit
from routing.catalog import Candidate, Catalog, Layer, Model, Policy, Provider, render
from tests.faults.cases import CASES, DEADLINE_S, WARMING_CASES, Beside, Case
from tests.faults.table import Patience, Row, Where

LIMITS_S = {
    Patience.LONG: (5.0, 5.0, 5.0, 5.0),
    Patience.SHORT: (0.4, 0.4, 0.4, 0.4),
    Patience.BETWEEN_FRAMES: (5.0, 5.0, 5.0, 0.3),
}
"""Connecting, headers, first content, between frames."""
WINDOW, LARGER_WINDOW = 8_000, 100_000
DEFAULT_LAYER = "F-default"
Dialect = Literal["openai", "anthropic"]
HEALTHY: tuple[Where, Patience, Dialect] = (Where.UPSTREAM, Patience.LONG, "openai")
CREDENTIAL_ENV = "FAULTS_API_KEY"
OPEN_S = 200.0
CIRCUITS = {"circuit_min_calls": 1, "circuit_failure_share": 0.01, "circuit_open_s": OPEN_S}
"""One failure opens a circuit, for longer than the run takes: what it says of the model's health can be seen then."""
ALL = (*CASES, *WARMING_CASES)
PRICES = {Unit.INPUT: Decimal(1), Unit.OUTPUT: Decimal(2)}


def written(urls: Mapping[Where, str]) -> str:
    """As TOML, with the addresses of who stands where."""
    return render(
        Catalog(
            version=1,
            policy=Policy(default_layer=DEFAULT_LAYER, deadline_s=DEADLINE_S, **CIRCUITS),
            layers=tuple(Layer(name=name, from_score=0.0) for name in _layers()),
            providers=tuple(_providers(urls)),
        )
    )


def _layers() -> Iterator[str]:
    """In order: the layer above a case's own follows it."""
    yield DEFAULT_LAYER
    for case in ALL:
        yield case.layer
        if case.beside is Beside.NEXT_LAYER:
            yield case.layer_above


def _providers(urls: Mapping[Where, str]) -> Iterator[Provider]:
    kinds = dict.fromkeys([HEALTHY, *(_kind(case) for case in ALL)])
    for where, patience, dialect in kinds:
        models = [_faulty(case) for case in ALL if _kind(case) == (where, patience, dialect)]
        if (where, patience, dialect) == HEALTHY:
            models += [_healthy(case) for case in ALL if case.beside is not Beside.NOTHING]
        yield _provider(where, patience, dialect, url=urls[where], models=models)


def _kind(case: Case) -> tuple[Where, Patience, Dialect]:
    return case.fault.where, case.fault.patience, case.fault.dialect


def _provider(where: Where, patience: Patience, dialect: Dialect, *, url: str, models: Iterable[Model]) -> Provider:
    connect_s, headers_s, first_content_s, between_frames_s = LIMITS_S[patience]
    return Provider(
        slug=f"{where}-{patience}-{dialect}",
        name=f"{where}, {patience}, {dialect}",
        dialect=dialect,
        base_url=url,
        is_local=True,
        needs_credential=dialect == "anthropic",
        credential_env=CREDENTIAL_ENV if dialect == "anthropic" else None,
        connect_timeout_s=connect_s,
        headers_timeout_s=headers_s,
        first_content_timeout_s=first_content_s,
        between_frames_timeout_s=between_frames_s,
        models=tuple(models),
    )


def _faulty(case: Case) -> Model:
    window = WINDOW if case.fault.row is Row.TOO_LONG else None
    return Model(name=case.model, layer=case.layer, priority=0, context_tokens=window, prices=PRICES)


def _healthy(case: Case) -> Model:
    """Behind the other one in its layer, or in the layer above."""
    window = None
    if case.fault.row is Row.TOO_LONG:
        window = LARGER_WINDOW if case.fault.has_larger_behind else WINDOW
    layer = case.layer if case.beside is Beside.SAME_LAYER else case.layer_above
    place = Candidate(layer=layer, priority=1)
    return Model(name=case.healthy_model, context_tokens=window, prices=PRICES, candidates=(place,))
