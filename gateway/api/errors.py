"""Every failure as OpenAI's error object, with the status and headers its kind asks for. The only place that maps them.

Shape: `{"error": {"message": str, "type": str, "param": str | null, "code": str | null}}`; ours add `gateway` inside
`error` where there is a trail or a list of dropped models to show.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from rest_framework import exceptions

from analytics.budget_rows import BudgetProblem
from analytics.limits import LimitReached
from analytics.projects import ProjectProblem
from analytics.types import Caller
from gateway.api import over_limit
from gateway.api.authentication import NO_KEY
from gateway.api.bodies import BadBody
from gateway.api.over_limit import Said
from gateway.middleware import OPEN_PATHS
from providers.types import FailureKind, ProviderError
from routing import chat, decision, listing, need, runtime, snapshot
from routing.configuring import ConfigurationProblem
from routing.trails import Step
from routing.types import Dropped, DropReason

logger = logging.getLogger(__name__)

DATABASE_RETRY_S = 5

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


def problem(
    status: int,
    code: str | None,
    message: str,
    *,
    param: str | None = None,
    detail: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """An error answer in OpenAI's shape."""
    return HttpResponse(
        msgspec.json.encode({"error": body(status, code, message, param=param, detail=detail)}),
        status=status,
        content_type="application/json",
        headers=dict(headers or {}),
    )


