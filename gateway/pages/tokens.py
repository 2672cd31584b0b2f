"""`/admin/tokens/`: the API keys that a user may see, found by project, state and text, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from analytics import keys, visibility
from analytics.authority import Authority
from analytics.models import ApiKey, Role
from gateway import token_listing
from gateway.pages import finding, form_fields
from gateway.pages.form_fields import Field, Option

ASKED = ("project", "state", "q", "after")
LONGEST = 200
MOST_SHOWN = 50
MOST_OFFERED = 1_000


def page(request: HttpRequest, context: Mapping[str, Any]) -> TemplateResponse:
    """Raises: PermissionDenied."""
    found = finding.authority_of(request)
    given = _given(request)
    mistakes = _mistakes(given, found)
    rows = [] if mistakes else list(_rows(given, found).order_by("-pk")[: MOST_SHOWN + 1])
    has_more, shown = len(rows) > MOST_SHOWN, rows[:MOST_SHOWN]
    words = {name: value for name, value in given.items() if name != "after"}
    told = {
        **context,
        "title": "Tokens",
        "lines": token_listing.lines(shown, found=found, now=datetime.now(UTC)),
        "fields": _fields(given, found, mistakes),
        "mistakes": [said for name, said in mistakes.items() if name == "after"],
        "is_narrowed": bool(words),
        "may_make": found.within(Role.OPERATOR) != frozenset(),
        "older": "?" + urlencode(words | {"after": str(shown[-1].pk)}) if has_more else "",
        "newest": "?" + urlencode(words) if "after" in given else "",
    }
    return TemplateResponse(request, "gateway/tokens.html", told, status=400 if mistakes else 200)


def _given(request: HttpRequest) -> dict[str, str]:
    """What is filled in; a field left empty asks for nothing."""
    found = {name: str(request.GET.get(name, "")).strip()[:LONGEST] for name in ASKED}
    return {name: value for name, value in found.items() if value}


def _mistakes(given: Mapping[str, str], found: Authority) -> dict[str, str]:
    """What is wrong with the question, by field."""
    wrong: dict[str, str] = {}
    if "project" in given and finding.project_called(given["project"], found=found) is None:
        wrong["project"] = f"There is no project {given['project']!r}."
    if "state" in given and given["state"] not in set(keys.State):
        wrong["state"] = f"Use one of {', '.join(keys.State)}."
    if form_fields.row_id(given.get("after", "0")) is None:
        wrong["after"] = "This is no page of the list: begin with the newest."
    return wrong


def _rows(given: Mapping[str, str], found: Authority) -> QuerySet[ApiKey]:
    rows = visibility.keys_of(found)
    if "project" in given:
        rows = rows.filter(project__slug=given["project"])
    if "state" in given:
        rows = keys.in_state(rows, keys.State(given["state"]))
    if "after" in given:
        rows = rows.filter(pk__lt=int(given["after"]))
    return token_listing.matching(rows, given["q"]) if "q" in given else rows


def _slugs(found: Authority) -> list[str]:
    return list(visibility.projects_of(found).order_by("slug").values_list("slug", flat=True)[:MOST_OFFERED])


def _fields(given: Mapping[str, str], found: Authority, mistakes: Mapping[str, str]) -> list[Field]:
    def field(name: str, title: str, among: list[str]) -> Field:
        options = tuple(Option(value, value or "any", is_chosen=given.get(name, "") == value) for value in ("", *among))
        return Field(name=name, title=title, value="", kind="choice", options=options, mistake=mistakes.get(name, ""))

    return [
        Field(name="q", title="Name, first characters, owner or project", value=given.get("q", "")),
        field("project", "Project", _slugs(found)),
        field("state", "State", [state.value for state in keys.State]),
    ]
