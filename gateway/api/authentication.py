"""Who is asking: an API key looked up in the snapshot. No query, no I/O; the same class on both ways in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from analytics import keys
from analytics.types import Caller, Scope
from routing import snapshot

NO_KEY = "Send an API key as 'Authorization: Bearer KEY'."


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer KEY`, as every OpenAI client sends it."""

    def authenticate(self, request: Request) -> tuple[None, Caller] | None:
        """The caller becomes `request.auth`. None when no bearer token was sent: another class may know the user."""
        header = request._request.META.get("HTTP_AUTHORIZATION", "")
        kind, _, secret = header.partition(" ")
        if kind.lower() != "bearer" or not secret.strip():
            return None
        return None, caller_of(secret.strip())

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="gateway"'


def caller_of(secret: str) -> Caller:
    """The caller an API key stands for. Raises: AuthenticationFailed saying why not, SnapshotError."""
    caller = snapshot.current().callers.get(keys.digest(secret))
    if caller is None:
        raise exceptions.AuthenticationFailed("This API key is not known.", code="invalid_api_key")
    if not caller.enabled:
        raise exceptions.AuthenticationFailed("This API key is disabled.", code="api_key_disabled")
    if caller.expires_at is not None and caller.expires_at <= datetime.now(UTC):
        raise exceptions.AuthenticationFailed("This API key has expired.", code="api_key_expired")
    return caller


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
