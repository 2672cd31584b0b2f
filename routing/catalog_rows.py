"""Brings a catalog into the database, and says what that would change (`routing.catalog_dump` is the way back).

Rows that the catalog does not name are left alone; nothing is ever deleted. Of a row that exists, facts are brought up
to date (`*_FACTS`) and what an operator decides is kept (`*_CHOICES`: switches, addresses, places in layers), so that
loading twice writes nothing the second time. A changed price becomes a new price from now on: history stays. Secrets
never pass through here, only names of environment variables.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from analytics import audit
from providers import models as vendors
from providers.types import Capability, Unit
from routing import models as tables
from routing import price_rows
from routing.catalog import Catalog, ListedPrice, Model, Provider, refuse_missing
from routing.price_rows import PriceList

LAYER_FACTS = ("title",)
LAYER_CHOICES = ("from_score", "max_attempts", "deadline_s", "enabled")
POLICY_CHOICES = (
    "unknown_price",
    "deadline_s",
    "max_attempts",
    "when_client_leaves",
    "balancing",
    "circuit_min_calls",
    "circuit_failure_share",
    "circuit_open_s",
)
PROVIDER_FACTS = ("name", "dialect", "max_tokens_field", "reasoning_field", "text_as_string", "usage_in_streams")
PROVIDER_CHOICES = (
    "base_url",
    "is_local",
    "needs_credential",
    "enabled",
    "stops_when_left",
    "extra_body",
    "connect_timeout_s",
    "headers_timeout_s",
    "first_content_timeout_s",
    "between_frames_timeout_s",
    "max_concurrent",
    "max_queued",
)
MODEL_FACTS = (
    "title",
    "kind",
    "context_tokens",
    "max_output_tokens",
    "max_input_tokens_per_file",
    "reasoning_control",
    "inline_system",
)
MODEL_CHOICES = ("enabled",)
CANDIDATE_CHOICES = ("priority", "weight", "relative_cost", "enabled")


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"
    """The database differs and stays as it is: the choice is the operator's."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row made, one field brought up to date, or one difference left as it is. Values as people read them."""

    action: Action
    kind: str
    target: str
    field: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Diff:
    changes: tuple[Change, ...]

    @property
    def to_write(self) -> tuple[Change, ...]:
        """What a load writes; empty when the catalog is already in the database."""
        return tuple(change for change in self.changes if change.action is not Action.KEEP)


def diff(wanted: Catalog) -> Diff:
    """What `load` would change and what it would keep. Writes nothing; a fixed number of queries.

    Raises: CatalogError for what the catalog leaves out and the database does not have.
    """
    return Diff(tuple(_compare(wanted).changes))


def load(wanted: Catalog, *, actor: str) -> Diff:
    """Makes and updates rows, all or none, and leaves one audit entry when anything changed.

    Raises: CatalogError, as `diff` does.
    """
    with one_at_a_time():
        done = _write(_compare(wanted))
        _record(done, "catalog.loaded", actor=actor)
    return done


def diff_models(slug: str, wanted: Iterable[Model]) -> Diff:
    """`diff` for some models of one provider that is there, whatever the rest of a catalog would say."""
    return Diff(tuple(_compare_models(slug, wanted).changes))


def load_models(slug: str, wanted: Iterable[Model], *, actor: str) -> Diff:
    """`load` for some models of one provider that is there."""
    with one_at_a_time():
        done = _write(_compare_models(slug, wanted))
        _record(done, "models.synced", actor=actor, target=slug)
    return done


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """A transaction in which nobody else writes configuration: whoever does needs these rows (triggers)."""
    with transaction.atomic():
        list(vendors.ConfigVersion.objects.select_for_update().order_by("group"))
        yield


def _write(comparison: _Comparison) -> Diff:
    with audit.told_here():
        for row, names in comparison.writes:
            row.save(update_fields=names)
    return Diff(tuple(comparison.changes))


def _record(done: Diff, action: str, *, actor: str, target: str = "") -> None:
    if not done.to_write:
        return
    # Updates one by one, new rows by their number.
    updates = {
        f"{change.kind} {change.target} {change.field}".rstrip(): change
        for change in done.changes
        if change.action is Action.UPDATE
    }
    before = {name: change.before for name, change in updates.items()}
    after: dict[str, Any] = {name: change.after for name, change in updates.items()}
    created = Counter(change.kind for change in done.changes if change.action is Action.CREATE)
    audit.record(action, actor=actor, target=target, before=before, after=after | {"created": dict(created)})


