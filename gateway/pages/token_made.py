"""Pages that answer with a new key: `/admin/tokens/new/` and `/admin/tokens/<id>/rotate/`.

The key is in that one answer and nowhere else: a redirect would carry it through a cookie, and `no-store` keeps it out
of the browser's memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from analytics import handing_on, keys
from analytics.admin_keys import HOUR_S, RotationForm
from analytics.authority import Authority
from analytics.keys import NewKey
from analytics.models import ApiKey, Role
from gateway import key_listing
from gateway.api.managing import SHOWN_ONCE
from gateway.pages import finding, form_fields, token_fields, token_snippets
from gateway.pages.token import GONE


def new_page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found = finding.authority_of(request, least=Role.OPERATOR)
    mistakes: Mapping[str, str] = {}
    texts = token_fields.blank(found, project=request.GET.get("project", ""))
    if request.method == "POST":
        texts = token_fields.sent(request.POST)
        try:
            made, warnings = _made(texts, found)
            title = f"The key of {made.row.name}"
            return _shown(request, context, made, title=title, notes=(), warnings=warnings)
        except ValidationError as error:
            mistakes = form_fields.mistakes(error)
    told = {
        **context,
        "title": "New token",
        "row": None,
        "groups": token_fields.groups(texts, found=found, mistakes=mistakes),
        "mistakes": mistakes,
        "mistake": mistakes.get("", ""),
    }
    return TemplateResponse(request, "gateway/token_form.html", told, status=400 if mistakes else 200)


def _made(texts: Mapping[str, str], found: Authority) -> tuple[NewKey, list[str]]:
    """With what its patterns match nothing of. Raises: ValidationError, PermissionDenied."""
    fields = token_fields.values(texts, found=found)
    made = handing_on.create(fields.pop("name"), authority=found, **fields)
    return made, key_listing.warnings(made.row, about=fields)


def rotate_page(request: HttpRequest, context: Mapping[str, Any], key_id: int) -> HttpResponse:
    """Asks how long the old key stays valid; the answer to that shows the new one.

    Raises: Http404, PermissionDenied.
    """
    found = finding.authority_of(request, least=Role.OPERATOR)
    row = finding.key(key_id, found=found)
    handing_on.require_change(row, authority=found)
    form = RotationForm(request.POST if request.method == "POST" else None, row=row)
    status = 400 if form.is_bound else 200
    if form.is_valid():
        try:
            made = _rotated(row, form, found)
            title = f"The new key of {made.row.name}"
            return _shown(request, context, made, title=title, notes=key_listing.rotation_notes(made), warnings=())
        except keys.StillInGrace as error:  # somebody else was faster
            form.add_error(None, f"{error} To do so, open this page again.")
            status = 409
    told = {**context, "title": f"Rotate {row.name}", "row": row, "form": form, "in_grace": keys.is_in_grace(row)}
    return TemplateResponse(request, "gateway/token_rotate.html", told, status=status)


def _rotated(row: ApiKey, form: RotationForm, found: Authority) -> NewKey:
    """Raises: StillInGrace, PermissionDenied, Http404."""
    grace_s, ends = form.cleaned_data["grace_hours"] * HOUR_S, form.cleaned_data.get("end_previous", False)
    try:
        return handing_on.rotate(row, authority=found, grace_s=grace_s, end_previous=ends)
    except ApiKey.DoesNotExist as error:
        raise Http404(GONE) from error


def _shown(
    request: HttpRequest,
    context: Mapping[str, Any],
    made: NewKey,
    *,
    title: str,
    notes: Sequence[str],
    warnings: Sequence[str],
) -> HttpResponse:
    base = request.build_absolute_uri("/v1")
    told = {
        **context,
        "title": title,
        "row": made.row,
        "secret": made.secret,
        "snippets": token_snippets.of(made.row.scopes, base=base, secret=made.secret),
        "notes": notes,
        "warnings": warnings,
    }
    return TemplateResponse(request, "gateway/token_shown.html", told, headers=SHOWN_ONCE)
