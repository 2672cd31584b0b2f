"""`/admin/requests/`: search among requests, newest first, followed as they come; and below it the story of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse

from analytics import authority, ledger, visibility
from analytics.models import Outcome
from analytics.series import StatusClass
from gateway import request_body, request_search, usage_asking
from gateway.pages import story
from gateway.usage_asking import Asker, Parameters
from routing import snapshot
from routing.snapshot import SnapshotError

WAIT_S = 1.0
"""How long the page of a request waits for a row that is still in the spool."""
LISTS = ("project", "key", "model", "layer", "status")
SINGLE = ("since", "until", "outcome", "cost_over", "error", "session", "after")
LONGEST = 500
MOST_SHOWN = 50


class Field(msgspec.Struct, frozen=True):
    """One of the search's fields, as it was filled in."""

    name: str
    title: str
    value: str
    mistake: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    hint: str = ""
    kind: str = "text"


def search_page(request: HttpRequest, context: Mapping[str, Any]) -> TemplateResponse:
    asker = Asker(visibility.reach_of_user(request.user))
    given = _given(request)
    found, mistakes = None, {}
    try:
        asked = Parameters({name: [given[name]] for name in LISTS if name in given}, _single(given))
        among = visibility.records_of_user(request.user)
        found = request_search.search(asked, among=among, asker=asker)
    except ValidationError as error:
        mistakes = {name: " ".join(words) for name, words in error.message_dict.items()}
    words = {name: value for name, value in given.items() if name not in ("after", "live")}
    fields = _fields(given, mistakes)
    told = {
        **context,
        "title": "Requests",
        "found": found,
        "rows": [] if found is None else found.rows,
        "fields": fields,
        "mistakes": [words for name, words in mistakes.items() if name not in {field.name for field in fields}],
        "is_live": "live" in given and "after" not in given,
        "is_narrowed": bool(words.keys() - {"since"}),
        "older": "" if found is None or found.after is None else "?" + urlencode(words | {"after": found.after}),
        "newest": "?" + urlencode(words) if "after" in given else "",
        "live": "?" + urlencode(words | {"live": "1"}),
        "still": "?" + urlencode(words),
        "csv": urlencode(words | {"format": "csv", "limit": str(request_search.MOST_ROWS)}),
    }
    return TemplateResponse(request, "gateway/requests.html", told, status=400 if mistakes else 200)


def request_page(request: HttpRequest, context: Mapping[str, Any], request_id: UUID) -> TemplateResponse:
    """Raises: Http404, for one that the user may not see as well."""
    among = visibility.records_of_user(request.user)
    row = ledger.find(request_id, among=among, wait_s=WAIT_S) if request_id.version == 7 else None
    if row is None:
        raise Http404("There is no such request, or it is not yours to see.")
    body = request_body.shown(row, authority=authority.of_user(request.user))
    told = {**context, "title": "Request", "row": row, "story": story.of(row), "body": body}
    return TemplateResponse(request, "gateway/request.html", told)


def _given(request: HttpRequest) -> dict[str, str]:
    """What is filled in; a field left empty asks for nothing."""
    names = {*LISTS, *SINGLE, "live"}
    found = {name: str(value).strip()[:LONGEST] for name, value in request.GET.items() if name in names}
    return {name: value for name, value in found.items() if value}


def _single(given: Mapping[str, str]) -> dict[str, str]:
    return {name: given[name] for name in SINGLE if name in given} | {"limit": str(MOST_SHOWN)}


def _fields(given: Mapping[str, str], mistakes: Mapping[str, str]) -> list[Field]:
    def field(name: str, title: str, **more: Any) -> Field:
        return Field(name, title, given.get(name, ""), mistakes.get(name, ""), **more)

    def choose(name: str, title: str, choices: Mapping[str, str]) -> Field:
        return field(name, title, choices=(("", "any"), *choices.items()), kind="choice")

    return [
        field("since", "Since", hint="24h, 7d, yesterday, 2026-11-01"),
        field("until", "Until", hint="now"),
        choose("status", "Status", {status.value: status.value.replace("_", " ") for status in StatusClass}),
        choose("layer", "Layer", _layers()),
        field("project", "Project"),
        field("key", "Token"),
        field("model", "Model", hint="id, or provider/id"),
        field("error", "Error text"),
        field("cost_over", "Cost over ($)", hint="0.25"),
        choose("outcome", "Outcome", dict(Outcome.choices)),
        field("session", "Session"),
    ]


def _layers() -> dict[str, str]:
    try:
        names = [layer.name for layer in snapshot.current().layers]
    except SnapshotError:
        names = []
    return {name: name for name in (*names, usage_asking.NO_LAYER)}
