"""`/v1/admin/providers`, `models`, `prices`, `layers` and `policy`: what all projects share."""

from __future__ import annotations

from gateway.api import admin_layers, admin_models, admin_providers
from gateway.api.schema import columns, shapes
from gateway.api.schema.operations import ROW_ID, Operation, Operations, Parameter, answer, found, made, of_pages
from gateway.api.schema.shapes import Fields
from gateway.mending import Trouble
from providers.models import Model, Price, Provider
from providers.types import Capability, Unit
from routing import candidate_rows, layer_rows, model_rows, policy_rows, vendor_rows
from routing.models import Candidate, Layer, Policy

TAG = "Installation"
_TIMES = {"created_at": shapes.moment(), "updated_at": shapes.moment()}
_STANDS: Fields = {
    "state": shapes.one_of(["set", "missing", "unreadable", "not_needed"]),
    "source": shapes.maybe(shapes.one_of(["environment", "stored"])),
    "env_var": shapes.maybe(shapes.text()),
    "last_four": shapes.maybe(shapes.text()),
}
_PROBLEM = shapes.closed({name: shapes.text() for name in ("kind", "says", "mend")})
_PLACE = columns.answers(Candidate, candidate_rows.EDITABLE)
_PRICE: Fields = {
    "id": shapes.whole(),
    "unit": shapes.one_of(Unit),
    "from_tokens": shapes.whole("Holds from this many input tokens on."),
    "usd": shapes.money(),
    "per": shapes.text("`million` tokens, or what is counted one by one."),
    "valid_from": shapes.moment(),
    "in_force": shapes.flag(),
}
_POLICY = columns.answers(Policy, [name for name in policy_rows.EDITABLE if name != "default_layer"])
_LAYER: Fields = {
    "object": shapes.always("layer"),
    **columns.answers(Layer, layer_rows.EDITABLE),
    "candidates": shapes.many(shapes.closed({"model": shapes.text(), **_PLACE}), "In the order of trying."),
}

SCHEMAS = {
    "Provider": shapes.closed(
        {
            "object": shapes.always("provider"),
            **columns.answers(Provider, ("slug", *vendor_rows.EDITABLE)),
            "credential": shapes.closed(_STANDS),
            "models": shapes.whole("How many it has."),
            **_TIMES,
        }
    ),
    "Credential": shapes.closed({"object": shapes.always("credential"), "provider": shapes.text(), **_STANDS}),
    "ProviderTest": shapes.closed(
        {
            "object": shapes.always("provider.test"),
            "provider": shapes.text(),
            "ok": shapes.flag(),
            "status": shapes.one_of(["well", *Trouble]),
            "models": shapes.maybe(shapes.whole("How many its list has.")),
            "latency_ms": shapes.maybe(shapes.whole()),
            "error": shapes.maybe(shapes.text()),
            "problems": shapes.many(_PROBLEM),
        }
    ),
    "Model": shapes.closed(
        {
            "object": shapes.always("model"),
            "id": shapes.text("`provider/name`."),
            "provider": shapes.text(),
            "name": shapes.text(),
            **columns.answers(Model, model_rows.EDITABLE),
            "capabilities": shapes.many(shapes.one_of(Capability)),
            "layers": shapes.many(shapes.closed({"layer": shapes.text(), **_PLACE})),
            "prices": shapes.many(shapes.closed(_PRICE)),
            **_TIMES,
        }
    ),
    "Price": shapes.closed({"object": shapes.always("price"), "model": shapes.text(), **_PRICE}),
    "Layer": shapes.closed(_LAYER),
    "Candidate": shapes.closed(
        {"object": shapes.always("candidate"), "layer": shapes.text(), "model": shapes.text(), **_PLACE}
    ),
    "Policy": shapes.closed({"object": shapes.always("policy"), "default_layer": shapes.text(), **_POLICY}),
}

ENABLED = Parameter("enabled", shapes.one_of(["true", "false"]))
WITH_CANDIDATES = Parameter(
    "with_candidates", shapes.one_of(["true", "false"]), "Whether models are taken out of their layers on the way."
)
BY_SLUG = of_pages(shapes.text())
IN_USE = frozenset({409})
LIST_OF_PROVIDERS = shapes.page_of("Provider", last=shapes.text())
NEW_PROVIDER = columns.body(admin_providers.KINDS, table=Provider, required=("slug", "base_url"))
PROVIDER_CHANGES = columns.body(admin_providers.KINDS, table=Provider, fixed=vendor_rows.FIXED)
PROVIDER_GONE = shapes.deleted("provider", slug=shapes.text())
NEW_MODEL = columns.body(admin_models.KINDS, table=Model, required=("provider", "name"))
MODEL_CHANGES = columns.body(admin_models.KINDS, table=Model, fixed=model_rows.FIXED)
MODEL_GONE = shapes.deleted("model", id=shapes.text())
NEW_ORDER = shapes.closed({"models": shapes.texts("All of them, as `provider/name`; left out: none.")}, required=())
CANDIDATES = shapes.listed("Candidate")
_LAYER_BODY = columns.body(admin_layers._KINDS, table=Layer)
_CANDIDATE_BODY = columns.body(admin_layers._CANDIDATE, table=Candidate)

