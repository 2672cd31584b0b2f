"""`/admin/`: the overview. One view and one template, whole or refreshed in place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.template.response import TemplateResponse

from analytics import visibility
from analytics.models import Project
from analytics.queries.filters import Filters
from analytics.queries.spans import Step
from gateway import overview, usage_asking
from gateway.pages import overview_cards
from gateway.usage_asking import Asker
from routing import snapshot
from routing.snapshot import SnapshotError
from routing.types import Snapshot

WINDOW_TITLES = {"1h": "1 hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}
STEP_TITLES = {Step.MINUTE: "minute", Step.QUARTER: "15 minutes", Step.HOUR: "hour", Step.DAY: "day"}


class Choice(msgspec.Struct, frozen=True):
    title: str
    url: str
    is_chosen: bool


def page(request: HttpRequest, context: dict[str, Any]) -> TemplateResponse:
    """`context` is what every page of the dashboard has."""
    try:
        return _page(request, context, config=snapshot.current())
    except SnapshotError as error:
        told = {**context, "title": "Overview", "message": str(error)}
        return TemplateResponse(request, "gateway/away.html", told, status=503, headers={"Retry-After": "5"})


def _page(request: HttpRequest, context: dict[str, Any], *, config: Snapshot) -> TemplateResponse:
    asker = Asker(visibility.reach_of_user(request.user))
    window, filters, project, mistakes = _asked(request, asker)
    zone = usage_asking.zone(None, asked=filters, asker=asker)
    found = overview.of(window, filters=filters, user=request.user, snapshot=config, zone=zone, now=datetime.now(UTC))
    return TemplateResponse(
        request,
        "gateway/overview.html",
        {
            **context,
            "title": "Overview",
            "found": found,
            "cards": overview_cards.cards(found),
            "health": overview_cards.health_lines(found),
            "model_count": len({one.candidate.model.id for one in found.health}),
            "keyless_count": len({one.candidate.model.id for one in found.health if one.lacks_its_key}),
            "series": overview.series(found),
            "point_rows": overview_cards.point_rows(found),
            "layers": [
                (name, totals, totals.requests / (found.compared.now.requests or 1)) for name, totals in found.layers
            ],
            "windows": [
                Choice(title, _url(name, project), is_chosen=name == window) for name, title in WINDOW_TITLES.items()
            ],
            "window_words": WINDOW_TITLES[window].removeprefix("1 "),
            "step_title": STEP_TITLES[found.step],
            "projects": _projects(asker),
            "project": project,
            "csv": urlencode({"since": window, "format": "csv"} | ({"project": project} if project else {})),
            "mistakes": mistakes,
        },
        status=400 if mistakes else 200,
    )


def _asked(request: HttpRequest, asker: Asker) -> tuple[str, Filters, str, list[str]]:
    """The window, what the figures are of, the project's slug, and what was asked for that there is not."""
    mistakes: list[str] = []
    window = request.GET.get("window") or overview.USUAL_WINDOW
    if window not in overview.WINDOWS:
        mistakes.append(f"There is no window {window[:40]!r}: use {', '.join(overview.WINDOWS)}.")
        window = overview.USUAL_WINDOW
    project = request.GET.get("project") or ""
    try:
        filters = usage_asking.filters({"project": [project]} if project else {}, asker=asker)
    except ValidationError as error:
        return window, asker.reach, "", [*mistakes, *error.messages]
    return window, filters, project, mistakes


def _projects(asker: Asker) -> list[str]:
    """Slugs to choose from; none where there is but one."""
    rows = Project.objects.order_by("slug")
    if asker.reach.projects is not None:
        rows = rows.filter(pk__in=asker.reach.projects)
    found = list(rows.values_list("slug", flat=True)[:1000])
    return found if len(found) > 1 else []


def _url(window: str, project: str) -> str:
    return "?" + urlencode({"window": window} | ({"project": project} if project else {}))
