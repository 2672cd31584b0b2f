"""Prices set one by one: from now on, or from a later moment. A price is history: none is changed, and only one that
does not hold yet is taken back.

Says what may be asked for; which rows that takes is `routing.price_rows`', who writes them `routing.price_sync`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils import timezone

from providers.listed_prices import price_mistake, usd_per_unit
from providers.models import FIRST_DAY, Model, Price
from providers.types import Unit
from routing import configuring, price_sync
from routing.configuring import ConfigurationProblem

NOW_WITHIN = timedelta(minutes=1)
"""Clocks differ: a moment that was a short while ago is taken for now."""
LATEST = timedelta(days=3653)
MOST_TOKENS = 2**31 - 1


class InForce(ConfigurationProblem):
    """A price that holds, or held, cannot be taken back."""

    code = "price_in_force"


def add(
    row: Model,
    *,
    actor: str,
    unit: str,
    usd: Decimal | None,
    from_tokens: int | None = 0,
    valid_from: datetime | None = None,
) -> tuple[Price, bool]:
    """The price that holds from `valid_from` on (None: now), as it is listed: USD per million tokens, or for one of
    what is counted; and whether it was written, which it is not where it holds already. The unit's other tiers hold on.

    Raises: ValidationError naming the fields; Model.DoesNotExist.
    """
    known, listed, tokens = _checked(unit=unit, usd=usd, from_tokens=from_tokens)
    with configuring.changing(actor):
        fresh = Model.objects.select_related("provider").get(pk=row.pk)
        at = _moment(valid_from, is_first=not fresh.prices.filter(unit=known).exists())
        try:
            steps = price_sync.set_price(
                fresh, unit=known, usd=usd_per_unit(known, listed), from_tokens=tokens, at=at, actor=actor
            )
        except price_sync.PriceProblem as error:
            raise ValidationError({"from_tokens": [str(error)]}) from error
        by = timezone.now() if at is None else at
        holding = Price.objects.filter(model=fresh, unit=known, from_tokens=tokens, valid_from__lte=by)
        price = holding.select_related("model__provider").latest("valid_from")
    return price, bool(steps)


def take_back(row: Price, *, actor: str) -> None:
    """Deletes a price that does not hold yet. Raises: InForce; Price.DoesNotExist."""
    with configuring.changing(actor):
        fresh = Price.objects.select_related("model__provider").get(pk=row.pk)
        if fresh.valid_from <= timezone.now():
            raise InForce("A price that holds, or held, is history and stays: add another one.")
        fresh.delete()


def _checked(*, unit: str, usd: Decimal | None, from_tokens: int | None) -> tuple[Unit, Decimal, int]:
    wrong: dict[str, list[str]] = {}
    if unit not in set(Unit):
        wrong["unit"] = [f"Use one of {', '.join(Unit)}."]
    if usd is None:
        wrong["usd"] = ["Say how many US dollars."]
    elif not usd.is_finite() or usd < 0:
        wrong["usd"] = ["Use a number, zero or more."]
    elif mistake := price_mistake(unit, usd):
        wrong["usd"] = [mistake]
    if from_tokens is None or not 0 <= from_tokens <= MOST_TOKENS:
        wrong["from_tokens"] = [f"Use a whole number from 0 to {MOST_TOKENS}."]
    if wrong or usd is None or from_tokens is None:
        raise ValidationError(wrong)
    return Unit(unit), usd, from_tokens


def _moment(asked: datetime | None, *, is_first: bool) -> datetime | None:
    """None: from now on. What was charged is retraced by the prices of its time, so that only a unit's first price may
    have held before."""
    now = timezone.now()
    if asked is None or (not is_first and now - NOW_WITHIN <= asked <= now):
        return None
    if asked < now and not is_first:
        words = "Requests of that time were charged at other prices: leave it out, or use a moment to come."
        raise ValidationError({"valid_from": [words]})
    if not FIRST_DAY <= asked < now + LATEST:
        words = f"Use a moment from {FIRST_DAY:%Y-%m-%d}, which means always, to ten years from now."
        raise ValidationError({"valid_from": [words]})
    return asked
