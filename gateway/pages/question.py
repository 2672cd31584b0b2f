"""`/admin/ask/<provider/name>/`: a real question to one model, its answer while it is written. Without scripts the
model's own page asks, and shows the answer as a whole."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict, StreamingHttpResponse
from django.template.loader import render_to_string
from django.urls import reverse

from analytics import callers
from analytics.authority import Authority
from analytics.models import Role
from analytics.spool import SpoolError
from gateway import checking, trying
from gateway.pages import acting
from gateway.trying import Telling, Trial
from providers.models import Kind, Model
from routing import model_rows, runtime
from routing.snapshot import SnapshotError

LONGEST_PROMPT = 4_000
STOPPED = "The gateway stopped: the answer is not whole."
logger = logging.getLogger(__name__)


class NotNow(Exception):
    """Nobody can be asked just now; says why."""


def page(request: HttpRequest, context: Mapping[str, Any], name: str) -> HttpResponse | StreamingHttpResponse:
    """Lines of JSON: `text` as it is written; at last `html`, all that there is to say of it, or `mistake`.

    Raises: PermissionDenied, Http404.
    """
    found = acting.signed_in(request, "providers.change_model")
    row = model_called(name)
    if request.method != "POST":
        return HttpResponseRedirect(reverse("admin:model", args=[name]))
    try:
        telling = put(request.POST, found, row)
    except (ValidationError, NotNow) as error:
        status = 503 if isinstance(error, NotNow) else 400
        return HttpResponse(_line(mistake=acting.words(error)), content_type="application/x-ndjson", status=status)
    unbuffered = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(
        _lines(telling, shown_to(found)), content_type="application/x-ndjson", headers=unbuffered
    )


def model_called(name: str) -> Model:
    """By `provider/name`. Raises: Http404."""
    row = model_rows.find(name)
    if row is None:
        raise Http404(f"There is no model {name!r}.")
    return row


def put(sent: QueryDict, found: Authority, row: Model) -> Telling:
    """One real request, paid for like any other, within the default project's budgets and limits.

    Raises: ValidationError, NotNow.
    """
    if row.kind != Kind.CHAT:
        raise ValidationError(f"{row} makes embeddings, and answers no chats.")
    prompt = sent.get("prompt", "").replace("\r\n", "\n").strip()  # as browsers count what they send
    if not prompt or len(prompt) > LONGEST_PROMPT:
        raise ValidationError(f"Write what to ask, in {LONGEST_PROMPT:,} characters at most.")
    (subject,) = checking.subjects([row.provider.slug])
    try:
        return trying.here(subject, model=row.name, prompt=prompt, asker=f"{found.actor}, at the dashboard")
    except runtime.NotRunning as error:
        raise NotNow("This process answers no requests, so it cannot ask either.") from error
    except SnapshotError as error:
        raise NotNow(f"Nobody was asked: {error}.") from error


def shown_to(found: Authority) -> dict[str, bool]:
    """What of a trial is there for who asked: its request stands in the default project's ledger."""
    return {
        "may_see_it": found.has(Role.VIEWER, project_id=callers.owner().project_id),
        "may_change_key": found.may("providers.change_credential"),
    }


async def _lines(telling: Telling, shown: Mapping[str, bool]) -> AsyncIterator[bytes]:
    try:
        async for part in telling:
            if isinstance(part, Trial):
                yield _line(html=render_to_string("gateway/models/_trial.html", {"trial": part, **shown}))
            elif part:
                yield _line(text=part)
    except SpoolError as error:
        yield _line(mistake=f"Nobody was asked: {error}.")
    except runtime.NotRunning:
        yield _line(mistake=STOPPED)
    except Exception:
        logger.exception("A question from the dashboard failed")
        yield _line(mistake="The gateway failed at this: its log says why.")


def _line(**told: str) -> bytes:
    return json.dumps(told).encode() + b"\n"
