"""What the management API's views share: who may, bodies with exact types, pages of lists, look-ups by reference.

Values are checked here for their JSON type alone, which a row could no longer tell; everything else is the services'
to refuse, in the words that admin and commands use too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from django.core.exceptions import PermissionDenied, RequestDataTooBig, ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpResponse, JsonResponse
from django.utils.dateparse import parse_datetime
from rest_framework import exceptions
from rest_framework.decorators import MethodMapper
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from analytics import audit_context, authority, key_rules, visibility
from analytics.authority import Authority
from analytics.models import ApiKey, Project, Role
from analytics.types import Caller
from gateway.api import bodies
from routing import configuring

Row = TypeVar("Row", bound=Model)
Kind = Callable[[object], object]
"""Takes a JSON value, gives what the service takes. Raises: ValidationError in one sentence."""

MOST_ROWS = 100
USUAL_ROWS = 20
LONGEST_TEXT = 1_000
WHITE = b" \t\r\n"
"""What JSON takes for space; Python takes more for it."""
SHOWN_ONCE = {"Cache-Control": "no-store"}
_NUMBERED = ("id", "position")
"""Columns of whole numbers by which lists are paged."""

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def who_acts(request: Request) -> Authority | None:
    """Who asks, as the audit trail will name it; None for who may change nothing."""
    if isinstance(request.auth, Caller):
        found = authority.of_caller(request.auth)
    else:
        found = authority.of_user(request.user) if request.user else None
    if found is not None:
        audit_context.name(found.actor)
    return found


class MayManage(BasePermission):
    """An API key with the scope `admin`, a superuser, who has the role in a project that the view asks for. The view
    learns how far that reaches."""

    message = ""

    def has_permission(self, request: Request, view: Any) -> bool:
        found = view.authority = who_acts(request)
        self.message = f"This is for {authority.IN_WORDS[view.least]} of a project."
        if isinstance(request.auth, Caller):
            self.message = "This API key lacks the scope 'admin'."
        return found is not None and found.within(view.least) != frozenset()


class BodyView(APIView):
    """Reads its request's body before anything else."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """The body is read first: DRF's look for a CSRF token would leave nothing of it, and it takes a chunked one for
        none."""
        try:
            _ = request._request.body
        except RequestDataTooBig as error:
            raise TooLarge from error
        super().initial(request, *args, **kwargs)


class ManagingView(BodyView):
    permission_classes = [MayManage]
    authority: Authority
    """Set by the permission."""
    roles: Mapping[str, Role] = {}
    """By method: the least role in a project that it asks for, where it is not the usual one."""

    @property
    def least(self) -> Role:
        """The role that the request asks for: to look, any; to change, an admin's."""
        method = "GET" if self.request.method == "HEAD" else self.request.method or ""
        return self.roles.get(method, Role.VIEWER if method in SAFE_METHODS else Role.ADMIN)

    def hold(self, row: Row, *, of: int | None) -> Row:
        """The row, of this project. Raises: PermissionDenied for who may see it and not do what is asked."""
        self.authority.require(self.least, project_id=of)
        return row


class ManagingViewSet(ViewSetMixin, ManagingView):
    """All that is done with one kind of row, at the addresses that `gateway.urls` gives it."""

    @classmethod
    def get_extra_actions(cls) -> list[Any]:
        """Without a look at `schema`, which would import whatever describes the API into every process."""
        known = inspect.getmembers_static(cls, lambda found: isinstance(getattr(found, "mapping", None), MethodMapper))
        return [found for _, found in known]


class TooLarge(exceptions.APIException):
    status_code = 413
    default_detail = "The request body is too large."
    default_code = "request_too_large"


class Conflict(exceptions.APIException):
    status_code = 409
    default_code = "conflict"


def for_superusers(found: Authority, *, what: str) -> None:
    """Raises: PermissionDenied."""
    if not found.is_everything:
        raise PermissionDenied(f"Only superusers {what}.")


