"""The error object, and the answers that carry it, a component for each status. `gateway.api.errors` composes them."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.api.schema import shapes
from gateway.api.schema.shapes import Shape
from routing.trails import Step

_TYPES = (
    "invalid_request_error",
    "authentication_error",
    "insufficient_quota",
    "permission_error",
    "rate_limit_error",
    "api_error",
)
_MAYBE_TEXT = shapes.maybe(shapes.text())
_DROPPED = shapes.closed({name: shapes.text() for name in ("model", "layer", "reason", "detail")})
DROPPED = {
    "dropped": shapes.many(_DROPPED, "Models that were left out, and why."),
    "dropped_not_allowed": shapes.whole("How many more there are that this key may not use."),
}
_DETAIL = {
    "fields": shapes.by_name(shapes.text(), "What is wrong, by field of the body or parameter."),
    "request_id": shapes.text(format="uuid"),
    "trail": shapes.many(shapes.ref("Step"), "What was tried, in order."),
    **DROPPED,
    "scope": shapes.text("Whose limit or budget it is."),
    "kind": shapes.text("Which limit it is."),
    "limit": shapes.whole(),
    "budget": shapes.whole("Its id."),
    "window": shapes.text(),
    "until": shapes.maybe(shapes.moment()),
    **{name: shapes.money() for name in ("limit_usd", "spent_usd", "held_usd")},
}
_ERROR: dict[str, Shape] = {
    "message": shapes.text("What to change, in words."),
    "type": shapes.text(),
    "param": shapes.maybe(shapes.text("The field, parameter or header it is about.")),
    "code": shapes.maybe(shapes.text("For programs.")),
    "gateway": shapes.ref("ErrorDetail"),
}
_NEEDED = ("message", "type", "param", "code")

SCHEMAS: dict[str, Shape] = {
    "Error": shapes.closed(
        {"error": shapes.closed({**_ERROR, "type": shapes.one_of(_TYPES)}, required=_NEEDED)},
    ),
    "ChatError": shapes.closed(
        {"error": {"type": "object", "properties": _ERROR, "required": list(_NEEDED), "additionalProperties": True}}
    )
    | {"description": "With the provider's own fields, where it is the caller who has to mend it."},
    "ErrorDetail": shapes.closed(_DETAIL, required=()),
}


def _step() -> dict[str, Shape]:
    _, found = msgspec.json.schema_components([Step], ref_template="#/components/schemas/{name}")
    return {name: shape | {"additionalProperties": False} for name, shape in found.items()}


SCHEMAS |= _step()

_WAIT = {"Retry-After": {"schema": shapes.whole("Seconds.", least=0)}}
_CHALLENGE = {"WWW-Authenticate": {"schema": shapes.text()}}
_SAID: dict[int | str, tuple[str, dict[str, Any]]] = {
    400: ("The request cannot be understood, or a value is refused: the message says what to change.", {}),
    401: ("No key, token or session, or one that does not work.", _CHALLENGE),
    402: ("A budget has nothing left for it.", _WAIT),
    403: ("Not for this key or user, not from here, or a session's change without its CSRF token.", {}),
    404: ("There is none, or it is not yours to see.", {}),
    406: ("`Accept` leaves no room for JSON.", {}),
    408: ("The body came too slowly.", {}),
    409: ("Something else stands in the way: the message says what.", {}),
    413: ("The body is too large.", {}),
    429: ("Too many: `Retry-After` says when to come again.", _WAIT),
    500: ("The gateway failed; its log says why.", {}),
    502: ("The provider failed, and so did those after it: `error.gateway.trail` has what was tried.", {}),
    503: ("Not now: it starts, stops, lacks its database or has nobody to ask.", _WAIT),
    504: ("Nobody answered before the deadline.", {}),
    "4XX": ("The provider refused the request: its own status, and its own words.", {}),
}


def ref(status: int | str, *, error: str) -> dict[str, str]:
    """The answer of this status that carries this error object."""
    return {"$ref": f"#/components/responses/{error}{status}"}


def responses() -> dict[str, Any]:
    """The components that `ref` names."""
    errors = ("Error", "ChatError")
    return {f"{error}{status}": _response(*said, error=error) for error in errors for status, said in _SAID.items()}


def _response(about: str, headers: dict[str, Any], *, error: str) -> dict[str, Any]:
    told: dict[str, Any] = {"description": about, "content": {"application/json": {"schema": shapes.ref(error)}}}
    return told | {"headers": headers} if headers else told
