"""`/admin/prices/`: what models cost now, will and did; first those that are used and cost nobody knows what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone

from analytics import visibility
from analytics.authority import Authority
from analytics.queries import moments, reports
from analytics.queries.filters import Dimension, Filters
from analytics.queries.reports import Order
from gateway import price_listing, usage_asking
from gateway.pages import acting, price_forms
from gateway.pages.acting import Outcome
from gateway.pages.price_forms import PriceLine, PriceOfForm
from gateway.usage_asking import Asker
from providers.models import Model, Price, Provider
from routing import model_rows

PER_PAGE = 25
"""Models."""
MOST_NAMED = 2_000
"""Models offered while a name is typed."""
MOST_UNPRICED = 50
SINCE = "30d"
SHOWN = {"now": "In force", "coming": "To come", "all": "Of all times"}
LONGEST_WORDS = 200


class Choice(msgspec.Struct, frozen=True):
    title: str
    url: str
    is_chosen: bool


class Unpriced(msgspec.Struct, frozen=True):
    """A model that was used during the last 30 days and has no price."""

    model: str
    requests: int
    tokens: int


def page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found = acting.signed_in(request, "providers.view_price")
    outcome = acting.outcome_of(request, _ACTS, found)
    given = _given(request.GET)
    rows = _wanted(given).prefetch_related("prices").order_by("provider__slug", "name")
    shown = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    told = {
        **context,
        "title": "Prices",
        "given": given,
        "shown": shown,
        "lines": _lines(shown.object_list, show=given["show"]),
        "unpriced": _unpriced(visibility.reach_of_user(request.user)),
        "providers": list(Provider.objects.order_by("slug").values_list("slug", flat=True)),
        "names": _names() if found.may("providers.add_price") else [],
        "form": outcome.shown or PriceOfForm(initial={"model": request.GET.get("price", "")[:LONGEST_WORDS]}),
        "choices": [Choice(title, _url(given, show=name), name == given["show"]) for name, title in SHOWN.items()],
        "previous": _url(given, page=str(shown.previous_page_number())) if shown.has_previous() else "",
        "next": _url(given, page=str(shown.next_page_number())) if shown.has_next() else "",
        "may": {name.partition(".")[2]: found.may(name) for name in (*_PERMISSIONS, "providers.change_price")},
    }
    return acting.answered(request, "gateway/prices.html", told, outcome)


def _given(sent: QueryDict) -> dict[str, str]:
    show = sent.get("show", "")
    return {
        "provider": sent.get("provider", "").replace("\0", "")[:LONGEST_WORDS],
        "q": sent.get("q", "").replace("\0", "").strip()[:LONGEST_WORDS],
        "show": show if show in SHOWN else "now",
    }


def _wanted(given: Mapping[str, str]) -> QuerySet[Model]:
    """Models with prices of the kind that is asked for."""
    now = timezone.now()
    held = Price.objects.filter(
        **{"now": {"valid_from__lte": now}, "coming": {"valid_from__gt": now}}.get(given["show"], {})
    )
    rows = model_rows.named().filter(pk__in=held.values("model_id"))
    if given["provider"]:
        rows = rows.filter(provider__slug=given["provider"])
    for word in given["q"].split():
        rows = rows.filter(Q(full_name__icontains=word) | Q(title__icontains=word))
    return rows


def _lines(rows: Iterable[Model], *, show: str) -> list[PriceLine]:
    now = timezone.now()
    found = [price_forms.line(one, now=now) for one in price_listing.shown(rows, at=now, history=show != "now")]
    return [one for one in found if show != "coming" or one.is_upcoming]


def _unpriced(reach: Filters) -> list[Unpriced]:
    """Most used first, of what the reader may be told of."""
    zone = usage_asking.zone(None, asked=reach, asker=Asker(reach))
    span = moments.span(SINCE, None, zone=zone, now=datetime.now(UTC))
    priced = Price.objects.filter(valid_from__lte=timezone.now()).values("model_id")
    without = Model.objects.exclude(pk__in=priced).values_list("provider__slug", "name")
    names = {f"{slug}/{name}" for slug, name in without}
    if not names:
        return []
    wanted = Filters(models=frozenset(names)).within(reach)
    used = reports.ranked([Dimension.MODEL], span, wanted, order=Order.REQUESTS, limit=MOST_UNPRICED)
    return [Unpriced(one.group.label, one.totals.requests, one.totals.tokens) for one in used.rows]


def _names() -> Collection[str]:
    return [
        str(row) for row in Model.objects.select_related("provider").order_by("provider__slug", "name")[:MOST_NAMED]
    ]


def _url(given: Mapping[str, str], **changes: str) -> str:
    asked = {name: value for name, value in {**given, **changes}.items() if value and (name, value) != ("show", "now")}
    return "?" + urlencode(asked)


# What the forms do.


def _add(sent: QueryDict, found: Authority) -> str | Outcome:
    form = PriceOfForm(sent)
    if not form.is_valid():
        return acting.refused(form)
    row = model_rows.find(form.cleaned_data["model"])
    if row is None:
        acting.put_into(
            form, ValidationError({"model": ["There is no such model: choose one of the list, as provider/name."]})
        )
        return acting.refused(form)
    return price_forms.add(form, row, found)


def _take_back(sent: QueryDict, found: Authority) -> str:
    return price_forms.take_back(sent, found)


_ACTS: acting.Acts = {
    "add-price": ("providers.add_price", _add),
    "take-back": ("providers.delete_price", _take_back),
}
_PERMISSIONS = tuple(permission for permission, _ in _ACTS.values())