# -- comparing ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Comparison:
    """Changes, and the rows to save for them, in an order that the foreign keys and unique columns allow."""

    now: datetime
    changes: list[Change] = field(default_factory=list)
    writes: list[tuple[models.Model, list[str] | None]] = field(default_factory=list)

    def compare(
        self, row: models.Model, kind: str, target: str, *, facts: Mapping[str, Any], choices: Mapping[str, Any]
    ) -> None:
        """A new row takes everything; an existing one takes the facts and keeps its own choices."""
        if _is_new(row):
            self.create(row, kind, target, values={**facts, **choices})
            return
        self.update(row, kind, target, values=facts)
        for name, value in choices.items():
            if getattr(row, name) != value:
                self.changes.append(Change(Action.KEEP, kind, target, name, _words(getattr(row, name)), _words(value)))

    def create(self, row: models.Model, kind: str, target: str, *, values: Mapping[str, Any], after: str = "") -> None:
        for name, value in values.items():
            setattr(row, name, value)
        self.writes.append((row, None))
        self.changes.append(Change(Action.CREATE, kind, target, after=after))

    def update(self, row: models.Model, kind: str, target: str, *, values: Mapping[str, Any]) -> None:
        changed = [name for name, value in values.items() if getattr(row, name) != value]
        for name in changed:
            before, after = _words(getattr(row, name)), _words(values[name])
            self.changes.append(Change(Action.UPDATE, kind, target, name, before, after))
            setattr(row, name, values[name])
        if changed:
            self.writes.append((row, [*changed, *(["updated_at"] if hasattr(row, "updated_at") else [])]))


def _compare(wanted: Catalog) -> _Comparison:
    into = _Comparison(timezone.now())
    policy = tables.Policy.objects.select_related("default_layer").first()
    layers = _layers(wanted, into=into)
    refuse_missing(wanted, layers=layers, has_policy=policy is not None)
    _policy(wanted, row=policy or tables.Policy(), layers=layers, into=into)
    slugs = [provider.slug for provider in wanted.providers]
    known = {row.slug: row for row in with_related(vendors.Provider.objects.filter(slug__in=slugs))}
    for provider in wanted.providers:
        row = known.get(provider.slug) or vendors.Provider(slug=provider.slug)
        facts, choices = _said(provider, PROVIDER_FACTS), _said(provider, PROVIDER_CHOICES)
        into.compare(row, "provider", provider.slug, facts=facts, choices=choices)
        _credential(provider, row=row, into=into)
        _models(provider.models, row=row, layers=layers, into=into)
    return into


def _compare_models(slug: str, wanted: Iterable[Model]) -> _Comparison:
    into = _Comparison(timezone.now())
    layers = {row.name: row for row in tables.Layer.objects.all()}
    row = with_related(vendors.Provider.objects.filter(slug=slug)).get()
    _models(wanted, row=row, layers=layers, into=into)
    return into


def _models(
    wanted: Iterable[Model], *, row: vendors.Provider, layers: Mapping[str, tables.Layer], into: _Comparison
) -> None:
    held = {model.name: model for model in _related(row, "models")}
    for model in wanted:
        model_row = held.get(model.name) or vendors.Model(provider=row, name=model.name)
        _model(model, row=model_row, layers=layers, into=into)


def _layers(wanted: Catalog, *, into: _Comparison) -> dict[str, tables.Layer]:
    """A new layer comes right after the one before it in the file; the others keep their order and move up."""
    ordered = list(tables.Layer.objects.order_by("position"))
    rows = {row.name: row for row in ordered}
    place = 0
    for layer in wanted.layers:
        if layer.name not in rows:
            rows[layer.name] = tables.Layer(name=layer.name)
            ordered.insert(place, rows[layer.name])
        place = ordered.index(rows[layer.name]) + 1
    _number(ordered, into=into)
    for layer in wanted.layers:
        facts, choices = _said(layer, LAYER_FACTS), _said(layer, LAYER_CHOICES)
        into.compare(rows[layer.name], "layer", layer.name, facts=facts, choices=choices)
    return rows


