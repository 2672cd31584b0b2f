"""What is said of an operation, and how that becomes OpenAPI.

A description says what is its own: summary, parameters, body, answers. What follows from its address and from who may
ask (parameters of the path, refusals that any such operation may give) is added here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec

from gateway.api import managing
from gateway.api.schema import refusals, shapes
from gateway.api.schema.shapes import Shape

JSON = "application/json"
CSV = "text/csv"
EVENTS = "text/event-stream"
ROW_ID = shapes.whole(least=0, most=10**18 - 1)
"""In a query."""


class Access(Enum):
    """Who may ask: the security schemes that would do, any one of them."""

    ANYBODY = ()
    KEYS = ("apiKey",)
    KEYS_AND_USERS = ("apiKey", "accessToken", "session")
    WHOEVER_IT_IS = ("", "apiKey", "accessToken", "session")
    """Nobody as well."""


class Parameter(msgspec.Struct, frozen=True):
    name: str
    shape: Shape
    about: str = ""
    where: str = "query"
    required: bool = False


class Answer(msgspec.Struct, frozen=True):
    about: str
    shapes: Mapping[str, Shape]
    """By media type."""
    headers: Mapping[str, Shape] = {}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    summary: str
    answers: Mapping[int, Answer]
    access: Access = Access.KEYS_AND_USERS
    about: str = ""
    parameters: Sequence[Parameter] = ()
    body: Shape | None = None
    refusals: frozenset[int | str] = frozenset()
    """Beside those that follow from its address, its body and who may ask."""
    never: frozenset[int] = frozenset()
    """Of those that would follow."""
    negotiates: bool = True
    """Whether it insists on an `Accept` that JSON satisfies."""
    error: str = "Error"
    """The component that its refusals carry."""
    is_old: bool = False
    """Whether another address does the same, and is the one to use."""


Operations = Mapping[str, Mapping[str, Operation]]
"""By address, as OpenAPI writes it, and method."""
Schemas = Mapping[str, Shape]


def answer(shape: Shape, about: str = "As it is now.") -> Answer:
    return Answer(about, {JSON: shape})


def made(shape: Shape, about: str = "Made.") -> Mapping[int, Answer]:
    return {201: answer(shape, about)}


def found(shape: Shape, about: str = "As it is now.") -> Mapping[int, Answer]:
    return {200: answer(shape, about)}


def of_pages(after: Shape) -> tuple[Parameter, Parameter]:
    """The parameters of lists that come in pages."""
    limit = shapes.whole(least=1, most=managing.MOST_ROWS) | {"default": managing.USUAL_ROWS}
    return Parameter("limit", limit, "Rows."), Parameter("after", after, "The `last_id` of the page before.")


def composed(operation: Operation, *, address: str, route: str, method: str, tag: str) -> dict[str, Any]:
    """The operation as OpenAPI has it; `route` is the address as Django's table writes it."""
    in_path = _path_parameters(route)
    told: dict[str, Any] = {
        "operationId": _name(address, method),
        "tags": [tag],
        "summary": operation.summary,
        "security": _security(operation.access),
        "responses": _responses(operation, has_path=bool(in_path)),
    }
    if operation.about:
        told["description"] = operation.about
    if operation.is_old:
        told["deprecated"] = True
    if parameters := [_parameter(one) for one in (*in_path, *operation.parameters)]:
        told["parameters"] = parameters
    if operation.body is not None:
        needed = bool(operation.body.get("required")) or "$ref" in operation.body
        told["requestBody"] = {"required": needed, "content": {JSON: {"schema": operation.body}}}
    return told


def _security(access: Access) -> list[dict[str, list[str]]]:
    return [{name: []} if name else {} for name in access.value]


def _name(address: str, method: str) -> str:
    """`get_v1_admin_keys_key_id`."""
    words = re.findall(r"[a-z0-9_]+", address.lower())
    return "_".join([method.lower(), *words])


def _parameter(one: Parameter) -> dict[str, Any]:
    told: dict[str, Any] = {"name": one.name, "in": one.where, "schema": one.shape}
    if one.about:
        told["description"] = one.about
    return told | {"required": True} if one.required else told


def _path_parameters(route: str) -> list[Parameter]:
    named = re.findall(r"<(\w+):(\w+)>", route)
    return [Parameter(name, _CONVERTERS[kind], where="path", required=True) for kind, name in named]


_CONVERTERS: dict[str, Shape] = {
    "int": shapes.whole(least=0, most=(1 << 63) - 1),
    "slug": shapes.text(pattern="^[-a-zA-Z0-9_]+$"),
    "str": shapes.text(pattern="^[^/]+$"),
    "path": shapes.text(minLength=1),
}


def _responses(operation: Operation, *, has_path: bool) -> dict[str, Any]:
    statuses = {*operation.refusals, *_following(operation, has_path=has_path)} - operation.never
    told = {str(status): _answer(one) for status, one in operation.answers.items()}
    told |= {str(status): refusals.ref(status, error=operation.error) for status in statuses if str(status) not in told}
    return dict(sorted(told.items()))


def _following(operation: Operation, *, has_path: bool) -> set[int]:
    """Refusals that any such operation may give."""
    statuses = {500, 503}
    if operation.access is not Access.ANYBODY:
        statuses |= {401, 403}
    if operation.body is not None:
        statuses |= {400, 413}
    if operation.parameters:
        statuses.add(400)
    if has_path:
        statuses.add(404)
    if operation.negotiates:
        statuses.add(406)
    return statuses


def _answer(one: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {"description": one.about}
    told["content"] = {media: {"schema": shape} for media, shape in one.shapes.items()}
    if one.headers:
        told["headers"] = {name: {"schema": shape} for name, shape in one.headers.items()}
    return told
