"""The brake on guessing passwords: counts those that were wrong and says who is locked out, by django-axes' settings
and in its table. Answers nobody; pages and API alike come here, as Django's authentication does.

Kept are a user name, an address and a number, nothing else of what was sent. A name that no user has may be a password:
in its place stands a keyed hash, which counts as well and tells just as little whether there is such a user.
"""

from __future__ import annotations

import math
import threading
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from axes.backends import AxesStandaloneBackend
from axes.exceptions import AxesBackendRequestParameterRequired
from axes.handlers.database import AxesDatabaseHandler
from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, F, Max, Min, Q, QuerySet, Sum, When
from django.utils import timezone
from django.utils.crypto import salted_hmac

from analytics import sign_ins

NO_SUCH_USER = "?"
"""How what is counted for a name begins that no user has."""
KEPT_FOR = timedelta(days=1)
_TURNS = tuple(threading.Lock() for _ in range(256))


class CountingBackend(AxesStandaloneBackend, ModelBackend):  # type: ignore[misc]  # axes has no types
    """Django's, which counts failures before it says that it failed.

    Attempts for the same name from the same address wait for each other: those that come at once would all be looked at
    before the first is counted. Other processes do not wait, so that each may look at one more than the limit says.
    """

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **_: Any
    ) -> User | None:
        """Raises: PermissionDenied where they are locked out, which Django answers as a wrong password."""
        if username is None or password is None:
            return None
        if request is None:
            raise AxesBackendRequestParameterRequired("Signing in needs the request: its address is counted for.")
        AxesProxyHandler.update_request(request)
        name, address = counted_name(username), request.axes_ip_address
        with _TURNS[hash((name, address)) % len(_TURNS)]:
            AxesStandaloneBackend.authenticate(self, request, username=name)
            user = ModelBackend.authenticate(self, request, username=username, password=password)
            (_count if user is None else _forget)(name, address=address)
        return user

    async def aauthenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **_: Any
    ) -> User | None:
        """Else this would be a way around the count."""
        return await sync_to_async(self.authenticate)(request, username=username, password=password)


class Attempts(AxesDatabaseHandler):  # type: ignore[misc]
    """Axes' own, whose signals have nothing left to do: it would count behind the turn, and keep what was sent."""

    def is_locked(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        """How long for, is said to the request."""
        name = (credentials or {}).get("username", "")
        request.locked_for_s = locked_for_s(name, address=request.axes_ip_address)
        return bool(request.locked_for_s)

    def user_login_failed(self, *_: Any, **__: Any) -> None:
        pass

    def user_logged_in(self, *_: Any, **__: Any) -> None:
        pass

    def user_logged_out(self, *_: Any, **__: Any) -> None:
        pass


def counted_name(name: str) -> str:
    """The user's name, or what stands in the place of one that no user has."""
    if sign_ins.is_a_user(name):
        return name
    return NO_SUCH_USER + salted_hmac("analytics.guessing", name, algorithm="sha256").hexdigest()


def locked_for_s(name: str, *, address: str) -> int:
    """Seconds until this name may try again from this address; 0: at once."""
    since = _since()
    of_name = Q(username=name)
    found = AccessAttempt.objects.filter(ip_address=address, attempt_time__gt=since).aggregate(
        failures=Sum("failures_since_start", filter=of_name),
        last_at=Max("attempt_time", filter=of_name),
        of_address=Sum("failures_since_start"),
        first_at=Min("attempt_time"),
    )
    from_when = []
    if (found["failures"] or 0) >= settings.AXES_FAILURE_LIMIT:
        from_when.append(found["last_at"])
    if (found["of_address"] or 0) >= settings.ADDRESS_FAILURE_LIMIT:
        from_when.append(found["first_at"])
    return math.ceil((max(from_when) - since).total_seconds()) if from_when else 0


def clear() -> int:
    """Drops old attempts; returns how many."""
    dropped: tuple[int, object] = AccessAttempt.objects.filter(attempt_time__lt=timezone.now() - KEPT_FOR).delete()
    return dropped[0]


def _count(name: str, *, address: str) -> None:
    """One more failure. The one that locks out is told of: of a name once, of an address perhaps by two at once."""
    with transaction.atomic():
        failures = _add(name, address=address)
    for_s = settings.AXES_COOLOFF_TIME.total_seconds()
    if failures == settings.AXES_FAILURE_LIMIT:
        target = sign_ins.NOBODY if name.startswith(NO_SUCH_USER) else name
        sign_ins.locked(target, failures=failures, for_s=for_s)
    of_address = _of_address(address)
    if of_address >= settings.ADDRESS_FAILURE_LIMIT:
        sign_ins.locked(f"everybody at {address}", failures=of_address, for_s=for_s)


def _add(name: str, *, address: str) -> int:
    """How many there are now. The row is locked from the first statement on."""
    rows = AccessAttempt.objects.filter(username=name, ip_address=address, user_agent="")
    if not _increase(rows):
        nothing = dict.fromkeys(("get_data", "post_data", "http_accept", "path_info"), "")
        _, is_new = rows.get_or_create(
            username=name, ip_address=address, user_agent="", defaults={"failures_since_start": 1, **nothing}
        )
        if not is_new:
            _increase(rows)
    number: int = rows.values_list("failures_since_start", flat=True).get()
    return number


def _increase(rows: QuerySet[AccessAttempt]) -> int:
    """What was before the pause is forgotten."""
    one_more = When(attempt_time__gt=_since(), then=F("failures_since_start") + 1)
    return rows.update(failures_since_start=Case(one_more, default=1), attempt_time=timezone.now())


def _of_address(address: str) -> int:
    rows = AccessAttempt.objects.filter(ip_address=address, attempt_time__gt=_since())
    return rows.aggregate(failures=Sum("failures_since_start"))["failures"] or 0


def _forget(name: str, *, address: str) -> None:
    AccessAttempt.objects.filter(username=name, ip_address=address).delete()


def _since() -> datetime:
    return timezone.now() - settings.AXES_COOLOFF_TIME
