"""`/v1/openapi.json`: this description."""

from __future__ import annotations

from gateway.api.schema.operations import Access, Operation, Operations, Schemas, found

TAG = "This description"
SCHEMAS: Schemas = {}
OPERATIONS: Operations = {
    "/v1/openapi.json": {
        "GET": Operation(
            summary="This description, as OpenAPI 3.1",
            access=Access.ANYBODY,
            answers=found({"type": "object", "required": ["openapi", "paths"]}, "It."),
            negotiates=False,
        )
    }
}
