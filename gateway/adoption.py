"""Turns what discovery found into rows: providers enabled, models added, layers that would stay empty filled.

Does each thing once and says so in the audit trail; afterwards the switch is the operator's. Rows that exist are never
changed or removed, except that the embedded model's address follows LOCAL_MODEL_PORT.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from analytics import audit
from analytics.models import AuditEntry
from gateway import describing
from gateway.describing import Described
from gateway.discovery import Finding, FoundModel, State
from providers import embedded
from providers.models import Kind, Model, Price, Provider
from providers.types import Unit
from routing import catalog
from routing.models import Candidate, Layer

LAST_RESORT = 99
"""Priority of a free model in a layer above its own: tried after everything the operator puts there."""


class Embedded(StrEnum):
    """What became of the embedded model."""

    NOT_NEEDED = "not needed"
    ENABLED = "enabled"
    NOT_INSTALLED = "not installed"
    SWITCHED_OFF = "switched off"


def adopt(findings: Iterable[Finding], *, actor: str) -> Embedded:
    """Writes what was found, in one transaction, and falls back on the embedded model where nothing free answered."""
    found = [finding for finding in findings if finding.state is State.FOUND]
    answering = {finding.slug for finding in found}
    described = describing.describe(found)
    with transaction.atomic(), audit.acting(actor):
        for finding in found:
            _adopt_provider(finding, described=described, actor=actor)
        layers = list(Layer.objects.filter(enabled=True).order_by("position"))
        needed = not layers or not _usable(layers[0], slugs=answering).exists()
        outcome = _enable_embedded(actor=actor) if needed else Embedded.NOT_NEEDED
        if outcome is Embedded.ENABLED:
            answering.add(embedded.SLUG)
        _fill(layers, slugs=answering, actor=actor)
    return outcome


def embedded_port() -> int | None:
    """The port that the embedded model's provider points at; None when it is not enabled."""
    row = Provider.objects.filter(slug=embedded.SLUG, enabled=True).first()
    return urlsplit(row.base_url).port if row else None


def place_embedded(*, actor: str) -> int | None:
    """The embedded model's port when its provider is enabled. Where LOCAL_MODEL_PORT says another one than its row and
    nobody answers at the old one, the row follows: for who runs the model for long, not for a passing command."""
    found, wanted = embedded_port(), int(settings.LOCAL_MODEL_PORT)
    if found in (None, wanted) or (found is not None and embedded.answers(found)):
        return found
    url = f"http://127.0.0.1:{wanted}/v1"
    with transaction.atomic():
        Provider.objects.filter(slug=embedded.SLUG).update(base_url=url)
        audit.record(
            "provider.moved", actor=actor, target=embedded.SLUG, before={"port": found}, after={"port": wanted}
        )
    return wanted


def _adopt_provider(finding: Finding, *, described: Described, actor: str) -> None:
    provider = Provider.objects.get(slug=finding.slug)
    _enable_once(provider, actor=actor)
    if finding.is_local and provider.enabled:
        for model in finding.models:
            _add_model(provider, found=model, told=described.get((provider.slug, model.name)))


def _enable_embedded(*, actor: str) -> Embedded:
    if not embedded.is_installed():
        return Embedded.NOT_INSTALLED
    provider = Provider.objects.filter(slug=embedded.SLUG).first()
    if provider is None:
        return Embedded.SWITCHED_OFF
    _enable_once(provider, actor=actor)
    return Embedded.ENABLED if provider.enabled else Embedded.SWITCHED_OFF


def _enable_once(provider: Provider, *, actor: str) -> None:
    if _is_first_time("provider.discovered", provider.slug, actor=actor) and not provider.enabled:
        provider.enabled = True
        provider.save(update_fields=["enabled", "updated_at"])


def _add_model(provider: Provider, *, found: FoundModel, told: catalog.Model | None) -> None:
    """The model, free of charge, as a candidate of the first layer; nothing when its row is there already."""
    defaults = _facts(found, told=told)
    model, is_new = Model.objects.get_or_create(provider=provider, name=found.name, defaults=defaults)
    if not is_new:
        return
    for unit in (Unit.INPUT, Unit.OUTPUT):
        Price.objects.create(model=model, unit=unit.value, usd_per_unit=Decimal(0))
    layer = Layer.objects.filter(enabled=True).order_by("position").first()
    if layer is not None:
        Candidate.objects.create(layer=layer, model=model)


def _facts(found: FoundModel, *, told: catalog.Model | None) -> dict[str, Any]:
    """What its server says of the model, as columns."""
    if told is None:
        return {"context_tokens": found.context_tokens}
    return {
        "context_tokens": found.context_tokens or told.context_tokens,
        "max_output_tokens": told.max_output_tokens,
        **{capability.value: True for capability in told.capabilities or ()},
    }


def _fill(layers: list[Layer], *, slugs: set[str], actor: str) -> None:
    """Puts the free models last into each higher layer that has nothing else to answer with.

    Requests enter at the layer they look hard enough for and never move down: without this, an installation that has
    only free models would refuse all but the easiest.
    """
    if not layers:
        return
    free = [candidate.model for candidate in _usable(layers[0], slugs=slugs).select_related("model__provider")]
    for layer in layers[1:]:
        if _usable(layer, slugs=slugs).exclude(model__in=free).exists():
            continue
        for model in free:
            if _is_first_time("layer.filled", f"{layer.name}: {model}", actor=actor):
                with audit.told_here():
                    Candidate.objects.get_or_create(layer=layer, model=model, defaults={"priority": LAST_RESORT})


def _usable(layer: Layer, *, slugs: set[str]) -> QuerySet[Candidate]:
    """The layer's enabled candidates at providers that answered."""
    return Candidate.objects.filter(
        layer=layer,
        enabled=True,
        model__enabled=True,
        model__kind=Kind.CHAT,
        model__provider__enabled=True,
        model__provider__slug__in=slugs,
    )


def _is_first_time(action: str, target: str, *, actor: str) -> bool:
    """Whether this was never done before; the entry that says so is written along."""
    if AuditEntry.objects.filter(action=action, target=target).exists():
        return False
    audit.record(action, actor=actor, target=target)
    return True
