"""Models as rows, by their whole name `provider/name`: made, changed, deleted. Prices are `routing.price_setting`'s."""

from __future__ import annotations

from collections.abc import Mapping

from django.core.exceptions import ValidationError
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Concat

from providers.models import Model, Provider
from routing import configuring
from routing.configuring import InUse
from routing.models import Candidate

EDITABLE = (
    "title",
    "kind",
    "enabled",
    "context_tokens",
    "max_output_tokens",
    "max_input_tokens_per_file",
    "tools",
    "vision",
    "json_schema",
    "audio",
    "reasoning",
    "reasoning_control",
    "inline_system",
)
_STANDS = "This stands in the ledger and cannot be changed: make another model."
FIXED = {"provider": _STANDS, "name": _STANDS}
RESERVED = frozenset({"layers"})
"""Names of models that are other addresses below `/v1/models/`."""


def named() -> QuerySet[Model]:
    """All of them with their whole names as `full_name`."""
    rows = Model.objects.select_related("provider")
    return rows.annotate(full_name=Concat(F("provider__slug"), Value("/"), F("name")))


def find(full_name: str) -> Model | None:
    """The model called `provider/name`. Names hold slashes, providers' slugs do not."""
    if "\0" in full_name:
        return None  # PostgreSQL would raise
    slug, _, name = full_name.partition("/")
    return Model.objects.select_related("provider").filter(provider__slug=slug, name=name).first()


def called(name: str) -> list[Model]:
    """The model of this whole name, else those of this name at any provider."""
    if (row := find(name)) is not None:
        return [row]
    rows = Model.objects.select_related("provider").order_by("provider__slug")
    return [] if "\0" in name else list(rows.filter(name=name))


def create(*, actor: str, provider: Provider | None, name: str, **fields: object) -> Model:
    """Raises: ValidationError naming the fields; Provider.DoesNotExist."""
    if provider is None:
        raise ValidationError({"provider": ["Name the provider by its slug."]})
    if name in RESERVED:
        raise ValidationError({"name": [f"{name!r} is an address of its own at /v1/models/{name}."]})
    row = Model()
    with configuring.changing(actor):
        at = Provider.objects.get(pk=provider.pk)
        if Model.objects.filter(provider=at, name=name).exists():
            raise ValidationError({"name": [f"{at.slug} has a model {name!r} already."]})
        _refuse_zero(fields)
        values = {**fields, "provider": at, "name": name}
        configuring.put(row, values, allowed=("provider", "name", *EDITABLE), fixed={})
    return row


def edit(row: Model, *, actor: str, changes: Mapping[str, object]) -> Model:
    """The row with `changes`, as it is then. Raises: ValidationError naming the fields; Model.DoesNotExist."""
    with configuring.changing(actor):
        fresh = Model.objects.select_related("provider").get(pk=row.pk)
        _refuse_zero(changes)
        configuring.put(fresh, changes, allowed=EDITABLE, fixed=FIXED)
    return fresh


def delete(row: Model, *, actor: str, with_candidates: bool = False) -> None:
    """Deletes it with its prices; out of the layers too `with_candidates` alone.

    Raises: InUse while layers hold it; Model.DoesNotExist.
    """
    with configuring.changing(actor):
        fresh = Model.objects.select_related("provider").get(pk=row.pk)
        layers = Candidate.objects.filter(model=fresh).order_by("layer__position").values_list("layer__name", flat=True)
        if not with_candidates and (names := list(layers)):
            words = f"{fresh} stands in {configuring.listed(names)}. Take it out first."
            raise InUse(words, code="model_in_use")
        fresh.delete()


def _refuse_zero(values: Mapping[str, object]) -> None:
    """The columns take 0, and say of it what only the database's own people understand."""
    if wrong := [name for name in ("context_tokens", "max_output_tokens") if values.get(name) == 0]:
        raise ValidationError({name: ["Use 1 or more; null where it is not known."] for name in wrong})
