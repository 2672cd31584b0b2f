"""The description of the whole HTTP API: drf-spectacular walks the addresses, and the groups of this folder say what
each of them does. An operation that no group knows, and one that has no address, is a warning, which
`manage.py spectacular --fail-on-warn` takes for an error.

Imports every group, and drf-spectacular: for whoever asks for the description, and nobody else.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import msgspec
from drf_spectacular.drainage import warn
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from gateway.api.schema import auth, chat, installation, itself, models, old_addresses, projects, refusals, usage
from gateway.api.schema.operations import Operation, composed

GROUPS: tuple[ModuleType, ...] = (chat, models, usage, auth, projects, installation, old_addresses, itself)
"""In the order in which they are shown."""
SECURITY = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key, agw_..."},
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A user's access token, from POST /v1/auth/login.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "Of who has signed in at /admin/; changes send Django's CSRF token too, as X-CSRFToken.",
    },
}


class Described(AutoSchema):
    """Says of an operation what its group says."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> dict[str, Any] | None:
        found = _described().get((path, method))
        if found is None:
            warn(f"{method} {path} has no description: give it one in gateway/api/schema/")
            return None
        tag, operation = found
        return composed(operation, address=path, route=path_regex, method=method, tag=tag)


def finished(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """What all operations refer to; called by drf-spectacular when it has walked them."""
    there = {(path, method.upper()) for path, methods in result["paths"].items() for method in methods}
    for path, method in sorted(_described().keys() - there):
        warn(f"{method} {path} is described and has no address")
    schemas = refusals.SCHEMAS | {name: shape for group in GROUPS for name, shape in group.SCHEMAS.items()}
    said = msgspec.json.encode(result["paths"]).decode()
    responses = {name: one for name, one in refusals.responses().items() if f'/responses/{name}"' in said}
    components = {"schemas": schemas, "responses": responses, "securitySchemes": SECURITY}
    return result | {"components": components, "tags": [{"name": group.TAG} for group in GROUPS]}


@cache
def as_json() -> bytes:
    """It is the same for everybody, and says nothing of what is configured."""
    walker: Any = SchemaGenerator  # its methods have no types
    return msgspec.json.encode(walker().get_schema(request=None, public=True))


@cache
def _described() -> dict[tuple[str, str], tuple[str, Operation]]:
    """By address and method. Raises: ValueError where two groups describe the same."""
    found: dict[tuple[str, str], tuple[str, Operation]] = {}
    for group in GROUPS:
        for path, methods in group.OPERATIONS.items():
            for method, operation in methods.items():
                if (path, method) in found:
                    raise ValueError(
                        f"{method} {path} is described twice, by {found[path, method][0]} and {group.TAG}."
                    )
                found[path, method] = group.TAG, operation
    return found
