"""`/admin/audit/`: the audit trail as far as the user may read it, searched, by pages and as CSV; and each entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from analytics import audit_listing, authority, visibility
from analytics.authority import Authority
from analytics.models import AuditEntry, Role, Severity
from gateway import audit_asking, audit_file
from gateway.pages.requests import Field

MOST_SHOWN = 50
LONGEST = 300
MOST_PROJECTS = 500
"""Offered by name."""


class Line(msgspec.Struct, frozen=True):
    row: AuditEntry
    about: str
    changed: str
    """In a line; '' for what was made or deleted."""
    project: str


def list_page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found, given = _who(request), _given(request)
    rows, mistakes = _asked(given, found)
    shown = list(_after(rows, given.get("after"))[: MOST_SHOWN + 1])
    words = {name: value for name, value in given.items() if name != "after"}
    older = words | {"after": str(shown[MOST_SHOWN - 1].pk)} if len(shown) > MOST_SHOWN else None
    told = {
        **context,
        "title": "Audit",
        "lines": _lines(shown[:MOST_SHOWN]),
        "fields": _fields(given, mistakes, found=found),
        "is_wrong": bool(mistakes),
        "is_narrowed": bool(words),
        "older": "?" + urlencode(older) if older else "",
        "newest": "?" + urlencode(words) if "after" in given else "",
        "csv": urlencode(words),
    }
    return TemplateResponse(request, "gateway/audit.html", told, status=400 if mistakes else 200)


def entry_page(request: HttpRequest, context: Mapping[str, Any], entry_id: int) -> HttpResponse:
    """Raises: PermissionDenied; Http404, for one that the user may not read as well."""
    rows = visibility.entries_of(_who(request))
    row = rows.filter(pk=entry_id).first() if entry_id < 1 << 63 else None
    if row is None:
        raise Http404("There is no such entry, or it is not yours to read.")
    told = {
        **context,
        "title": "Audit entry",
        "line": _lines([row])[0],
        "row": row,
        "differences": audit_listing.differences(row),
    }
    return TemplateResponse(request, "gateway/audit_entry.html", told)


def csv_file(request: HttpRequest, context: Mapping[str, Any]) -> StreamingHttpResponse | HttpResponse:
    """What is searched for, all of it. Raises: PermissionDenied."""
    given = _given(request)
    rows, mistakes = _asked(given, _who(request))
    if mistakes:
        return list_page(request, context)
    answer = StreamingHttpResponse(audit_file.written(rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="audit-{timezone.now():%Y-%m-%d}.csv"'
    return answer


def _asked(given: Mapping[str, str], found: Authority) -> tuple[QuerySet[AuditEntry], dict[str, str]]:
    """The entries, and what cannot be meant, by field: none are found then."""
    try:
        project_id = _project(given["project"], found=found) if "project" in given else None
        return audit_listing.entries(found, audit_asking.wanted(given, project_id=project_id)), {}
    except ValidationError as error:
        return AuditEntry.objects.none(), {name: " ".join(words) for name, words in error.message_dict.items()}


def _project(slug: str, *, found: Authority) -> int:
    """Raises: ValidationError."""
    row = visibility.projects_of(found, least=Role.ADMIN).filter(slug=slug).first()
    if row is None:
        raise ValidationError({"project": [f"You are an admin of no project {slug!r}."]})
    return row.pk


def _after(rows: QuerySet[AuditEntry], mark: str | None) -> QuerySet[AuditEntry]:
    """From behind the entry that a page ended with; a mark that nobody made is none."""
    is_id = mark is not None and mark.isascii() and mark.isdecimal() and len(mark) < 19
    return rows.filter(pk__lt=int(mark)) if mark is not None and is_id else rows


def _lines(rows: list[AuditEntry]) -> list[Line]:
    slugs = audit_listing.slugs_of(rows)
    return [
        Line(row, audit_listing.about(row), audit_listing.in_short(row), slugs.get(row.project_id or 0, ""))
        for row in rows
    ]


def _fields(given: Mapping[str, str], mistakes: Mapping[str, str], *, found: Authority) -> list[Field]:
    def field(name: str, title: str, **more: Any) -> Field:
        return Field(name, title, given.get(name, ""), mistakes.get(name, ""), **more)

    slugs = visibility.projects_of(found, least=Role.ADMIN).order_by("slug").values_list("slug", flat=True)
    severities = {severity.value: f"{severity.label.lower()} or worse" for severity in Severity}
    return [
        field("since", "Since", hint="7d, yesterday, 2026-11-01"),
        field("until", "Until", hint="now"),
        field("actor", "Who", hint="a part of a name"),
        field("action", "Action", hint="begins: budget."),
        field("target", "To what", hint="a part of it"),
        field("project", "Project", kind="choice", choices=_choices({slug: slug for slug in slugs[:MOST_PROJECTS]})),
        field("severity", "Severity", kind="choice", choices=_choices(severities)),
    ]


def _choices(known: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return (("", "any"), *known.items())


def _given(request: HttpRequest) -> dict[str, str]:
    """What is filled in; a field left empty asks for nothing."""
    names = {*audit_asking.FILTERS, "after"}
    found = {
        name: str(value).replace("\0", "").strip()[:LONGEST] for name, value in request.GET.items() if name in names
    }
    return {name: value for name, value in found.items() if value}


def _who(request: HttpRequest) -> Authority:
    """Raises: PermissionDenied."""
    found = authority.of_user(request.user)
    if found is None or found.within(Role.ADMIN) == frozenset():
        raise PermissionDenied("The audit trail is for superusers, and for admins of a project what is about it.")
    return found