def changes(request: Request, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The body's fields by name. Raises: BadBody, ValidationError naming the fields that are unknown or of another
    type."""
    fields = _body(request)
    wrong: dict[str, str] = {}
    for name, value in fields.items():
        try:
            fields[name] = kinds[name](value)
        except KeyError:
            wrong[name] = f"There is no field {name[:LONGEST_TEXT]!r}: use {', '.join(kinds)}."
        except ValidationError as error:
            wrong[name] = error.messages[0]
    if wrong:
        raise ValidationError({name: [words] for name, words in wrong.items()})
    return fields


def _body(request: Request) -> dict[str, Any]:
    """No body is an empty object. Raises: BadBody."""
    raw = request._request.body
    if not raw.strip(WHITE):
        return {}
    try:
        raw.decode()
        return _decode(raw)
    except (UnicodeDecodeError, RecursionError, msgspec.DecodeError):
        bodies.read_object(raw)  # says what is wrong with it
        raise


def text(value: object) -> str:
    if not isinstance(value, str):
        raise ValidationError(key_rules.TEXT)
    if key_rules.has_unseen(value):
        raise ValidationError(key_rules.UNSEEN)
    return value


def name_or_none(value: object) -> str:
    """null is the empty name."""
    return "" if value is None else text(value)


def switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValidationError(key_rules.TRUE_OR_FALSE)
    return value


def as_it_is(value: object) -> object:
    """Whatever the row checks for its type itself."""
    return value


def held_to(rule: Callable[[object], None]) -> Kind:
    """A value as it is, once the row's own rule has nothing against it: some empty ones never get as far as that."""

    def held(value: object) -> object:
        rule(value)
        return value

    return held


def money(value: object) -> object:
    """An amount in digits, as a text or a number; what is neither stays for the row to refuse."""
    return value if isinstance(value, str | int | Decimal | None) else msgspec.json.encode(value, enc_hook=str).decode()


def moment(value: object) -> datetime | None:
    """A text in ISO 8601 with its zone, or null. Which moments make sense is the row's to say."""
    if value is None:
        return None
    try:
        found = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.utcoffset() is None:
        raise ValidationError(key_rules.MOMENT)
    return found


def slug(value: object) -> str | None:
    return None if value is None else text(value)


def row_id(value: object) -> int | None:
    if value is not None and type(value) is not int:
        raise ValidationError(key_rules.WHOLE_NUMBER)
    return value


def project(wanted: str | None, *, found: Authority, least: Role = Role.VIEWER) -> Project:
    """The project of this slug; the one there is to choose where none is named. Raises: ValidationError,
    PermissionDenied where the role there is a lower one."""
    among = visibility.projects_of(found)
    if wanted is None:
        home = found.home_id(least)
        at_home = {"pk": home} if home is not None else {"slug": "default"}
        row = visibility.projects_of(found, least=least).filter(**at_home).first()
        if row is None:
            raise ValidationError({"project": ["Name the project."]})
        return row
    row = among.filter(slug=wanted).first()
    if row is None:
        known = list(among.order_by("slug").values_list("slug", flat=True))
        told = configuring.listed(known) or "none"
        raise ValidationError({"project": [f"There is no project {wanted!r}; there is {told}."]})
    found.require(least, project_id=row.pk)
    return row


def api_key(wanted: int, *, found: Authority, least: Role = Role.VIEWER) -> ApiKey:
    """Raises: ValidationError; PermissionDenied where the role in its project is a lower one."""
    row = visibility.keys_of(found).filter(pk=wanted).first()
    if row is None:
        raise ValidationError({"api_key": [f"There is no key {wanted}; GET /v1/admin/keys shows them."]})
    found.require(least, project_id=row.project_id)
    return row


def page(
    request: Request,
    rows: QuerySet[Row],
    *,
    by: str,
    told: Callable[[list[Row]], list[dict[str, Any]]],
    told_as: str = "",
    newest_first: bool = False,
) -> HttpResponse:
    """As many of `rows` as were asked for, from after the one that `after` names, in OpenAI's form of a list. A row
    that is made or deleted meanwhile makes no other one appear twice or not at all. The column `by` is unique, and
    stands under its own name in what is told, or under `told_as`."""
    limit = _limit(request.query_params.get("limit"))
    after = request.query_params.get("after")
    found = rows.order_by(f"-{by}" if newest_first else by)
    if after is not None:
        found = found.filter(**{f"{by}__{'lt' if newest_first else 'gt'}": _after(after, by=by)})
    shown = list(found[: limit + 1])
    data = told(shown[:limit])
    key = told_as or by
    ends = {"first_id": data[0][key], "last_id": data[-1][key]} if data else {"first_id": None, "last_id": None}
    return JsonResponse({"object": "list", "data": data, **ends, "has_more": len(shown) > limit})


def asked(request: Request, *names: str) -> dict[str, str]:
    """The query's parameters but those of pages. Raises: ValidationError naming those there are not, or twice."""
    if twice := sorted(name for name, values in request.query_params.lists() if len(values) > 1):
        raise ValidationError({name: ["Give it once."] for name in twice})
    given: dict[str, str] = {
        name: str(value) for name, value in request.query_params.items() if name not in ("limit", "after")
    }
    if unknown := sorted(given.keys() - set(names)):
        known = ", ".join(("limit", "after", *names))
        raise ValidationError(
            {name: [f"There is no parameter {name[:LONGEST_TEXT]!r}: use {known}."] for name in unknown}
        )
    for name, value in given.items():
        if "\0" in value:
            raise ValidationError({name: [key_rules.UNSEEN]})
    return given


def _limit(given: str | None) -> int:
    if given is None:
        return USUAL_ROWS
    if not (given.isascii() and given.isdecimal() and len(given) < 4 and 1 <= int(given) <= MOST_ROWS):
        raise ValidationError({"limit": [f"Use a whole number from 1 to {MOST_ROWS}."]})
    return int(given)


def _after(given: str, *, by: str) -> int | str:
    if by in _NUMBERED and not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise ValidationError({"after": ["Use the last_id of the page before."]})
    if "\0" in given:
        raise ValidationError({"after": [key_rules.UNSEEN]})
    return int(given) if by in _NUMBERED else given
