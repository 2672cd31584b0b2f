"""`/v1/auth/*`: signing in and out by API, with tokens, and who is signed in. Nothing here may be kept by a cache."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.request import Request

from analytics import authority, user_tokens
from analytics.types import Caller
from analytics.user_tokens import Pair, TokenProblem, Verified
from gateway.api import managing
from gateway.api.authentication import CHALLENGE
from gateway.api.managing import BodyView

LONGEST_NAME = 150
LONGEST_SECRET = 4096
"""Of passwords and tokens: longer ones only cost time."""
WRONG = "The user name or the password is wrong."


class _AuthView(BodyView):
    """For anybody: what is sent in the body says who they are, whatever the headers say."""

    authentication_classes = []
    permission_classes = []

    def get_authenticate_header(self, request: Request) -> str:
        return CHALLENGE

    def handle_exception(self, exc: Exception) -> Any:
        known = exceptions.AuthenticationFailed(str(exc), code=exc.code) if isinstance(exc, TokenProblem) else exc
        return super().handle_exception(known)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response.headers["Cache-Control"] = "no-store"
        return super().finalize_response(request, response, *args, **kwargs)


class LoginView(_AuthView):
    def post(self, request: Request) -> HttpResponse:
        sent = _sent(request, username=_name, password=_secret)
        found = user_tokens.sign_in(request._request, name=sent["username"], password=sent["password"])
        if found is None:
            raise exceptions.AuthenticationFailed(WRONG, code="wrong_credentials")
        user, pair = found
        return JsonResponse(pair_json(pair) | {"user": user_json(user)})


class RefreshView(_AuthView):
    def post(self, request: Request) -> HttpResponse:
        return JsonResponse(pair_json(user_tokens.renew(_sent(request, refresh=_secret)["refresh"])))


class VerifyView(_AuthView):
    def post(self, request: Request) -> HttpResponse:
        return JsonResponse({"valid": True, **token_json(user_tokens.look(_sent(request, token=_secret)["token"]))})


class LogoutView(_AuthView):
    def post(self, request: Request) -> HttpResponse:
        user_tokens.end(_sent(request, refresh=_secret)["refresh"])
        return JsonResponse({"signed_out": True})


class StatusView(_AuthView):
    """Nobody is no error, so that a page may ask; a key or token that is wrong is one, as everywhere."""

    authentication_classes = list(BodyView.authentication_classes)

    def get(self, request: Request) -> HttpResponse:
        auth: Any = request.auth
        return JsonResponse(who_json(request.user, auth))


def pair_json(pair: Pair) -> dict[str, Any]:
    return {
        "access": pair.access,
        "refresh": pair.refresh,
        "token_type": "Bearer",
        "expires_in": pair.access_s,
        "refresh_expires_in": pair.refresh_s,
    }


def who_json(user: Any, auth: Caller | Verified | None) -> dict[str, Any]:
    if isinstance(auth, Caller):
        return {"signed_in": True, "by": "api_key", "user": None, "api_key": key_json(auth)}
    if user is None or not user.is_authenticated:
        return {"signed_in": False}
    by = {"by": "session"} if auth is None else {"by": "token", "expires_at": _text(auth.expires_at)}
    return {"signed_in": True, **by, "user": user_json(user), "api_key": None}


def user_json(user: Any) -> dict[str, Any]:
    projects = [{"project": slug, "role": role} for slug, role in authority.roles_of(user)]
    return {"name": user.get_username(), "is_superuser": user.is_superuser, "projects": projects}


def key_json(caller: Caller) -> dict[str, Any]:
    return {
        "id": caller.key_id,
        "name": caller.key_name,
        "prefix": caller.key_prefix,
        "project": caller.project,
        "scopes": sorted(caller.scopes),
        "expires_at": None if caller.expires_at is None else _text(caller.expires_at),
    }


def token_json(found: Verified) -> dict[str, Any]:
    return {"kind": found.kind, "expires_at": _text(found.expires_at)}


def _sent(request: Request, **kinds: managing.Kind) -> dict[str, str]:
    """The body's fields, all of them. Raises: BadBody, ValidationError naming those that are wrong or missing."""
    fields = managing.changes(request, kinds)
    if missing := [name for name in kinds if name not in fields]:
        raise ValidationError({name: ["This is missing."] for name in missing})
    return fields


def _name(value: object) -> str:
    name = managing.text(value)
    if len(name) > LONGEST_NAME:
        raise ValidationError(f"A user name has at most {LONGEST_NAME} characters.")
    return name


def _secret(value: object) -> str:
    """A password may hold whatever can be typed."""
    if not isinstance(value, str):
        raise ValidationError("Use a text.")
    if len(value) > LONGEST_SECRET:
        raise ValidationError(f"Use at most {LONGEST_SECRET} characters.")
    return value


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
