"""`/admin/models/<provider/name>/`: one model's facts, prices, layers, health and last month; and asked for real."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import async_to_sync
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone

from analytics import visibility
from analytics.authority import Authority
from analytics.spool import SpoolError
from gateway import trying, usage_asking, vendor_figures
from gateway.pages import acting, price_forms, provider, providers, question, sparkline
from gateway.pages.acting import Outcome
from gateway.pages.price_forms import PriceForm
from gateway.trying import Trial
from gateway.usage_asking import Asker
from providers.models import Kind, Model
from routing import model_rows, runtime
from routing.configuring import ConfigurationProblem
from routing.models import Candidate


class FactsForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes none at run time
    class Meta:
        model = Model
        fields = model_rows.EDITABLE
        labels = {"enabled": "On", "json_schema": "JSON schema"}

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        acting.carry_what_is_shown(self)
        for name in ("context_tokens", "max_output_tokens"):  # the column's own refusal is for people who know it
            self.fields[name].validators.append(MinValueValidator(1, "Use 1 or more; nothing where it is not known."))


def page(request: HttpRequest, context: Mapping[str, Any], name: str) -> HttpResponse:
    """Raises: PermissionDenied, Http404."""
    found = acting.signed_in(request, "providers.view_model")
    row = question.model_called(name)
    outcome = acting.outcome_of(request, _ACTS, found, row)
    if not outcome.goes_to:
        row = question.model_called(name)
    told = {
        **context,
        "title": str(row),
        "row": row,
        "may": {name.partition(".")[2]: found.may(name) for name, _ in _ACTS.values()},
        "facts": outcome.shown if isinstance(outcome.shown, FactsForm) else FactsForm(instance=row),
        "price_form": outcome.shown if isinstance(outcome.shown, PriceForm) else PriceForm(),
        "may_see_prices": found.may("providers.view_price"),
        "prices": price_forms.lines(row),
        "places": Candidate.objects.filter(model=row).select_related("layer").order_by("layer__position"),
        "health": next((one for one in providers.health() if one.candidate.model.id == row.pk), None),
        "trial": outcome.shown if isinstance(outcome.shown, Trial) else None,
        **question.shown_to(found),
        "longest_prompt": question.LONGEST_PROMPT,
        "prompt": request.POST.get("prompt", trying.PROMPT)[: question.LONGEST_PROMPT],
        "most_tokens": trying.LONGEST_TOKENS,
        "can_be_asked": row.kind == Kind.CHAT,
        "now": timezone.now(),
        **_last_month(request, name),
    }
    return acting.answered(request, "gateway/model.html", told, outcome)


def _last_month(request: HttpRequest, name: str) -> dict[str, Any]:
    reach = visibility.reach_of_user(request.user)
    zone = usage_asking.zone(None, asked=reach, asker=Asker(reach))
    figures = vendor_figures.of_last_month(name, reach, zone=zone, now=datetime.now(UTC))
    return {"figures": figures, "sparkline": sparkline.of(figures.parts, each="day")}


# What the forms do.


def _save(sent: QueryDict, found: Authority, row: Model) -> str | Outcome:
    form = FactsForm(sent, instance=row)
    if not form.is_valid():
        return acting.refused(form)
    try:
        model_rows.edit(row, actor=found.actor, changes={name: form.cleaned_data[name] for name in form.changed_data})
    except ValidationError as error:
        acting.put_into(form, error)
        return acting.refused(form)
    return f"{row} is saved." if form.changed_data else f"Nothing of {row} was changed."


def _add_price(sent: QueryDict, found: Authority, row: Model) -> str | Outcome:
    form = PriceForm(sent)
    return price_forms.add(form, row, found) if form.is_valid() else acting.refused(form)


def _take_price_back(sent: QueryDict, found: Authority, row: Model) -> str:
    return price_forms.take_back(sent, found, among=row)


def _reset(sent: QueryDict, found: Authority, row: Model) -> str:
    return provider.reset(row, found)


def _ask(sent: QueryDict, found: Authority, row: Model) -> Outcome:
    try:
        return Outcome(shown=async_to_sync(trying.last)(question.put(sent, found, row)))
    except question.NotNow as error:
        return Outcome(mistake=str(error), status=503)
    except runtime.NotRunning:
        return Outcome(mistake=question.STOPPED, status=503)
    except SpoolError as error:
        return Outcome(mistake=f"Nobody was asked: {error}.", status=503)


def _delete(sent: QueryDict, found: Authority, row: Model) -> Outcome:
    if sent.get("name", "").strip() != str(row):
        raise ValidationError(f"Nothing was deleted: write {row} to confirm it.")
    try:
        model_rows.delete(row, actor=found.actor, with_candidates=found.may("routing.delete_candidate"))
    except ConfigurationProblem as error:
        raise ValidationError(f"{error} {acting.lacking('routing.delete_candidate')}") from error
    return Outcome(said=f"The model {row} is deleted.", goes_to=reverse("admin:models"))


_ACTS: acting.Acts = {
    "save": ("providers.change_model", _save),
    "add-price": ("providers.add_price", _add_price),
    "take-back": ("providers.delete_price", _take_price_back),
    "reset": ("providers.change_model", _reset),
    "ask": ("providers.change_model", _ask),
    "delete": ("providers.delete_model", _delete),
}
