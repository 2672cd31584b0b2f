"""What users sign in with over the API: a short-lived access token and a refresh token that works once, both JSON Web
Tokens of simplejwt. Knows no requests but to hand one on to Django's authentication.

All refresh tokens that come of one signing in are a family. When one comes a second time, somebody has stolen it: the
family ends. What simplejwt keeps of each is its id and its family (`analytics.refresh_tokens`), no usable token.
simplejwt and its cryptography are imported when the first token is made or read: no command needs them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from analytics import sign_ins

if TYPE_CHECKING:
    from rest_framework_simplejwt.tokens import Token

    from analytics.refresh_tokens import FamilyToken

ACCESS, REFRESH = "access", "refresh"


class TokenProblem(Exception):
    """A token is of no use; the message is for whoever sent it."""

    def __init__(self, message: str, *, code: str = "invalid_token") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Pair:
    access: str = field(repr=False)
    refresh: str = field(repr=False)

    access_s: int
    refresh_s: int
    """Seconds from now on that each is valid."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a valid token says of itself."""

    kind: str
    """`ACCESS` or `REFRESH`."""
    expires_at: datetime


def sign_in(request: HttpRequest, *, name: str, password: str) -> tuple[Any, Pair] | None:
    """The user and their tokens; None where name or password is wrong, or they are locked out."""
    user = authenticate(request, username=get_user_model().normalize_username(name), password=password)
    if user is None:
        return None
    user_logged_in.send(sender=type(user), request=request, user=user)
    from analytics.refresh_tokens import FamilyToken

    return user, _pair(FamilyToken.for_user(user))


def renew(text: str) -> Pair:
    """A pair for a refresh token, which is used up. Raises: TokenProblem."""
    token = _refresh_token(text)
    with transaction.atomic():
        user = _locked_user(token)
        is_first = token.spend()
        if is_first:
            token.renew()
            return _pair(token)
        ended = token.end_family()
    if ended:
        sign_ins.reused(user)
    raise TokenProblem(
        "This refresh token was used before, or signed out: sign in again. If you did neither, somebody else has it.",
        code="token_reused",
    )


def end(text: str) -> None:
    """Signs out: no token of this refresh token's family is good for another. Raises: TokenProblem."""
    token = _refresh_token(text)
    with transaction.atomic():
        _locked_user(token)
        token.end_family()


def user_of(text: str) -> tuple[Any, Verified]:
    """Whose access token this is. Raises: TokenProblem."""
    from rest_framework_simplejwt.tokens import AccessToken

    token = _read(AccessToken, text)
    return _user(token), _verified(token)


def look(text: str) -> Verified:
    """Raises: TokenProblem where it would not work."""
    from rest_framework_simplejwt.tokens import UntypedToken

    found = _verified(_read(UntypedToken, text))
    if found.kind == REFRESH:
        token = _refresh_token(text)
        _user(token)
        if token.is_spent():
            raise TokenProblem("This refresh token was used before, or signed out.", code="token_reused")
    else:
        user_of(text)
    return found


def clear() -> int:
    """Drops what is kept of tokens that have expired; returns how many rows."""
    from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

    return OutstandingToken.objects.filter(expires_at__lte=timezone.now()).delete()[0]


def _refresh_token(text: str) -> FamilyToken:
    from analytics.refresh_tokens import FamilyToken

    token: FamilyToken = _read(FamilyToken, text)
    return token


def _read(kind: Any, text: str) -> Any:
    """Raises: TokenProblem."""
    from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

    try:
        return kind(text)
    except ExpiredTokenError as error:
        raise TokenProblem("This token has expired.", code="token_expired") from error
    except TokenError as error:
        said = str(error)
        raise TokenProblem(_WRONG_KIND if said == "Token has wrong type" else _INVALID) from error


_INVALID = "This is no valid token of this gateway."
_WRONG_KIND = "This is the wrong one of the two tokens: access tokens open addresses, refresh tokens get new ones."


def _user(token: Token) -> Any:
    """By simplejwt's own checks. Raises: TokenProblem."""
    from rest_framework.exceptions import AuthenticationFailed
    from rest_framework_simplejwt.authentication import JWTAuthentication

    try:
        return JWTAuthentication().get_user(token)
    except AuthenticationFailed as error:
        text = "This token is no longer valid: its user changed the password, or was switched off. Sign in again."
        raise TokenProblem(text) from error


def _locked_user(token: Token) -> Any:
    """Until the transaction ends nobody else renews or ends this user's tokens. Raises: TokenProblem."""
    get_user_model().objects.select_for_update().filter(pk=token["user_id"]).first()
    return _user(token)


def _pair(token: FamilyToken) -> Pair:
    lifetimes: list[timedelta] = [settings.SIMPLE_JWT[f"{kind}_TOKEN_LIFETIME"] for kind in ("ACCESS", "REFRESH")]
    return Pair(str(token.access_token), str(token), *(int(lifetime.total_seconds()) for lifetime in lifetimes))


def _verified(token: Token) -> Verified:
    return Verified(token["token_type"], datetime.fromtimestamp(token["exp"], UTC))
