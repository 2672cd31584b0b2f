"""`/v1/models`, its layers, and how models do: what any key and any user may look at. Health of the process, too."""

from __future__ import annotations

from gateway.api.schema import columns, shapes
from gateway.api.schema.operations import Access, Operation, Operations, answer, found
from providers.types import Capability
from routing.circuit import State
from routing.models import CircuitTransition

TAG = "Models"
_UNITS = shapes.by_name(shapes.money(), "By unit, such as `input`.")
_MODEL = shapes.closed(
    {
        "id": shapes.text("What `model` of a chat may say."),
        "object": shapes.always("model"),
        "created": shapes.whole("Seconds since 1970."),
        "owned_by": shapes.text("The first provider that has it."),
        "title": shapes.text(),
        "layer": shapes.maybe(shapes.text()),
        "providers": shapes.texts(),
        "context_tokens": shapes.maybe(shapes.whole()),
        "max_output_tokens": shapes.maybe(shapes.whole()),
        "capabilities": shapes.many(shapes.one_of(Capability)),
        "usd_per_million": _UNITS,
        "usd_each": _UNITS,
    }
)
_PLACE = shapes.closed(
    {
        "id": shapes.text(),
        "provider": shapes.text(),
        "priority": shapes.whole("0 is tried first."),
        "weight": shapes.maybe(shapes.number()),
    }
)
_LAYER = shapes.closed(
    {
        "id": shapes.text(),
        "object": shapes.always("layer"),
        "title": shapes.text(),
        "from_score": shapes.number("Requests that look at least this hard enter here."),
        "models": shapes.many(_PLACE),
    }
)
_LAYERS = shapes.closed(
    {
        "object": shapes.always("list"),
        "default": shapes.maybe(shapes.text("Entered when a request cannot be judged.")),
        "data": shapes.many(_LAYER),
    }
)
_STATE = shapes.one_of(State)
_TRANSITION = shapes.closed(
    {
        "at": shapes.moment(),
        "model": shapes.text(),
        "provider": shapes.text(),
        "from": _STATE,
        "to": _STATE,
        **columns.answers(CircuitTransition, ["cause", "until"]),
    }
)
_HEALTH = shapes.closed(
    {
        "model": shapes.text(),
        "provider": shapes.text(),
        "layer": shapes.maybe(shapes.text()),
        "priority": shapes.whole(),
        "state": _STATE,
        "cause": shapes.maybe(shapes.text("Why it is left alone.")),
        "since": shapes.maybe(shapes.moment()),
        "until": shapes.maybe(shapes.moment("When it is tried again.")),
        "failed_tries": shapes.whole(),
        "calls": shapes.whole("In the last half minute."),
        "failures": shapes.whole(),
        "failure_share": shapes.number(),
        "last_transition": shapes.maybe(_TRANSITION),
    }
)
_READINESS = shapes.closed(
    {
        "status": shapes.one_of(["ready", "degraded", "not ready"]),
        "reasons": shapes.texts("Why it may not be sent requests."),
        "degraded": shapes.texts("What is wrong while requests are answered."),
    }
)

SCHEMAS = {"ListedModel": _MODEL, "ListedLayers": _LAYERS, "ModelHealth": _HEALTH, "Readiness": _READINESS}
OPERATIONS: Operations = {
    "/v1/models": {"GET": Operation(summary="List the models there are", answers=found(shapes.listed("ListedModel")))},
    "/v1/models/{name}": {"GET": Operation(summary="One model", answers=found(shapes.ref("ListedModel")))},
    "/v1/models/layers": {
        "GET": Operation(summary="Layers, cheapest first", answers=found(shapes.ref("ListedLayers")))
    },
    "/v1/health/routes": {
        "GET": Operation(
            summary="Which models are well, and which are left alone", answers=found(shapes.listed("ModelHealth"))
        )
    },
    "/health": {
        "GET": Operation(
            summary="Whether the process is alive",
            access=Access.ANYBODY,
            answers=found(shapes.closed({"status": shapes.always("ok")}), "It is."),
            never=frozenset({503}),
            negotiates=False,
        )
    },
    "/health/ready": {
        "GET": Operation(
            summary="Whether the process may be sent requests",
            access=Access.ANYBODY,
            answers={
                200: answer(shapes.ref("Readiness"), "Ready, or degraded and still of use."),
                503: answer(shapes.ref("Readiness"), "Not ready."),
            },
        )
    },
}