def _number(ordered: Sequence[tables.Layer], *, into: _Comparison) -> None:
    """Numbers new layers, and moves an existing one up only where its number is taken."""
    moved: list[tuple[tables.Layer, int]] = []
    last = -1
    for row in ordered:
        if _is_new(row):
            row.position = last + 1
        elif row.position <= last:
            moved.append((row, last + 1))
        last = max(last + 1, row.position)
    for row, position in reversed(moved):  # highest first: positions are unique at every moment
        into.update(row, "layer", row.name, values={"position": position})


def _policy(wanted: Catalog, *, row: tables.Policy, layers: Mapping[str, tables.Layer], into: _Comparison) -> None:
    if wanted.policy is None:
        return
    choices = {"default_layer": layers[wanted.policy.default_layer]} | _said(wanted.policy, POLICY_CHOICES)
    into.compare(row, "policy", "policy", facts={}, choices=choices)


def _credential(provider: Provider, *, row: vendors.Provider, into: _Comparison) -> None:
    if provider.credential_env is None:
        return
    held = [credential.env_var or "a stored value" for credential in _related(row, "credentials")]
    if not held:
        new = vendors.Credential(provider=row, env_var=provider.credential_env)
        into.create(new, "credential", provider.slug, values={}, after=provider.credential_env)
    elif provider.credential_env not in held:
        before, after = ", ".join(held), provider.credential_env
        into.changes.append(Change(Action.KEEP, "credential", provider.slug, "env_var", before, after))


def _model(model: Model, *, row: vendors.Model, layers: Mapping[str, tables.Layer], into: _Comparison) -> None:
    target = str(row)
    facts = _said(model, MODEL_FACTS)
    if model.capabilities is not None:
        facts |= {capability.value: capability in model.capabilities for capability in Capability}
    into.compare(row, "model", target, facts=facts, choices=_said(model, MODEL_CHOICES))
    _prices(model.price_list(), row=row, into=into)
    held = {candidate.layer.name: candidate for candidate in _related(row, "candidates")}
    for place in model.places():
        choices = _said(place, CANDIDATE_CHOICES)
        candidate = held.get(place.layer)
        if candidate is not None:
            into.compare(candidate, "candidate", f"{target} in {place.layer}", facts={}, choices=choices)
        elif held:
            into.changes.append(Change(Action.KEEP, "candidate", target, "layer", ", ".join(held), place.layer))
        else:
            new = tables.Candidate(layer=layers[place.layer], model=row)
            into.create(new, "candidate", f"{target} in {place.layer}", values=choices)


# -- prices ------------------------------------------------------------------------------------------------------------


def _prices(listed: Iterable[ListedPrice], *, row: vendors.Model, into: _Comparison) -> None:
    wanted: dict[Unit, PriceList] = {}
    for price in listed:
        key = (price.valid_from or vendors.FIRST_DAY, price.from_tokens)
        wanted.setdefault(price.unit, {})[key] = price.usd_per_unit
    held = list(_related(row, "prices"))
    for unit, prices in wanted.items():
        found = price_rows.compare(unit, wanted=prices, held=held, model=row, now=into.now)
        into.writes.extend(found.writes)
        for step in found.steps:
            target = f"{row} {step.what}" + (f" from {step.day}" if step.day else "")
            action = Action.CREATE if step.before is None else Action.UPDATE
            before, after = price_rows.in_words(unit, step.before), price_rows.in_words(unit, step.after)
            into.changes.append(Change(action, "price", target, "usd", before, after))


# -- rows --------------------------------------------------------------------------------------------------------------


def with_related(rows: models.QuerySet[vendors.Provider]) -> models.QuerySet[vendors.Provider]:
    return rows.prefetch_related("credentials", "models__provider", "models__prices", "models__candidates__layer")


def _is_new(row: models.Model) -> bool:
    return row._state.adding


def _related(row: models.Model, name: str) -> list[Any]:
    return [] if _is_new(row) else list(getattr(row, name).all())


def _said(part: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(part, name)) is not None}


def _words(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tables.Layer):
        return value.name
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(value) if isinstance(value, bool | dict) else str(value)
