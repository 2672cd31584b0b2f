"""`/v1/chat/completions` and the dry run of it."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.api import bodies
from gateway.api.schema import shapes
from gateway.api.schema.operations import EVENTS, JSON, Access, Answer, Operation, Operations, Parameter, answer
from gateway.api.schema.refusals import DROPPED
from gateway.api.schema.shapes import Shape
from providers.types import Capability

TAG = "Chat"


def _request(*, required: tuple[str, ...]) -> Shape:
    """What must have its type for the gateway to route; whatever else there is goes to the provider as it is."""
    _, found = msgspec.json.schema_components([bodies._Chat], ref_template="#/components/schemas/Chat{name}")
    shape: dict[str, Any] = found["_Chat"]
    fields: dict[str, Any] = shape["properties"]
    for name in ("max_tokens", "max_completion_tokens", "n"):
        fields[name] = shapes.maybe(shapes.whole(least=1))
    ids = shapes.text(maxLength=bodies.LONGEST_ID)
    about = "auto, auto:L2, a layer's name, a model's id, or provider/model."
    fields["model"] = ids | {"minLength": 1, "description": about}
    fields["models"] = shapes.many(ids, "These instead, in this order.", maxItems=bodies.MOST_MODELS)
    fields["messages"] = shapes.many({"type": "object"}, "As the provider takes them.", minItems=1)
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": True}


def _parts() -> dict[str, Shape]:
    """Of the request."""
    _, found = msgspec.json.schema_components([bodies._Chat], ref_template="#/components/schemas/Chat{name}")
    return {f"Chat{name}": shape for name, shape in found.items() if name != "_Chat"}


def _header(name: str, shape: Shape, about: str) -> Parameter:
    """An empty one is none."""
    return Parameter(name, {"anyOf": [shape, shapes.always("")]}, about, "header")


_HEADERS = (
    _header("X-Gateway-Layer", shapes.text(), "Enter at this layer; `=L2` stays in it."),
    _header("X-Gateway-Max-Cost", shapes.number(least=0), "Drop models that may cost more, in USD."),
    _header("X-Gateway-Timeout-Ms", shapes.number(least=1), "Of the whole request, retries included."),
    _header("X-Gateway-Max-Attempts", shapes.whole(least=1), "Retries and fall-backs included."),
    _header("X-Session-Id", shapes.text(), "Stays with its model among equals; stands in the ledger."),
)
_OF_ANTHROPIC = Parameter("anthropic-beta", shapes.text(), "Passed on to Anthropic's models.", "header")
_TOLD = {
    "X-Gateway-Request-Id": shapes.text("Of the ledger's row.", format="uuid"),
    "X-Gateway-Provider": shapes.text(),
    "X-Gateway-Model": shapes.text(),
    "X-Gateway-Layer": shapes.text("Empty for a model that is in none."),
    "X-Gateway-Score": shapes.text("How hard the request looks, 0 to 1."),
    "X-Gateway-Attempts": shapes.text("How many were made."),
    "X-Gateway-Warnings": shapes.text("What was left out or changed on the way."),
    "X-Gateway-Cost-USD": shapes.money("Of a JSON answer; a stream says it in a comment before `[DONE]`."),
    "X-Gateway-Capped": shapes.text("`budget`, where a budget shortened the answer."),
    **{
        f"X-RateLimit-{what}-{of}": shapes.text()
        for what in ("Limit", "Remaining", "Reset")
        for of in ("Requests", "Tokens")
    },
}
_COMPLETION: Shape = {
    "type": "object",
    "description": "What the provider answered: OpenAI's chat.completion.",
    "properties": {"choices": shapes.many({"type": "object"}), "model": {}, "usage": {}},
    "required": ["choices"],
}
_STREAM = shapes.text("OpenAI's chunks as server-sent events; an error after the first content is an event too.")

_ATTEMPT = shapes.closed(
    {
        "model": shapes.text(),
        "provider": shapes.text(),
        "layer": shapes.text(),
        "priority": shapes.whole(),
        "cost_usd_at_most": shapes.maybe(shapes.money()),
    }
)
_DECISION = shapes.closed(
    {
        "score": shapes.maybe(shapes.number("How hard the request looks, 0 to 1.")),
        "reasons": shapes.many(shapes.closed({"name": shapes.text(), "points": shapes.number()})),
        "entry": shapes.maybe(shapes.text("The layer it enters.")),
        "entry_reason": shapes.text(),
        "max_attempts": shapes.whole(),
        "deadline_s": shapes.number(),
        "is_last_resort": shapes.flag("Whether every model left is out of order."),
        "input_tokens_at_most": shapes.whole(),
        "capabilities": shapes.many(shapes.one_of(Capability), "That the request needs."),
        "attempts": shapes.many(_ATTEMPT, "In the order in which they would be made."),
        **DROPPED,
        "warnings": shapes.texts(),
    }
)

SCHEMAS = {
    **_parts(),
    "ChatRequest": _request(required=("model", "messages")),
    "RouteRequest": _request(required=("messages",)),
    "ChatCompletion": _COMPLETION,
    "Decision": _DECISION,
}
OPERATIONS: Operations = {
    "/v1/chat/completions": {
        "POST": Operation(
            summary="Answer a chat",
            about="As JSON, or with `stream: true` as server-sent events. Everything in the body that is not named "
            "here goes to the provider as it is.",
            access=Access.KEYS,
            parameters=(*_HEADERS, _OF_ANTHROPIC),
            body=shapes.ref("ChatRequest"),
            answers={
                200: Answer("The answer.", {JSON: shapes.ref("ChatCompletion"), EVENTS: _STREAM}, _TOLD),
            },
            refusals=frozenset({402, 404, 408, 429, 502, 504, "4XX"}),
            error="ChatError",
            negotiates=False,
        )
    },
    "/v1/route": {
        "POST": Operation(
            summary="Say what would become of a chat",
            about="A dry run: score, plan, and every model that was left out. Nobody is called.",
            access=Access.KEYS,
            parameters=_HEADERS,
            body=shapes.ref("RouteRequest"),
            answers={200: answer(shapes.ref("Decision"), "The decision.")},
            refusals=frozenset({404}),
        )
    },
}
