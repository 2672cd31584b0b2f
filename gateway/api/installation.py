"""What the management API's views of what all projects share have in common: who may, and which JSON types the rows'
columns take. What stands in those rows is the services' of `routing` to judge."""

from __future__ import annotations

import math
from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.http import Http404
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from analytics.authority import Authority
from analytics.types import Caller
from gateway.api import managing
from gateway.api.managing import Kind, ManagingViewSet
from providers.models import Model, Provider
from routing import model_rows

NUMBER = "Use a number."
AMOUNT = "Use a number, or its digits as a text."
OBJECT = "This holds what JSON cannot keep: use plain texts, and numbers that fit."
NAMES = 'Use a list of names, such as ["a", "b"].'
YES_OR_NO = "Use true or false."

_VERBS = {"GET": "view", "HEAD": "view", "OPTIONS": "view", "POST": "add", "PATCH": "change", "PUT": "change",
          "DELETE": "delete"}  # fmt: skip
_as_numbers = msgspec.json.Encoder(decimal_format="number").encode


class MayConfigure(BasePermission):
    """A superuser, a user with Django's permission for the view's table, an API key with the scope `installation`."""

    message = ""

    def has_permission(self, request: Request, view: Any) -> bool:
        found = view.authority = managing.who_acts(request)
        verb = view.verbs.get(request.method) or _VERBS.get(request.method or "", "change")
        wanted = f"{view.table._meta.app_label}.{get_permission_codename(verb, view.table._meta)}"
        self.message = f"You lack the permission {wanted!r}."
        if isinstance(request.auth, Caller):
            self.message = "This API key lacks the scope 'installation'."
        return found is not None and found.may(wanted)


class InstallationViewSet(ManagingViewSet):
    permission_classes = [MayConfigure]
    table: type[models.Model]
    """Whose permissions are asked for."""
    verbs: dict[str, str] = {}
    """Of methods that mean something else than usual."""


def provider(slug: str) -> Provider:
    """Raises: Http404."""
    row = Provider.objects.filter(slug=slug).first()
    if row is None:
        raise Http404(f"There is no provider {slug!r}.")
    return row


def model(full_name: str) -> Model:
    """Raises: Http404."""
    row = model_rows.find(full_name)
    if row is None:
        raise Http404(f"There is no model {full_name!r}: use provider/name, as GET /v1/admin/models has it.")
    return row


def kinds(table: type[models.Model], names: Collection[str]) -> dict[str, Kind]:
    """How each of the table's columns is written in JSON."""
    return {name: _kind(table._meta.get_field(name)) for name in names}


def names(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValidationError(NAMES)
    return value


def amount(value: object) -> Decimal | None:
    """A number, or its digits as a text; exactly."""
    if value is None:
        return None
    try:
        found = Decimal(value) if isinstance(value, str | int | Decimal) and not isinstance(value, bool) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite():
        raise ValidationError(AMOUNT)
    return found


def number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValidationError(NUMBER)
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValidationError(NUMBER)
    return found


def plain(value: object) -> object:
    """JSON as the column keeps it: numbers as floats, nothing that PostgreSQL cannot store."""
    try:
        encoded = _as_numbers(value)
        if b"\\u0000" in encoded:
            raise ValidationError(OBJECT)
        return msgspec.json.decode(encoded)
    except (msgspec.MsgspecError, UnicodeError, OverflowError, RecursionError) as error:
        raise ValidationError(OBJECT) from error


def with_candidates(request: Request, *, found: Authority) -> bool:
    """Whether models are to be taken out of their layers on the way, which asks for a permission of its own.

    Raises: ValidationError, PermissionDenied.
    """
    is_wanted = bool(is_asked(managing.asked(request, "with_candidates"), "with_candidates"))
    if is_wanted and not found.may("routing.delete_candidate"):
        raise PermissionDenied("You lack the permission 'routing.delete_candidate', which with_candidates asks for.")
    return is_wanted


def is_asked(parameters: dict[str, str], name: str) -> bool | None:
    """A parameter that is true or false; None where it is not there. Raises: ValidationError."""
    given = parameters.get(name)
    if given not in (None, "true", "false"):
        raise ValidationError({name: [YES_OR_NO]})
    return None if given is None else given == "true"


def _kind(field: Any) -> Kind:
    found = next((kind for column, kind in _KINDS.items() if isinstance(field, column)), None)
    if found is None:
        raise TypeError(f"{field} has no form in JSON yet.")
    return found


_KINDS: dict[type[models.Field[Any, Any]], Kind] = {
    models.BooleanField: managing.switch,
    models.FloatField: number,
    models.DecimalField: amount,
    models.IntegerField: managing.row_id,
    models.JSONField: plain,
    models.CharField: managing.text,
}
"""By class of column; the first that fits."""
