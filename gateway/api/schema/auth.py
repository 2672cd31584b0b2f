"""`/v1/auth/*`: signing in and out with tokens."""

from __future__ import annotations

from analytics.models import Role
from analytics.types import Scope
from gateway.api.auth import LONGEST_NAME, LONGEST_SECRET
from gateway.api.schema import shapes
from gateway.api.schema.operations import Access, Operation, Operations, answer
from gateway.api.schema.shapes import Fields

TAG = "Signing in"
_SECRET = shapes.text(maxLength=LONGEST_SECRET)
_PAIR: Fields = {
    "access": shapes.text("For `Authorization: Bearer`."),
    "refresh": shapes.text("Works once."),
    "token_type": shapes.always("Bearer"),
    "expires_in": shapes.whole("Seconds, of the access token."),
    "refresh_expires_in": shapes.whole("Seconds."),
}
_USER = shapes.closed(
    {
        "name": shapes.text(),
        "is_superuser": shapes.flag(),
        "projects": shapes.many(shapes.closed({"project": shapes.text(), "role": shapes.one_of(Role.values)})),
    }
)
_KEY = shapes.closed(
    {
        "id": shapes.maybe(shapes.whole()),
        "name": shapes.text(),
        "prefix": shapes.text(),
        "project": shapes.text(),
        "scopes": shapes.many(shapes.one_of(Scope)),
        "expires_at": shapes.maybe(shapes.moment()),
    }
)
_WHO = shapes.closed(
    {
        "signed_in": shapes.flag(),
        "by": shapes.one_of(["api_key", "session", "token"]),
        "expires_at": shapes.moment("Of a token."),
        "user": shapes.maybe(_USER),
        "api_key": shapes.maybe(_KEY),
    },
    required=["signed_in"],
)
_TOKEN = shapes.closed(
    {"valid": shapes.always(True), "kind": shapes.one_of(["access", "refresh"]), "expires_at": shapes.moment()}
)

SCHEMAS = {"TokenPair": shapes.closed(_PAIR), "User": _USER, "Who": _WHO}


def _post(summary: str, sent: Fields, told: shapes.Shape, *refusals: int) -> dict[str, Operation]:
    return {
        "POST": Operation(
            summary=summary,
            access=Access.ANYBODY,
            body=shapes.closed(sent),
            answers={200: answer(told, "So it is.")},
            refusals=frozenset({401, *refusals}),
        )
    }


_SIGNED_IN = shapes.closed({**_PAIR, "user": shapes.ref("User")})
_SIGNED_OUT = shapes.closed({"signed_out": shapes.always(True)})
OPERATIONS: Operations = {
    "/v1/auth/login": _post(
        "Sign in", {"username": shapes.text(maxLength=LONGEST_NAME), "password": _SECRET}, _SIGNED_IN, 429
    ),
    "/v1/auth/refresh": _post("Renew tokens", {"refresh": _SECRET}, shapes.ref("TokenPair")),
    "/v1/auth/verify": _post("Look whether a token works", {"token": _SECRET}, _TOKEN),
    "/v1/auth/logout": _post("Sign out", {"refresh": _SECRET}, _SIGNED_OUT),
    "/v1/auth/status": {
        "GET": Operation(
            summary="Who is signed in",
            access=Access.WHOEVER_IT_IS,
            answers={200: answer(shapes.ref("Who"), "Nobody is no error.")},
        )
    },
}
