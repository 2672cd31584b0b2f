"""`/admin/providers/<slug>/`: one provider's settings, key, connection, circuits and end.

Its key goes in and never comes out: no form is filled with what was sent, no refusal says it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from analytics import audit, visibility
from analytics.authority import Authority
from gateway import checking, provider_listing
from gateway.checking import Check
from gateway.pages import acting, providers, sparkline
from gateway.pages.acting import Outcome
from gateway.pages.provider_forms import SettingsForm
from providers.models import Model, Provider
from routing import health_listing, model_rows, snapshot, vendor_rows
from routing.configuring import ConfigurationProblem
from routing.decision import UnknownModel
from routing.models import Candidate

NAMED = 8
"""Models and places that a deletion names; the others are counted."""


def page(request: HttpRequest, context: Mapping[str, Any], slug: str) -> HttpResponse:
    """Raises: PermissionDenied, Http404."""
    found = acting.signed_in(request, "providers.view_provider")
    row = _row(slug)
    outcome = acting.outcome_of(request, _ACTS, found, row)
    if not outcome.goes_to:
        row = _row(slug)
    told = {
        **context,
        "title": f"Provider {slug}",
        "row": row,
        "form": outcome.shown if isinstance(outcome.shown, SettingsForm) else SettingsForm(instance=row),
        "check": outcome.shown if isinstance(outcome.shown, Check) else None,
        "may": {name.partition(".")[2]: found.may(name) for name, _ in _ACTS.values()},
        "health": [one for one in providers.health() if one.candidate.model.provider.slug == slug],
        **_key(row),
        **_last_day(request, slug),
        **_goes_with_it(row),
    }
    return acting.answered(request, "gateway/provider.html", told, outcome)


def _row(slug: str) -> Provider:
    row = provider_listing.rows().filter(slug=slug).first() if "\0" not in slug else None  # PostgreSQL would raise
    if row is None:
        raise Http404(f"There is no provider {slug!r}.")
    return row


def _key(row: Provider) -> dict[str, Any]:
    words, is_well = providers.key_words(row)
    return {"key": words, "key_is_well": is_well, "has_key": bool(row.credentials.all())}


def _last_day(request: HttpRequest, slug: str) -> dict[str, Any]:
    figures = providers.figures_within(visibility.reach_of_user(request.user)).get(slug)
    return {"figures": figures, "sparkline": None if figures is None else sparkline.of(figures.parts)}


def _goes_with_it(row: Provider) -> dict[str, Any]:
    """What a deletion takes along."""
    models = list(Model.objects.filter(provider=row).order_by("name").values_list("name", flat=True)[: NAMED + 1])
    places = Candidate.objects.filter(model__provider=row).select_related("layer", "model")
    held = [f"{one.model.name} in {one.layer.name}" for one in places.order_by("layer__position", "priority")]
    return {
        "models": models[:NAMED],
        "more_models": max(row.model_count - NAMED, 0),  # type: ignore[attr-defined]  # annotated
        "places": held[:NAMED],
        "more_places": max(len(held) - NAMED, 0),
    }


# What the forms do.


def _save(sent: QueryDict, found: Authority, row: Provider) -> str | Outcome:
    form = SettingsForm(sent, instance=row)
    if not form.is_valid():
        return acting.refused(form)
    try:
        may = found.may("providers.change_credential")
        vendor_rows.edit(row, actor=found.actor, changes=form.changes, may_send_key=may)
    except ValidationError as error:
        acting.put_into(form, error)
        return acting.refused(form)
    return f"The settings of {row.slug} are saved." if form.changes else f"Nothing of {row.slug} was changed."


def _set_key(sent: QueryDict, found: Authority, row: Provider) -> str:
    value, name = sent.get("value", ""), sent.get("env_var", "").strip()
    vendor_rows.set_credential(row, actor=found.actor, value=value or None, env_var=name or None)
    return f"{row.slug} has a new key."


def _remove_key(sent: QueryDict, found: Authority, row: Provider) -> str:
    vendor_rows.remove_credential(row, actor=found.actor)
    return f"{row.slug} has no key any more."


def _test(sent: QueryDict, found: Authority, row: Provider) -> Outcome:
    (check,) = checking.run(checking.subjects([row.slug]))
    return Outcome(shown=check)


def _reset(sent: QueryDict, found: Authority, row: Provider) -> str:
    wanted = model_rows.find(sent.get("model", ""))
    if wanted is None or wanted.provider_id != row.pk:
        raise ValidationError(f"{row.slug} has no such model any more.")
    return reset(wanted, found)


def reset(row: Model, found: Authority) -> str:
    """Has a model called again at once, whatever was seen of it. Raises: ValidationError, StoreError."""
    try:
        with audit.acting(found.actor):
            closed = health_listing.reset(str(row), snapshot=snapshot.current())
    except (snapshot.SnapshotError, UnknownModel) as error:
        raise ValidationError(f"{row} is called by nobody just now: is it on, and its provider too?") from error
    return f"{row} is called again at once." if closed else f"{row} is not left alone: there is nothing to reset."


def _delete(sent: QueryDict, found: Authority, row: Provider) -> Outcome:
    if sent.get("slug", "").strip() != row.slug:
        raise ValidationError(f"Nothing was deleted: write {row.slug} to confirm it.")
    try:
        vendor_rows.delete(row, actor=found.actor, with_candidates=found.may("routing.delete_candidate"))
    except ConfigurationProblem as error:
        raise ValidationError(f"{error} {acting.lacking('routing.delete_candidate')}") from error
    return Outcome(said=f"The provider {row.slug} is deleted.", goes_to=reverse("admin:providers"))


_ACTS: acting.Acts = {
    "save": ("providers.change_provider", _save),
    "key": ("providers.change_credential", _set_key),
    "no-key": ("providers.delete_credential", _remove_key),
    "test": ("providers.change_provider", _test),
    "reset": ("providers.change_model", _reset),
    "delete": ("providers.delete_provider", _delete),
}
