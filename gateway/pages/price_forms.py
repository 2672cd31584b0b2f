"""The form of a price to add, and of one to take back, on every page that has prices.

What may be asked for is `routing.price_setting`'s to say.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec
from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone

from analytics.authority import Authority
from gateway import price_listing
from gateway.pages import acting
from gateway.pages.acting import Outcome
from gateway.price_listing import Shown
from providers.listed_prices import PRICED_BY_ONE
from providers.models import FIRST_DAY, Model, Price
from providers.types import Unit
from routing import price_rows, price_setting

_UNITS = [
    (one.value, f"{one.value.replace('_', ' ')}, {'each' if one in PRICED_BY_ONE else 'per million'}") for one in Unit
]
LONGEST_ID = 18
"""Digits of a row's number."""


class PriceLine(msgspec.Struct, frozen=True):
    """A price as pages show it."""

    price: Price
    model: str
    what: str
    usd: str
    per: str
    since: datetime | None
    """None: it has always held."""
    holds: bool
    is_upcoming: bool


class PriceForm(forms.Form):
    unit = forms.ChoiceField(choices=_UNITS)
    usd = forms.DecimalField(label="USD", min_value=Decimal(0))
    from_tokens = forms.IntegerField(
        label="From input tokens", min_value=0, initial=0, required=False, help_text="0: for every request."
    )
    valid_from = forms.DateTimeField(
        label="Holds from",
        required=False,
        help_text="Empty: from now on.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


class PriceOfForm(PriceForm):
    """With the model it is of."""

    model = forms.CharField(
        max_length=300, widget=forms.TextInput(attrs={"list": "names", "placeholder": "provider/name"})
    )
    field_order = ("model", "unit", "usd", "from_tokens", "valid_from")


def line(one: Shown, *, now: datetime) -> PriceLine:
    price, unit = one.price, Unit(one.price.unit)
    return PriceLine(
        price=price,
        model=one.model,
        what=price_rows.what(unit, from_tokens=price.from_tokens).replace("_", " "),
        usd=price.listed_usd,
        per=price.listed_per,
        since=price.valid_from if price.valid_from > FIRST_DAY else None,
        holds=one.in_force,
        is_upcoming=price.valid_from > now,
    )


def lines(row: Model) -> list[PriceLine]:
    """All there are of a model: those in force first, then those to come, then history; `row` may have them fetched."""
    now = timezone.now()
    found = [line(one, now=now) for one in price_listing.shown([row], at=now, history=True)]
    return sorted(found, key=lambda one: (not one.holds, not one.is_upcoming))


def add(form: PriceForm, row: Model, found: Authority) -> str | Outcome:
    """`form` is one that was sent and is valid. Raises: Model.DoesNotExist."""
    given = form.cleaned_data
    try:
        price, is_new = price_setting.add(
            row,
            actor=found.actor,
            unit=given["unit"],
            usd=given["usd"],
            from_tokens=given["from_tokens"] or 0,
            valid_from=given["valid_from"],
        )
    except ValidationError as error:
        acting.put_into(form, error)
        return acting.refused(form)
    when = (
        "from now on"
        if given["valid_from"] is None
        else f"from {timezone.localtime(price.valid_from):%Y-%m-%d %H:%M} on"
    )
    what = f"The price of {row} for {price_rows.what(Unit(price.unit), from_tokens=price.from_tokens)}"
    return f"{what} is {price.listed_usd} USD {price.listed_per} {when if is_new else 'already'}."


def take_back(sent: QueryDict, found: Authority, *, among: Model | None = None) -> str:
    """Raises: ValidationError, InForce, Price.DoesNotExist."""
    number = sent.get("price", "")
    rows = Price.objects.all() if among is None else Price.objects.filter(model=among)
    is_number = number.isascii() and number.isdecimal() and len(number) <= LONGEST_ID
    row = rows.select_related("model__provider").filter(pk=int(number)).first() if is_number else None
    if row is None:
        raise ValidationError("There is no such price any more.")
    words = str(row)
    price_setting.take_back(row, actor=found.actor)
    return f"Taken back before it held: {words}."
