"""Forms of pages that change something: who may, what a form does, what is said of it, in place or after a redirect.

An act is one call into the services. What it returns is what was done, in words, or a whole `Outcome`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from django.apps import apps
from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.forms import BaseForm, BaseModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse

from analytics import authority
from analytics.authority import Authority
from analytics.counters.store import StoreError
from routing.configuring import ConfigurationProblem

UNKNOWN_FORM = "This form is not known here: load the page anew."
SEE_FIELDS = "Nothing was saved: what is wrong stands beside the fields."


class Outcome(msgspec.Struct, frozen=True):
    said: str = ""
    mistake: str = ""
    status: int = 200
    shown: Any = None
    """What else the page has to show of it: a form with its mistakes, an answer."""
    goes_to: str = ""
    """Where there is more to see of what was done; '': here."""


NOTHING = Outcome()
Act = Callable[..., str | Outcome]
"""Takes the form as it was sent, who sent it, and what the page is about."""
Acts = Mapping[str, tuple[str, Act]]
"""By the form's name: the permission it asks for, and what it does."""


def signed_in(request: HttpRequest, permission: str) -> Authority:
    """Raises: PermissionDenied for who may not even look."""
    found = authority.of_user(request.user)
    if found is None or not found.may(permission):
        raise lacking(permission)
    return found


def lacking(permission: str) -> PermissionDenied:
    return PermissionDenied(f"You lack the permission {named(permission)}: who looks after users gives it.")


def named(permission: str) -> str:
    """As the page of a user lists it."""
    app, _, code = permission.partition(".")
    verb, _, table = code.partition("_")
    return f"“Can {verb} {apps.get_model(app, table)._meta.verbose_name}”"


def require(found: Authority, permission: str) -> None:
    """Raises: PermissionDenied."""
    if not found.may(permission):
        raise lacking(permission)


def outcome_of(request: HttpRequest, acts: Acts, found: Authority, *about: Any) -> Outcome:
    """What became of the form that was sent, if one was."""
    if request.method != "POST":
        return NOTHING
    try:
        done = _perform(request.POST, acts, found, *about)
    except PermissionDenied as error:
        return Outcome(mistake=str(error), status=403)
    except StoreError as error:
        return Outcome(mistake=f"The counters are away ({error}): try again in a moment.", status=503)
    except (ValidationError, ConfigurationProblem, ObjectDoesNotExist) as error:
        return Outcome(mistake=words(error), status=400)
    return Outcome(said=done) if isinstance(done, str) else done


def answered(request: HttpRequest, template: str, told: Mapping[str, Any], outcome: Outcome) -> HttpResponse:
    """The page with what became of the form; without scripts, one that can be loaded anew after what was done."""
    if outcome.said and (outcome.goes_to or not request.headers.get("HX-Request")):
        messages.success(request, outcome.said)
        return _led(request, outcome.goes_to or request.get_full_path())
    told = {**told, "said": outcome.said, "mistake": outcome.mistake}
    return TemplateResponse(request, template, told, status=outcome.status)


def carry_what_is_shown(form: BaseModelForm[Any]) -> None:
    """Has a form for a row that is there send what it showed: a field that nobody touched is not among its
    `changed_data`, whoever changed the row since."""
    for field in form.fields.values():
        field.show_hidden_initial = form.instance.pk is not None


def refused(form: BaseForm) -> Outcome:
    return Outcome(mistake=SEE_FIELDS, status=400, shown=form)


def put_into(form: BaseForm, error: ValidationError) -> None:
    """Has a form tell what a service has against it, beside the fields that it has."""
    known = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    for name, says in known.items():
        form.add_error(name if name in form.fields else None, says)


def words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return " ".join(error.messages)
    return "It was deleted meanwhile." if isinstance(error, ObjectDoesNotExist) else str(error)


def _perform(sent: QueryDict, acts: Acts, found: Authority, *about: Any) -> str | Outcome:
    permission, act = acts.get(sent.get("do", ""), ("", None))
    if act is None:
        raise ValidationError(UNKNOWN_FORM)
    require(found, permission)
    return act(sent, found, *about)


def _led(request: HttpRequest, address: str) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)
