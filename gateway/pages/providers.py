"""`/admin/providers/`: who is called, how they are and were over the last day; and one more added."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics import visibility
from analytics.authority import Authority
from analytics.queries.filters import Filters
from gateway import provider_listing, usage_asking, vendor_figures
from gateway.pages import acting, sparkline
from gateway.pages.acting import Outcome
from gateway.pages.provider_forms import NewForm
from gateway.pages.sparkline import Sparkline
from gateway.usage_asking import Asker
from gateway.vendor_figures import Figures
from providers.models import Provider
from routing import health_listing, snapshot, vendor_rows
from routing.circuit import State
from routing.health_listing import ModelHealth
from routing.snapshot import SnapshotError

KEYS = {"set": "key set", "missing": "key missing", "unreadable": "key unreadable", "not_needed": "no key needed"}


class Line(msgspec.Struct, frozen=True):
    """A provider as the list has it."""

    row: Provider
    key: str
    key_is_well: bool
    model_count: int
    out: tuple[str, ...]
    """Names of its models that are out of order."""
    figures: Figures | None
    """None: nobody asked it."""
    sparkline: Sparkline | None


def page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found = acting.signed_in(request, "providers.view_provider")
    told = {
        **context,
        "title": "Providers",
        "lines": _lines(visibility.reach_of_user(request.user)),
        "may_add": found.may("providers.add_provider"),
    }
    return TemplateResponse(request, "gateway/providers.html", told)


def new_page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found = acting.signed_in(request, "providers.add_provider")
    outcome = acting.outcome_of(request, {"add": ("providers.add_provider", _add)}, found)
    told = {**context, "title": "A provider more", "form": outcome.shown or NewForm()}
    return acting.answered(request, "gateway/providers/new.html", told, outcome)


def key_words(row: Provider) -> tuple[str, bool]:
    """How its credential stands, and whether it is as it should be. `row` is out of `provider_listing.rows`."""
    stands = provider_listing.credential_json(row)
    state = stands["state"]
    words = KEYS[state]
    if state == "set" and stands["last_four"]:
        words += f", ends in {stands['last_four']}"
    if stands["env_var"]:
        words += f": {stands['env_var']} is not set" if state == "missing" else f", from {stands['env_var']}"
    return words, state in ("set", "not_needed")


def health() -> list[ModelHealth]:
    """Of each model once; nothing while there is no configuration."""
    try:
        found = health_listing.models(snapshot.current(), caller=None)
    except SnapshotError:
        return []
    return list({one.candidate.model.id: one for one in found}.values())


def figures_within(reach: Filters) -> Mapping[str, Figures]:
    zone = usage_asking.zone(None, asked=reach, asker=Asker(reach))
    return vendor_figures.of_last_day(reach, zone=zone, now=datetime.now(UTC))


def _lines(reach: Filters) -> list[Line]:
    figures, out = figures_within(reach), _out_of_order()
    return [_line(row, figures.get(row.slug), out.get(row.slug, ())) for row in provider_listing.rows()]


def _line(row: Provider, figures: Figures | None, out: tuple[str, ...]) -> Line:
    key, is_well = key_words(row)
    return Line(
        row=row,
        key=key,
        key_is_well=is_well,
        model_count=row.model_count,  # type: ignore[attr-defined]  # annotated
        out=out,
        figures=figures,
        sparkline=None if figures is None else sparkline.of(figures.parts),
    )


def _out_of_order() -> dict[str, tuple[str, ...]]:
    """By the provider's slug."""
    found: dict[str, tuple[str, ...]] = {}
    for one in health():
        if one.circuit.state is not State.CLOSED:
            model = one.candidate.model
            found[model.provider.slug] = (*found.get(model.provider.slug, ()), model.name)
    return found


def _add(sent: QueryDict, found: Authority) -> Outcome:
    form = NewForm(sent)
    if not form.is_valid():
        return acting.refused(form)
    given = form.cleaned_data | {"name": form.cleaned_data["name"] or form.cleaned_data["slug"]}
    try:
        row = vendor_rows.create(actor=found.actor, **given)
    except ValidationError as error:
        acting.put_into(form, error)
        return acting.refused(form)
    said = f"The provider {row.slug} is there: give it a key where it needs one, and test the connection."
    return Outcome(said=said, goes_to=reverse("admin:provider", args=[row.slug]))
