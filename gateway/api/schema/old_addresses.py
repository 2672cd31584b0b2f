"""Addresses that an older system had for what stands at `/v1/admin/` now (`gateway.api.old_addresses`)."""

from __future__ import annotations

from gateway.api.schema import installation, shapes
from gateway.api.schema.operations import Operation, Operations, Schemas, found, made

TAG = "Old addresses"
_OWN_ORDER = "Put the models of a layer in order"

SCHEMAS: Schemas = {}
OPERATIONS: Operations = {
    "/v1/models": {
        "POST": Operation(
            summary="Make a model", body=installation.NEW_MODEL, answers=made(shapes.ref("Model")), is_old=True
        )
    },
    "/v1/models/{name}": {
        "PUT": Operation(
            summary="Change a model",
            about="What it names, and nothing else.",
            body=installation.MODEL_CHANGES,
            answers=found(shapes.ref("Model")),
            is_old=True,
        ),
        "DELETE": Operation(
            summary="Delete a model and its prices",
            parameters=(installation.WITH_CANDIDATES,),
            answers=found(installation.MODEL_GONE, "Deleted."),
            refusals=installation.IN_USE,
            is_old=True,
        ),
    },
    "/v1/layers/{name}/reorder": {
        "PUT": Operation(
            summary=_OWN_ORDER, body=installation.NEW_ORDER, answers=found(installation.CANDIDATES), is_old=True
        )
    },
    "/v1/layers/{name}/toggle": {
        "PUT": Operation(
            summary="Switch a layer on or off",
            about="Over, where the body does not say which.",
            body=shapes.closed({"enabled": shapes.flag()}, required=()),
            answers=found(shapes.ref("Layer")),
            is_old=True,
        )
    },
    "/v1/providers": {
        "GET": Operation(
            summary="List providers",
            parameters=(*installation.BY_SLUG, installation.ENABLED),
            answers=found(installation.LIST_OF_PROVIDERS),
            is_old=True,
        ),
        "POST": Operation(
            summary="Make a provider",
            body=installation.NEW_PROVIDER,
            answers=made(shapes.ref("Provider")),
            is_old=True,
        ),
    },
    "/v1/providers/{slug}": {
        "GET": Operation(summary="One provider", answers=found(shapes.ref("Provider")), is_old=True),
        "PUT": Operation(
            summary="Change a provider",
            about="What it names, and nothing else.",
            body=installation.PROVIDER_CHANGES,
            answers=found(shapes.ref("Provider")),
            is_old=True,
        ),
        "DELETE": Operation(
            summary="Delete a provider, its credential, models and prices",
            parameters=(installation.WITH_CANDIDATES,),
            answers=found(installation.PROVIDER_GONE, "Deleted."),
            refusals=installation.IN_USE,
            is_old=True,
        ),
    },
}
