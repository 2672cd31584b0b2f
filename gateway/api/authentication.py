"""Who is asking: an API key looked up in the snapshot, and whether it may be used here. No query, no I/O; the same
class on both ways in. Beside it, on Django's own way alone: users by their access tokens, which asks the database."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from analytics import keys, user_tokens
from analytics.types import Caller, Scope
from gateway import client_address
from routing import snapshot

CHALLENGE = 'Bearer realm="gateway"'
NO_KEY = "Send an API key as 'Authorization: Bearer KEY'."
KEYS_ALONE = "This is a user's access token: this address takes API keys (agw_...) alone."
LONGEST_PATH_TOLD = 200
_TOKENS_BEGIN = "eyJ"
"""What `{"` is in base64."""


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer KEY`, as every OpenAI client sends it."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """The caller becomes `request.auth`. None when no bearer token was sent: another class may know the user."""
        header = request._request.META.get("HTTP_AUTHORIZATION", "")
        kind, _, secret = header.partition(" ")
        if kind.lower() != "bearer" or not secret.strip():
            return None
        secret = secret.strip()
        if not secret.startswith(keys.START) and _is_token(secret):
            return self.of_token(secret)
        caller = caller_of(secret)
        if caller.allowed_networks or caller.allowed_endpoints:
            _refuse_elsewhere(caller, request=request._request)
        return None, caller

    def of_token(self, token: str) -> tuple[Any, Any]:
        """Who sends a user's token. Raises: AuthenticationFailed."""
        raise exceptions.AuthenticationFailed(KEYS_ALONE, code="api_key_required")

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class BearerAuthentication(ApiKeyAuthentication):
    """An API key, or the access token of a user, who then has the authority that a session would give. Not for the
    short way: users are looked up in the database."""

    def of_token(self, token: str) -> tuple[Any, Any]:
        """The user, and what their token says of itself. Raises: AuthenticationFailed."""
        try:
            return user_tokens.user_of(token)
        except user_tokens.TokenProblem as problem:
            raise exceptions.AuthenticationFailed(str(problem), code=problem.code) from problem


def _is_token(secret: str) -> bool:
    """Whether it has the form of a JSON Web Token, or of one that was cut off."""
    return secret.startswith(_TOKENS_BEGIN) or secret.count(".") == 2


def caller_of(secret: str) -> Caller:
    """The caller an API key stands for. Raises: AuthenticationFailed saying why not, SnapshotError."""
    caller = snapshot.current().callers.get(keys.digest(secret))
    if caller is None:
        raise exceptions.AuthenticationFailed("This API key is not known.", code="invalid_api_key")
    if not caller.enabled and not caller.project_enabled:
        text = f"The project {caller.project!r} of this API key is disabled."
        raise exceptions.AuthenticationFailed(text, code="project_disabled")
    if not caller.enabled:
        raise exceptions.AuthenticationFailed("This API key is disabled.", code="api_key_disabled")
    if caller.expires_at is not None and caller.expires_at <= datetime.now(UTC):
        text = "This API key was rotated: use the new one." if caller.was_rotated else "This API key has expired."
        raise exceptions.AuthenticationFailed(text, code="api_key_expired")
    return caller


def _refuse_elsewhere(caller: Caller, *, request: HttpRequest) -> None:
    """Holds a key to the addresses and paths it is for. Raises: PermissionDenied."""
    if caller.allowed_networks:
        address = client_address.of(request.META)
        if address is None:
            text = "This API key may be used from certain addresses alone, and this request's address is not known."
            raise exceptions.PermissionDenied(text, code="address_not_allowed")
        if not client_address.is_within(address, caller.allowed_networks):
            text = f"This API key may not be used from {address}."
            raise exceptions.PermissionDenied(text, code="address_not_allowed")
    allowed = caller.allowed_endpoints
    if allowed and not any(fnmatchcase(request.path, pattern) for pattern in allowed):
        text = f"This API key may not be used for {request.path[:LONGEST_PATH_TOLD]}."
        raise exceptions.PermissionDenied(text, code="endpoint_not_allowed")


class IsCallerOrUser(BasePermission):
    """Any valid API key, or a signed-in user."""

    message = NO_KEY

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, Caller) or bool(request.user and request.user.is_authenticated)


def caller_from(request: Request) -> Caller:
    """The API key's caller. Raises: NotAuthenticated."""
    caller: Any = request.auth
    if not isinstance(caller, Caller):
        raise exceptions.NotAuthenticated(NO_KEY)
    return caller


class MayChat(BasePermission):
    """An API key with the scope `chat`."""

    message = "This API key lacks the scope 'chat'."

    def has_permission(self, request: Request, view: Any) -> bool:
        return Scope.CHAT in caller_from(request).scopes
