"""`/admin/tokens/<id>/`: one API key in full, switched, ended, changed and deleted. Each change is one call into
`analytics.handing_on`; what shows a key's secret is `gateway.pages.token_made`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics import audit_listing, handing_on, key_history, keys
from analytics.authority import Authority
from analytics.models import ApiKey, Role
from gateway import key_listing, token_listing
from gateway.pages import finding, form_fields, token_fields, token_snippets

GONE = "This token was deleted meanwhile."
LONGEST_GRACE = timedelta(seconds=keys.MOST_GRACE_S)


def page(request: HttpRequest, context: Mapping[str, Any], key_id: int) -> HttpResponse:
    """Raises: Http404, PermissionDenied."""
    found = finding.authority_of(request)
    row, said, mistake = finding.key(key_id, found=found), "", ""
    if request.method == "POST":
        act = _ACTIONS.get(request.POST.get("do", ""))
        mistake = "" if act else "This form is not known here: load the page anew."
        said = _done(act, row, found) if act else ""
        row = finding.key(key_id, found=found)
        if said and not request.headers.get("HX-Request"):
            messages.success(request, said)
            return HttpResponseRedirect(request.path)
    told = {**context, **_told(request, row, found), "title": row.name, "said": said, "mistake": mistake}
    return TemplateResponse(request, "gateway/token.html", told, status=400 if mistake else 200)


def _told(request: HttpRequest, row: ApiKey, found: Authority) -> dict[str, Any]:
    now, state = datetime.now(UTC), keys.state(row)
    base = request.build_absolute_uri("/v1")
    return {
        "row": row,
        "state": state.value,
        "reason": "" if state is keys.State.ACTIVE else key_listing.reason(row),
        "in_grace": keys.is_in_grace(row),
        "lists": [(name.removeprefix("allowed_"), getattr(row, name)) for name in token_fields.NARROWING],
        "limits": key_listing.limits(row),
        "last_used_at": key_history.last_used_at(row),
        "rotated_at": key_history.rotated_at(row, within=LONGEST_GRACE),
        "bars": token_listing.bars(row, found=found),
        "usage": token_listing.usage(row, found=found, now=now),
        "entries": [
            (entry, audit_listing.in_short(entry, most=300)) for entry in token_listing.entries(row, found=found)
        ],
        "snippets": token_snippets.of(row.scopes, base=base, secret=f"{row.prefix}..."),
        "may_change": handing_on.may_change(row, authority=found),
        "may_delete": handing_on.may_delete(row, authority=found),
        "may_budget": found.has(Role.ADMIN, project_id=row.project_id),
    }


# What the buttons do: each returns what was done, in words.


def _done(act: Callable[[ApiKey, Authority], str], row: ApiKey, found: Authority) -> str:
    """Raises: PermissionDenied; Http404 for a key that was deleted meanwhile."""
    try:
        return act(row, found)
    except ApiKey.DoesNotExist as error:
        raise Http404(GONE) from error


def _enable(row: ApiKey, found: Authority) -> str:
    handing_on.switch(row, authority=found, is_on=True)
    return f"{row.name} is enabled."


def _disable(row: ApiKey, found: Authority) -> str:
    handing_on.switch(row, authority=found, is_on=False)
    return f"{row.name} is disabled: in every process within two seconds."


def _expire(row: ApiKey, found: Authority) -> str:
    handing_on.expire(row, authority=found)
    return f"{row.name} has expired. To have it valid again, change its expiry."


_ACTIONS: Mapping[str, Callable[[ApiKey, Authority], str]] = {
    "enable": _enable,
    "disable": _disable,
    "expire": _expire,
}


def change_page(request: HttpRequest, context: Mapping[str, Any], key_id: int) -> HttpResponse:
    """Raises: Http404, PermissionDenied."""
    found = finding.authority_of(request, least=Role.OPERATOR)
    row = finding.key(key_id, found=found)
    handing_on.require_change(row, authority=found)
    was, mistakes = token_fields.of(row), {}
    texts = was
    if request.method == "POST":
        texts, was = token_fields.sent(request.POST), token_fields.shown(request.POST)
        try:
            return _changed(request, row, found)
        except ValidationError as error:
            mistakes = form_fields.mistakes(error)
    told = {
        **context,
        "title": f"Change {row.name}",
        "row": row,
        "groups": token_fields.groups(texts, found=found, mistakes=mistakes, was=was),
        "mistakes": mistakes,
        "mistake": mistakes.get("", ""),
    }
    return TemplateResponse(request, "gateway/token_form.html", told, status=400 if mistakes else 200)


def _changed(request: HttpRequest, row: ApiKey, found: Authority) -> HttpResponse:
    """Raises: ValidationError, PermissionDenied, Http404."""
    changes = token_fields.values(token_fields.touched(request.POST), found=found)
    try:
        edited = handing_on.edit(row, authority=found, changes=changes)
    except ApiKey.DoesNotExist as error:
        raise Http404(GONE) from error
    messages.success(request, f"{edited.name} is changed: in every process within two seconds.")
    if edited.project_id != row.project_id:
        messages.info(request, keys.told_of_move(edited, to=edited.project))
    for words in key_listing.warnings(edited, about=changes):
        messages.warning(request, words)
    return HttpResponseRedirect(reverse("admin:token", args=[edited.pk]))


def delete_page(request: HttpRequest, context: Mapping[str, Any], key_id: int) -> HttpResponse:
    """Asks, naming what goes with it; the answer deletes. Raises: Http404, PermissionDenied."""
    found = finding.authority_of(request, least=Role.ADMIN)
    row = finding.key(key_id, found=found)
    handing_on.require_delete(row, authority=found)
    if request.method == "POST":
        _done(_delete, row, found)
        messages.success(request, f"{row.name} is deleted; what it used stays in the ledger.")
        return HttpResponseRedirect(reverse("admin:tokens"))
    told = {
        **context,
        "title": f"Delete {row.name}?",
        "row": row,
        "words": keys.told_of_deletion(row),
        "bars": token_listing.bars(row, found=found),
        "last_used_at": key_history.last_used_at(row),
    }
    return TemplateResponse(request, "gateway/token_delete.html", told)


def _delete(row: ApiKey, found: Authority) -> str:
    handing_on.delete(row, authority=found)
    return ""