_PROVIDERS: Operations = {
    "/v1/admin/providers": {
        "GET": Operation(summary="List providers", parameters=(*BY_SLUG, ENABLED), answers=found(LIST_OF_PROVIDERS)),
        "POST": Operation(summary="Make a provider", body=NEW_PROVIDER, answers=made(shapes.ref("Provider"))),
    },
    "/v1/admin/providers/{slug}": {
        "GET": Operation(summary="One provider", answers=found(shapes.ref("Provider"))),
        "PATCH": Operation(summary="Change a provider", body=PROVIDER_CHANGES, answers=found(shapes.ref("Provider"))),
        "DELETE": Operation(
            summary="Delete a provider, its credential, models and prices",
            parameters=(WITH_CANDIDATES,),
            answers=found(PROVIDER_GONE, "Deleted."),
            refusals=IN_USE,
        ),
    },
    "/v1/admin/providers/{slug}/credential": {
        "PUT": Operation(
            summary="Set a provider's credential",
            about="`value`, or the name of a variable of the gateway's environment. It is never told again.",
            body=columns.body(admin_providers._CREDENTIAL),
            answers=found(shapes.ref("Credential")),
        ),
        "DELETE": Operation(summary="Remove a provider's credential", answers=found(shapes.ref("Credential"))),
    },
    "/v1/admin/providers/{slug}/test": {
        "POST": Operation(
            summary="Ask a provider for its list of models",
            about="Which is free.",
            body=shapes.closed({}),
            answers=found(shapes.ref("ProviderTest"), "What came of it."),
        )
    },
}
_MODELS: Operations = {
    "/v1/admin/models": {
        "GET": Operation(
            summary="List models",
            parameters=(
                *BY_SLUG,
                Parameter("provider", shapes.text(), "Its slug."),
                Parameter("layer", shapes.text(), "Its name."),
                ENABLED,
                Parameter("q", shapes.text(), "A part of the name or title."),
            ),
            answers=found(shapes.page_of("Model", last=shapes.text())),
        ),
        "POST": Operation(summary="Make a model", body=NEW_MODEL, answers=made(shapes.ref("Model"))),
    },
    "/v1/admin/models/{name}": {
        "GET": Operation(summary="One model, by provider/name", answers=found(shapes.ref("Model"))),
        "PATCH": Operation(summary="Change a model", body=MODEL_CHANGES, answers=found(shapes.ref("Model"))),
        "DELETE": Operation(
            summary="Delete a model and its prices",
            parameters=(WITH_CANDIDATES,),
            answers=found(MODEL_GONE, "Deleted."),
            refusals=IN_USE,
        ),
    },
    "/v1/admin/prices": {
        "GET": Operation(
            summary="List prices, newest first",
            parameters=(
                *of_pages(ROW_ID),
                Parameter("model", shapes.text(), "As provider/name."),
            ),
            answers=found(shapes.page_of("Price", last=shapes.whole())),
        ),
        "POST": Operation(
            summary="Add a price",
            body=columns.body(
                admin_models._PRICE,
                table=Price,
                required=("model", "unit", "usd"),
                besides={"unit": shapes.one_of(Unit)},
            ),
            answers={**made(shapes.ref("Price")), 200: answer(shapes.ref("Price"), "It holds already.")},
        ),
    },
    "/v1/admin/prices/{price_id}": {
        "GET": Operation(summary="One price", answers=found(shapes.ref("Price"))),
        "DELETE": Operation(
            summary="Take a price back before it holds",
            answers=found(shapes.deleted("price", id=shapes.whole()), "Deleted."),
            refusals=IN_USE,
        ),
    },
}
_LAYERS: Operations = {
    "/v1/admin/layers": {
        "GET": Operation(
            summary="List layers, cheapest first",
            parameters=of_pages(ROW_ID),
            answers=found(shapes.page_of("Layer", last=shapes.whole())),
        ),
        "POST": Operation(
            summary="Make a layer",
            body=_LAYER_BODY | {"required": ["name", "from_score"]},
            answers=made(shapes.ref("Layer")),
        ),
        "PUT": Operation(
            summary="Put the layers in order",
            body=shapes.closed({"layers": shapes.texts("The names of all of them; left out: none.")}, required=()),
            answers=found(shapes.listed("Layer")),
        ),
    },
    "/v1/admin/layers/{name}": {
        "GET": Operation(summary="One layer", answers=found(shapes.ref("Layer"))),
        "PATCH": Operation(
            summary="Change a layer", body=_LAYER_BODY, answers=found(shapes.ref("Layer")), refusals=IN_USE
        ),
        "DELETE": Operation(
            summary="Delete a layer",
            answers=found(shapes.deleted("layer", name=shapes.text()), "Deleted."),
            refusals=IN_USE,
        ),
    },
    "/v1/admin/layers/{name}/candidates": {
        "GET": Operation(summary="Models of a layer in order", answers=found(CANDIDATES)),
        "PUT": Operation(summary="Put the models of a layer in order", body=NEW_ORDER, answers=found(CANDIDATES)),
    },
    "/v1/admin/layers/{name}/candidates/{model}": {
        "GET": Operation(summary="A model's place in a layer", answers=found(shapes.ref("Candidate"))),
        "POST": Operation(
            summary="Put a model into a layer", body=_CANDIDATE_BODY, answers=made(shapes.ref("Candidate"))
        ),
        "PATCH": Operation(
            summary="Change a model's place in a layer", body=_CANDIDATE_BODY, answers=found(shapes.ref("Candidate"))
        ),
        "DELETE": Operation(
            summary="Take a model out of a layer",
            answers=found(shapes.deleted("candidate", layer=shapes.text(), model=shapes.text()), "Taken out."),
        ),
    },
    "/v1/admin/policy": {
        "GET": Operation(summary="The policy", answers=found(shapes.ref("Policy")), refusals=frozenset({404})),
        "PATCH": Operation(
            summary="Change the policy",
            body=columns.body(admin_layers._POLICY, table=Policy),
            answers=found(shapes.ref("Policy")),
        ),
    },
}
OPERATIONS: Operations = {**_PROVIDERS, **_MODELS, **_LAYERS}
