"""Addresses that an older system had for what stands at `/v1/admin/` now (`gateway.api.old_addresses`)."""

from __future__ import annotations

from analytics import keys
from analytics.models import ApiKey, Budget
from gateway import usage_stats
from gateway.api import old_quota
from gateway.api.schema import columns, installation, projects, shapes, usage
from gateway.api.schema.operations import Operation, Operations, Parameter, Schemas, found, made

TAG = "Old addresses"
_OWN_ORDER = "Put the models of a layer in order"

_NEVER_BELOW_0 = shapes.maybe(shapes.whole("Null where nobody can tell.", least=0))
_LIMIT = shapes.closed({"limit": shapes.whole(), "used": _NEVER_BELOW_0, "left": _NEVER_BELOW_0})
_USE = {
    "limits": shapes.closed(dict.fromkeys(keys.LIMITS, shapes.maybe(_LIMIT))),
    "budgets": shapes.many(shapes.ref("BudgetLeft")),
}
_OF_KEY = shapes.closed({"id": shapes.whole(), "name": shapes.text(), **_USE})
_OF_PROJECT = shapes.closed({"slug": shapes.text(), **_USE})
_QUOTA = {
    "object": shapes.always("quota"),
    "api_key": shapes.maybe(_OF_KEY),
    "project": shapes.maybe(_OF_PROJECT),
}
_FIGURES = usage.figures("usage") | usage.figures("latency")
_STATS = {
    "object": shapes.always("stats"),
    "span": shapes.ref("Span"),
    "totals": shapes.closed(_FIGURES),
    "layers": shapes.many(shapes.closed({"layer": shapes.maybe(shapes.text()), **_FIGURES})),
}
_WHOSE = {
    "api_key": shapes.maybe(shapes.whole()),
    "project": shapes.maybe(shapes.text()),
    "budget": shapes.maybe(shapes.whole()),
}
_OF_LIMITS = {name: columns.column(ApiKey._meta.get_field(name)) for name in keys.LIMITS}
_CHANGED = {"anyOf": [shapes.ref(name) for name in ("ApiKey", "Project", "Budget")]}

SCHEMAS: Schemas = {
    "Quota": shapes.closed(_QUOTA),
    "BudgetLeft": shapes.closed(
        {**projects.BUDGET, "left_usd": shapes.maybe(shapes.money("Null while nobody knows."))}
    ),
    "Stats": shapes.closed(_STATS),
}
OPERATIONS: Operations = {
    "/v1/stats": {
        "GET": Operation(
            summary="What happened in a span of time, in all and by layer",
            parameters=usage.parameters(usage_stats.PARAMETERS),
            answers=found(shapes.ref("Stats")),
            negotiates=False,
            is_old=True,
        )
    },
    "/v1/quota/status": {
        "GET": Operation(
            summary="Limits and budgets of a key or a project, with what is left",
            parameters=(Parameter("project", shapes.text(), "Its slug."),),
            answers=found(shapes.ref("Quota")),
            is_old=True,
        )
    },
    "/v1/quota/update": {
        "POST": Operation(
            summary="Change limits of a key or a project, or a budget's amount",
            about=old_quota.ONE_OF,
            body=columns.body(old_quota._KINDS, table=Budget, besides=_WHOSE | _OF_LIMITS),
            answers=found(_CHANGED),
            is_old=True,
        )
    },
    "/v1/traces/{request_id}": {
        "GET": Operation(summary="All about one request", answers=found(shapes.ref("Request")), is_old=True)
    },
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
