"""The catalog file: providers, models, prices and layers as one TOML that people read and write.

Owns the format (described at the head of `catalog.toml`), its parsing into frozen values, and the rules a file must
keep (`routing.catalog_mistakes` finds the line of a broken one, `routing.catalog_writing` renders). Pure: knows neither
Django nor the database; what a catalog changes there is `routing.catalog_rows`' business. None means: the file does not
say.
"""

from __future__ import annotations

import re
import tomllib
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from providers import addresses, spelling
from providers.addresses import Refusal
from providers.listed_prices import EXACT_DIGITS, usd_per_unit
from providers.types import Capability, Unit
from routing import catalog_mistakes as mistakes
from routing.catalog_mistakes import CatalogError, Mistake, join, refuse_unknown
from routing.catalog_writing import render
from routing.types import Balancing, UnknownPrice, WhenClientLeaves

__all__ = ["SHIPPED", "Catalog", "CatalogError", "parse", "read", "refuse_missing", "render"]

SHIPPED = Path(__file__).with_name("catalog.toml")
VERSION = 1
FINEST_USD = 14
"""Decimal places of a price for one unit that the database keeps."""


Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]*\Z", max_length=64)]
LayerName = Annotated[str, Meta(pattern=r"^(?!auto\Z)[A-Za-z][A-Za-z0-9_-]*\Z", max_length=64)]
Title = Annotated[str, Meta(max_length=200)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Tokens = Annotated[int, Meta(ge=1, le=2_147_483_647)]
Seconds = Annotated[float, Meta(ge=0.01, le=86_400)]
Deadline = Annotated[float, Meta(ge=0.1, le=3600)]
Attempts = Annotated[int, Meta(ge=1, le=32_767)]
Rank = Annotated[int, Meta(ge=0, le=32_767)]
Prices = Mapping[Unit, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    default_layer: str
    unknown_price: UnknownPrice | None = None
    deadline_s: Deadline | None = None
    max_attempts: Attempts | None = None
    when_client_leaves: WhenClientLeaves | None = None
    balancing: Balancing | None = None
    circuit_min_calls: Annotated[int, Meta(ge=1, le=32_767)] | None = None
    circuit_failure_share: Annotated[float, Meta(ge=0.01, le=1)] | None = None
    circuit_open_s: Annotated[float, Meta(ge=0.1, le=3600)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    name: LayerName
    title: Title | None = None
    from_score: Annotated[float, Meta(ge=0, le=1)]
    max_attempts: Attempts | None = None
    deadline_s: Deadline | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model's place in one layer."""

    layer: str
    priority: Rank | None = None
    weight: Annotated[float, Meta(ge=0.001)] | None = None
    relative_cost: Decimal | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTier:
    """Prices from a number of input tokens on, or from a day on, or both."""

    from_tokens: Annotated[int, Meta(ge=0, le=2_147_483_647)] = 0
    valid_from: datetime | None = None
    prices: Prices


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """USD for one unit; `valid_from` is None for a price that has always held."""

    unit: Unit
    usd_per_unit: Decimal
    from_tokens: int
    valid_from: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    name: Name
    title: Title | None = None
    kind: Literal["chat", "embeddings"] | None = None
    enabled: bool | None = None
    layer: str | None = None
    priority: Rank | None = None
    weight: Annotated[float, Meta(ge=0.001)] | None = None
    relative_cost: Decimal | None = None
    context_tokens: Tokens | None = None
    max_output_tokens: Tokens | None = None
    max_input_tokens_per_file: Tokens | None = None
    reasoning_control: Literal["effort", "budget"] | None = None
    inline_system: bool | None = None
    capabilities: frozenset[Capability] | None = None
    prices: Prices = field(default_factory=dict)
    price_tiers: tuple[PriceTier, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    def places(self) -> tuple[Candidate, ...]:
        """The layers this model stands in, whichever way the file says so."""
        if self.layer is None:
            return self.candidates
        return (
            Candidate(layer=self.layer, priority=self.priority, weight=self.weight, relative_cost=self.relative_cost),
        )

    def price_list(self) -> tuple[ListedPrice, ...]:
        """Every price of the model in USD for one unit, exactly."""
        return tuple(
            ListedPrice(unit, usd_per_unit(unit, usd), tier.from_tokens, tier.valid_from)
            for tier in (PriceTier(prices=self.prices), *self.price_tiers)
            for unit, usd in tier.prices.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    slug: Slug
    name: Name
    dialect: Literal["openai", "anthropic"]
    base_url: Annotated[str, Meta(max_length=500)]
    credential_env: Annotated[str, Meta(max_length=200)] | None = None
    enabled: bool | None = None
    is_local: bool | None = None
    needs_credential: bool | None = None
    max_tokens_field: Literal["", "max_tokens", "max_completion_tokens"] | None = None
    reasoning_field: Literal["", "reasoning", "reasoning_content"] | None = None
    text_as_string: bool | None = None
    usage_in_streams: bool | None = None
    stops_when_left: bool | None = None
    connect_timeout_s: Seconds | None = None
    headers_timeout_s: Seconds | None = None
    first_content_timeout_s: Seconds | None = None
    between_frames_timeout_s: Seconds | None = None
    max_concurrent: Annotated[int, Meta(ge=1, le=2_147_483_647)] | None = None
    max_queued: Annotated[int, Meta(ge=0, le=2_147_483_647)] | None = None
    extra_body: Mapping[str, Any] | None = None
    models: tuple[Model, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Without a policy or layers of its own it speaks of those of the database: `refuse_missing`."""

    version: int
    policy: Policy | None = None
    layers: tuple[Layer, ...] = ()
    providers: tuple[Provider, ...] = ()


def read(path: Path) -> Catalog:
    """Raises: CatalogError, OSError."""
    try:
        return parse(path.read_text(encoding="utf-8"), source=path.name)
    except UnicodeDecodeError as error:
        raise CatalogError("not a UTF-8 text file", source=path.name) from error


def parse(text: str, *, source: str) -> Catalog:
    """The catalog in `text`; `source` is what an error calls it.

    Raises: CatalogError, for the first mistake found.
    """
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise mistakes.in_syntax(error, text=text, source=source) from error
    try:
        _refuse_unknown_names(document, Catalog, path="")
        catalog = _convert(document)
        _refuse_contradictions(catalog)
    except Mistake as mistake:
        raise mistakes.located(mistake, document=document, text=text, source=source) from mistake
    return catalog


def refuse_missing(catalog: Catalog, *, layers: Collection[str], has_policy: bool) -> None:
    """Holds what a file leaves out against the database: `layers` are the names there and in the file.

    Raises: CatalogError.
    """
    wanted = {"[policy]": has_policy or catalog.policy is not None, "[[layers]]": bool(layers)}
    if missing := [name for name, is_there in wanted.items() if not is_there]:
        says = f"neither it nor the database has {' and '.join(missing)}: load the catalog that ships with the gateway "
        says += "first (`manage.py catalog load`), or copy them from routing/catalog.toml"
        raise CatalogError(says, source="the file")
    where = ""
    try:
        if catalog.policy is not None:
            refuse_unknown(catalog.policy.default_layer, layers, noun="layer", path="")
        for provider in catalog.providers:
            for model in provider.models:
                where = f'provider "{provider.slug}", model "{model.name}": '
                _refuse_unknown_layers(model, layers=layers, path="")
    except Mistake as mistake:
        raise CatalogError(f"{where}{mistake.message}", source="the file") from mistake


# -- what can be wrong -------------------------------------------------------------------------------------------------


NOUNS = {"capabilities": "capability", "prices": "price"}


def _refuse_unknown_names(value: object, kind: Any, *, path: str) -> None:
    """Walks `value` beside the type it should have; a key or a word that the type does not know is a mistake.

    Values of another shape than their type's are left for `_convert` to refuse.
    """
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(part for part in typing.get_args(kind) if part is not types.NoneType)
    of, parts = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind) and isinstance(value, dict):
        known = typing.get_type_hints(kind)
        for key, inner in value.items():
            refuse_unknown(key, known, noun="key", path=join(path, key))
            _refuse_unknown_names(inner, known[key], path=join(path, key))
    elif of in (tuple, frozenset) and isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_unknown_names(inner, parts[0], path=f"{path}[{index}]")
    elif of is Mapping and isinstance(value, dict) and parts[0] is Unit:
        for key in value:
            refuse_unknown(key, list(Unit), noun=_noun(path), path=join(path, key))
    elif isinstance(value, str) and (words := _words(kind)):
        refuse_unknown(value, words, noun=_noun(path), path=path)


def _words(kind: Any) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [member.value for member in kind]
    return list(typing.get_args(kind)) if typing.get_origin(kind) is Literal else []


def _noun(path: str) -> str:
    key = path.rpartition(".")[2].partition("[")[0]
    return NOUNS.get(key, key)


TABLES = ("providers", "models", "layers", "policy", "price_tiers", "candidates")
MSGSPEC_TEXT = re.compile(r"^(?:Object )?(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)


def _convert(document: dict[str, Any]) -> Catalog:
    try:
        return msgspec.convert(_plain(document), Catalog)
    except msgspec.ValidationError as error:
        match = MSGSPEC_TEXT.match(str(error))
        path, what = ((match["path"] or "").replace("[...]", ""), match["what"]) if match else ("", str(error))
        key = path.rpartition(".")[2].partition("[")[0]
        raise Mistake(path, what if key in ("", *TABLES) else f"{key}: {what}") from error


def _plain(value: Any) -> Any:
    """Days become midnight UTC, and the free-form `extra_body` plain JSON."""
    if isinstance(value, dict):
        return {key: _json(inner) if key == "extra_body" else _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), tzinfo=UTC)
    return value


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_json(inner) for inner in value]
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date | time) else value


def _refuse_contradictions(catalog: Catalog) -> None:
    """Everything that the shape of a single value cannot show."""
    if catalog.version != VERSION:
        raise Mistake("version", f"version {catalog.version} is not known here, only {VERSION}")
    layers = [layer.name for layer in catalog.layers]
    _refuse_twice(layers, path="layers", noun="layer")
    _refuse_twice([provider.slug for provider in catalog.providers], path="providers", noun="provider")
    for index, (lower, layer) in enumerate(zip(catalog.layers, catalog.layers[1:], strict=False), start=1):
        if layer.from_score < lower.from_score:
            below = f"from_score {layer.from_score} is below {lower.from_score} of the cheaper layer"
            raise Mistake(f"layers[{index}].from_score", f'{below} "{lower.name}"')
    if layers and catalog.policy is not None:
        refuse_unknown(catalog.policy.default_layer, layers, noun="layer", path="policy.default_layer")
    for index, provider in enumerate(catalog.providers):
        _check_provider(provider, layers=layers, path=f"providers[{index}]")


IS_LOCAL = " (is_local = true)"


def _check_provider(provider: Provider, *, layers: Collection[str], path: str) -> None:
    if says := spelling.slug_mistake(provider.slug):
        raise Mistake(f"{path}.slug", f"slug: {says}")
    if says := spelling.base_url_mistake(provider.base_url):
        raise Mistake(f"{path}.base_url", f"base_url: {says}")
    if refusal := addresses.mistake_of_url(provider.base_url, is_local=provider.is_local or False):
        raise Mistake(f"{path}.base_url", f"base_url: {refusal}{IS_LOCAL if refusal is Refusal.PRIVATE else ''}")
    if provider.credential_env is not None and (says := spelling.env_var_mistake(provider.credential_env)):
        raise Mistake(f"{path}.credential_env", f"credential_env: {says}")
    if says := spelling.extra_body_mistake(provider.extra_body or {}):
        raise Mistake(f"{path}.extra_body", f"extra_body: {says}")
    _refuse_twice([model.name for model in provider.models], path=f"{path}.models", noun="model")
    for index, model in enumerate(provider.models):
        _check_places(model, path=f"{path}.models[{index}]")
        if layers:
            _refuse_unknown_layers(model, layers=layers, path=f"{path}.models[{index}]")
        _check_prices(model, path=f"{path}.models[{index}]")


def _refuse_unknown_layers(model: Model, *, layers: Collection[str], path: str) -> None:
    if model.layer is not None:
        refuse_unknown(model.layer, layers, noun="layer", path=f"{path}.layer")
    for index, place in enumerate(model.candidates):
        refuse_unknown(place.layer, layers, noun="layer", path=f"{path}.candidates[{index}].layer")


def _check_places(model: Model, *, path: str) -> None:
    if model.layer is not None:
        if model.candidates:
            raise Mistake(f"{path}.candidates", "says both layer and candidates; keep one of them")
    elif (model.priority, model.weight, model.relative_cost) != (None, None, None):
        raise Mistake(path, "priority, weight and relative_cost need a layer")
    _refuse_twice([place.layer for place in model.candidates], path=f"{path}.candidates", noun="layer")
    for place in model.places():
        cost = place.relative_cost
        if cost is not None and (not cost.is_finite() or cost < 0 or _is_too_fine(cost, places=10)):
            raise Mistake(f"{path}.relative_cost", f"relative_cost {cost} is negative or has more than 10 decimals")


def _check_prices(model: Model, *, path: str) -> None:
    seen: set[tuple[Unit, int, datetime | None]] = set()
    tiers = [("", PriceTier(prices=model.prices))]
    tiers += [(f"price_tiers[{index}].", tier) for index, tier in enumerate(model.price_tiers)]
    for prefix, tier in tiers:
        for unit, listed in tier.prices.items():
            at = f"{path}.{prefix}prices.{unit}"
            if not listed.is_finite() or listed < 0:
                raise Mistake(at, f"the {unit} price is {listed}; a price is a number, zero or more")
            if _is_too_fine(usd_per_unit(unit, listed), places=FINEST_USD):
                raise Mistake(at, f"the {unit} price {listed} has more digits than can be kept exactly")
            key = (unit, tier.from_tokens, tier.valid_from)
            if key in seen:
                raise Mistake(at, f"the {unit} price from {tier.from_tokens} tokens on is given twice")
            seen.add(key)


def _is_too_fine(number: Decimal, *, places: int) -> bool:
    exact = number.normalize()
    digits, exponent = exact.as_tuple()[1:]
    # Six digits before the point at the most: the column has twenty in all.
    return -int(exponent) > places or len(digits) > EXACT_DIGITS or exact.adjusted() >= 20 - FINEST_USD


def _refuse_twice(names: Iterable[str], *, path: str, noun: str) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            raise Mistake(f"{path}[{index}]", f'{noun} "{name}" is there twice')
        seen.add(name)