def body(
    status: int, code: str | None, message: str, *, param: str | None = None, detail: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    error: dict[str, Any] = {"message": message, "type": _TYPES.get(status, "api_error"), "param": param, "code": code}
    if detail:
        error["gateway"] = detail
    return error


def handle(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's exception handler, for every JSON endpoint on either way in."""
    known = _ours(error, context)
    if known is not None:
        return known
    if isinstance(error, Http404):
        return problem(404, "not_found", str(error) or "There is nothing at this address.")
    if isinstance(error, exceptions.APIException):
        return _of_drf(error)
    if isinstance(error, DatabaseError | InterfaceError) and not isinstance(error, IntegrityError | DataError):
        return _database_away(error)
    logger.error("Unhandled error", exc_info=error)
    return problem(500, "internal_error", "The gateway failed; the log holds the reason.")


def _database_away(error: Exception) -> HttpResponse:
    """What the database said may hold its address: that is for the log."""
    logger.error("The database cannot be used", exc_info=error)
    message = "The database cannot be reached, or is not set up; the log holds the reason. Try again in a moment."
    return problem(503, "database_unavailable", message, headers={"Retry-After": str(DATABASE_RETRY_S)})


def _ours(error: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    answer = _composed(error, context)
    if answer is not None and isinstance(error, chat.ChatError):
        answer.headers["X-Gateway-Attempts"] = str(len(error.trail))
    return answer


def _composed(error: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    if isinstance(error, chat.NothingToTry):
        return _nothing_to_try(error, caller=_caller(context))
    if isinstance(error, over_limit.REFUSALS):
        said = over_limit.refusal(error, caller=_caller(context), at=time.time())
        return _over_limit(said, request_id=_request_id(error, context), detail=_tried(error))
    answer = next((compose for kind, compose in _ANSWERS.items() if isinstance(error, kind)), None)
    return answer(error) if answer else None


def _caller(context: Mapping[str, Any]) -> Caller | None:
    auth = getattr(context.get("request"), "auth", None)
    return auth if isinstance(auth, Caller) else None


def _request_id(error: Exception, context: Mapping[str, Any]) -> str | None:
    found = error.decision if isinstance(error, chat.ChatError) else context.get("view")
    request_id = getattr(found, "request_id", None)
    return str(request_id) if request_id else None


def _of_drf(error: exceptions.APIException) -> HttpResponse:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    is_anonymous = isinstance(error, exceptions.NotAuthenticated)
    detail = NO_KEY if is_anonymous else error.detail
    message = str(detail) if not isinstance(detail, list | dict) else json.dumps(detail)
    code = error.get_codes()
    return problem(error.status_code, code if isinstance(code, str) else None, message, headers=headers)


def dropped(values: Sequence[Dropped], *, caller: Caller | None) -> dict[str, Any]:
    """Why models were not tried, as JSON shows it: by name those the caller may use, of the others how many."""
    told = listing.tellable(values, caller=caller)
    rows = [
        {
            "model": value.candidate.model.qualified_name,
            "layer": value.candidate.layer,
            "reason": value.reason.value,
            "detail": value.detail,
        }
        for value in told
    ]
    return {"dropped": rows, "dropped_not_allowed": len(values) - len(rows)}


def _nothing_to_try(error: chat.NothingToTry, *, caller: Caller | None) -> HttpResponse:
    values = [value for value in error.decision.plan.dropped if value.reason not in chat.ENTERED_ELSEWHERE]
    if error.status != 503:
        values = [value for value in values if value.reason not in chat.OPERATORS]
    reasons = {value.reason for value in values}
    code, text, param = _NOTHING[error.status]
    if error.status == 400 and not reasons & _TOO_BIG:
        code, text = "unsupported", "No model can do what the request needs"
    hint = " See `manage.py providers`." if DropReason.NO_CREDENTIAL in reasons else ""
    detail = {"request_id": str(error.decision.request_id), **dropped(error.decision.plan.dropped, caller=caller)}
    message = f"{text}: {_counted(values) or 'none is set up'}.{hint}"
    return problem(error.status, code, message, param=param, detail=detail)


def _counted(values: Sequence[Dropped]) -> str:
    """Each reason with how many models it is true of, and what it was for the first of them."""
    grouped: dict[str, list[Dropped]] = {}
    for value in values:
        grouped.setdefault(value.reason.value, []).append(value)
    return "; ".join(
        f"{reason} ({len(found)}{', ' if found[0].detail else ''}{found[0].detail})"
        for reason, found in sorted(grouped.items())
    )


_TOO_BIG = {DropReason.CONTEXT_TOO_SMALL, DropReason.OUTPUT_TOO_SMALL}
_NOTHING = {
    403: ("model_not_allowed", "This key may not use any model that fits", None),
    400: ("context_length_exceeded", "No model is large enough", None),
    402: ("max_cost_exceeded", "Every model may cost more than X-Gateway-Max-Cost allows", "X-Gateway-Max-Cost"),
    503: ("no_model_available", "No model can be tried", None),
}


def _nobody_answered(failed: chat.NobodyAnswered) -> HttpResponse:
    error = failed.error
    code: str | None
    if error is None or failed.is_deadline:
        code, message = "deadline_exceeded", "No model answered before the deadline."
    else:
        code, message = of_provider(error)
    detail = {"request_id": str(failed.decision.request_id), "trail": _told(failed.trail)}
    answer = body(failed.status, code, message, detail=detail)
    if error is not None and error.body and error.kind in _CALLERS:
        answer = {**answer, **_in_openais_types(error.body), "gateway": detail}
    headers = {"X-Gateway-Request-Id": str(failed.decision.request_id)}
    if failed.status in (429, 503):
        headers["Retry-After"] = str(max(1, math.ceil(failed.retry_after_s or 1)))
    return HttpResponse(
        msgspec.json.encode({"error": answer}), status=failed.status, content_type="application/json", headers=headers
    )


_CALLERS = {FailureKind.REJECTED, FailureKind.CONTEXT_TOO_LONG, FailureKind.UNSUPPORTED}
"""What the caller has to mend: told in the vendor's own words."""


def _in_openais_types(error: Mapping[str, Any]) -> dict[str, Any]:
    """A vendor's error object whose `code` and `param` are texts or null, whose `message` and `type` are texts."""
    told = dict(error)
    for name in ("code", "param"):
        if told.get(name) is not None:
            told[name] = str(told[name])
    for name in ("message", "type"):
        if not isinstance(told.get(name), str):
            told.pop(name, None)
    return told


def _told(trail: Sequence[Step]) -> list[Step]:
    """What a vendor says of our credential may hold a part of it, or the account's name: for the ledger's readers."""
    return [
        msgspec.structs.replace(step, message="") if step.outcome == FailureKind.CREDENTIALS else step for step in trail
    ]


def _tried(error: chat.ChatError | LimitReached) -> dict[str, Any]:
    """The trail as a detail of an error, where there is one."""
    trail = error.trail if isinstance(error, chat.ChatError) else ()
    return {"trail": _told(trail)} if trail else {}


def event(error: ProviderError, *, request_id: UUID, trail: Sequence[Step]) -> bytes:
    """The event that ends a broken stream: the vendor's own where the caller has to mend it, else ours."""
    if error.event is not None and error.kind in _CALLERS:
        payload = error.event.replace(b"\n", b"\ndata: ")
    else:
        code, message = of_provider(error)
        detail = {"request_id": str(request_id), "trail": _told(trail)}
        payload = msgspec.json.encode({"error": body(502, code, message, detail=detail)})
    return b"data: " + payload + b"\n\n"


def of_provider(error: ProviderError) -> tuple[str | None, str]:
    """Code and message for a provider's failure."""
    if error.kind in (FailureKind.REJECTED, FailureKind.UNSUPPORTED):
        return None, error.message
    code, words = _PROVIDER_FAILURES.get(error.kind, (f"provider_{error.kind.value}", "The provider failed"))
    if error.kind is FailureKind.CREDENTIALS:
        return code, f"{words}. The ledger holds what it said."
    return code, f"{words}: {error.message.removesuffix('.')}."


_REFUSED = ("provider_credentials", "The provider refused the gateway's credential or model")
_PROVIDER_FAILURES = {
    FailureKind.OVERLOADED: ("overloaded", "The provider has no place free"),
    FailureKind.RATE_LIMITED: ("provider_rate_limited", "The provider is rate limiting"),
    FailureKind.CREDENTIALS: _REFUSED,
    FailureKind.NOT_FOUND: _REFUSED,
    FailureKind.CONTEXT_TOO_LONG: ("context_length_exceeded", "The request is too long for the model"),
    FailureKind.TIMEOUT: ("provider_timeout", "The provider took too long"),
}


def _over_limit(said: Said, *, request_id: str | None, detail: Mapping[str, Any]) -> HttpResponse:
    headers, detail = dict(said.headers), {**said.detail, **detail}
    if request_id:
        headers["X-Gateway-Request-Id"] = request_id
        detail = {"request_id": request_id, **detail}
    return problem(said.status, said.code, said.message, detail=detail, headers=headers)


def _wrong_fields(error: ValidationError) -> HttpResponse:
    """The rows' own words, as admin and commands tell them; `param` is the first field, `gateway.fields` has all."""
    if not hasattr(error, "error_dict"):
        return problem(400, None, " ".join(error.messages))
    said = {field: " ".join(messages) for field, messages in error.message_dict.items()}
    (first, words), *others = said.items()
    message = " ".join(f"{field}: {words}" for field, words in said.items()) if others else words
    return problem(400, None, message, param=first, detail={"fields": said})


_ANSWERS: dict[type[Exception], Callable[[Any], HttpResponse]] = {
    BadBody: lambda error: problem(400, None, error.message, param=error.param),
    need.UnknownLayer: lambda error: problem(
        400, "unknown_layer", str(error), param="X-Gateway-Layer" if error.is_wish else "model"
    ),
    need.TooMany: lambda error: problem(400, None, str(error), param="messages"),
    need.TooDeep: lambda error: problem(400, None, str(error)),
    decision.UnknownModel: lambda error: problem(404, "model_not_found", str(error), param="model"),
    snapshot.Stale: lambda error: problem(503, "snapshot_stale", str(error), headers={"Retry-After": "5"}),
    snapshot.NotLoaded: lambda error: problem(503, "starting", str(error), headers={"Retry-After": "1"}),
    runtime.NotRunning: lambda error: problem(
        503, "stopping", "The gateway is stopping.", headers={"Retry-After": "1"}
    ),
    ValidationError: _wrong_fields,
    ConfigurationProblem: lambda error: problem(409, error.code, str(error)),
    ProjectProblem: lambda error: problem(404, "not_found", str(error)),
    BudgetProblem: lambda error: problem(404, "not_found", str(error)),
    PermissionDenied: lambda error: problem(403, "permission_denied", str(error)),
    ObjectDoesNotExist: lambda error: problem(404, "not_found", "It was deleted meanwhile."),
    chat.NotRecordable: lambda error: problem(503, "spool_not_writable", str(error), detail=_tried(error)),
    chat.NobodyAnswered: _nobody_answered,
}
"""How each of our own failures is answered."""


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler404`: JSON below /v1/, Django's page elsewhere."""
    if request.path.startswith(OPEN_PATHS):
        return problem(404, "not_found", f"There is nothing at {request.path}.")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """`handler500`: likewise."""
    if request.path.startswith(OPEN_PATHS):
        return problem(500, "internal_error", "The gateway failed; the log holds the reason.")
    return defaults.server_error(request)
