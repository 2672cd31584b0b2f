"""System events of signing in: `login.accepted`, `.refused`, `.locked`, `.token_reused`. Decides nothing; Django's own
signals call it, and those who lock out (`analytics.guessing`) or see a token twice (`analytics.user_tokens`).

A name is written down only where such a user exists: people type passwords into that field. At most one refusal a
minute is written for the same address and name, and the next one says how many were left out.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.exceptions import ValidationError
from django.utils import timezone

from analytics import audit, audit_context, visibility
from analytics.models import AuditEntry, Severity

REFUSED, ACCEPTED = "login.refused", "login.accepted"
LOCKED, REUSED = "login.locked", "login.token_reused"
NOBODY = "an unknown user"
ONCE_IN = timedelta(minutes=1)
MOST_COUNTED = 10_000
"""Pairs of address and name; the oldest are forgotten."""

_left_out: OrderedDict[tuple[str | None, str], int] = OrderedDict()
_counting = threading.Lock()


def begin() -> None:
    """Called once, when every app is there."""
    user_login_failed.connect(_failed, dispatch_uid="audit sign-ins")
    user_logged_in.connect(_logged_in, dispatch_uid="audit sign-ins")


def refused(name: object, *, why: str = "") -> None:
    """Somebody could not sign in under this name; `why`, where the password was right."""
    target, address = name if is_a_user(name) else NOBODY, audit_context.address()
    since = timezone.now() - ONCE_IN
    # Two at once may both find nothing: then there are two entries.
    is_told = AuditEntry.objects.filter(action=REFUSED, target=target, address=address, at__gt=since).exists()
    left_out = _count(address, str(target), is_told=is_told)
    if not is_told:
        after = ({"why": why} if why else {}) | ({"left_out_before": left_out} if left_out else {})
        audit.record(
            REFUSED, actor=audit_context.UNKNOWN, target=str(target), after=after or None, severity=Severity.WARNING
        )


def is_a_user(name: object) -> bool:
    users = get_user_model()
    by_name = {users.USERNAME_FIELD: name}
    return isinstance(name, str) and "\0" not in name and users._default_manager.filter(**by_name).exists()


def locked(target: str, *, failures: int, for_s: float) -> None:
    """Whoever tries next as `target` from here is turned away."""
    after = {"failures": failures, "for_s": int(for_s)}
    audit.record(LOCKED, actor=audit_context.UNKNOWN, target=target, after=after, severity=Severity.WARNING)


def reused(user: Any) -> None:
    """A refresh token came a second time, and what came of its first was ended: one of the two has stolen it."""
    name = user.get_username()
    audit.record(REUSED, actor=audit_context.UNKNOWN, target=name, severity=Severity.WARNING)


class DashboardForm(AuthenticationForm):
    """For whom the dashboard is there. Django refuses others without a signal."""

    error_messages = {
        **AuthenticationForm.error_messages,
        "not_for_you": "The dashboard is for members of a project: a superuser can put you into your first one.",
    }

    def confirm_login_allowed(self, user: Any) -> None:
        super().confirm_login_allowed(user)
        if not visibility.may_use_dashboard(user):
            refused(user.get_username(), why="not for the dashboard")
            raise ValidationError(self.error_messages["not_for_you"], code="not_for_you")


def _failed(credentials: Mapping[str, Any], **_: Any) -> None:
    refused(credentials.get(get_user_model().USERNAME_FIELD))


def _logged_in(user: Any, **_: Any) -> None:
    audit.record(ACCEPTED, actor=user.get_username(), target=user.get_username())


def _count(address: str | None, name: str, *, is_told: bool) -> int:
    """How many were left out of the trail by this process until now; one more where this one is."""
    with _counting:
        number = _left_out.pop((address, name), 0)
        if is_told:
            _left_out[address, name] = number + 1
            if len(_left_out) > MOST_COUNTED:
                _left_out.popitem(last=False)
        return number
