"""Who changes the configuration, and how far that reaches: everything, or certain projects. Frozen; checks no rows.

`analytics.visibility` filters by it, `analytics.handing_on` holds a key to what it has itself.
"""

from __future__ import annotations

import msgspec
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from analytics.models import Membership, Role
from analytics.types import Caller, Scope


class Authority(msgspec.Struct, frozen=True):
    actor: str
    """As the audit trail names it."""
    project_ids: frozenset[int] | None
    """None: all of them, and the installation itself."""
    caller: Caller | None = None
    """The API key that acts, if it is one."""

    @property
    def is_everything(self) -> bool:
        return self.project_ids is None

    @property
    def home_id(self) -> int | None:
        """The one project it is about where none is named."""
        return next(iter(self.project_ids)) if self.project_ids and len(self.project_ids) == 1 else None


def of_caller(caller: Caller) -> Authority | None:
    """An API key with the scope `admin` acts within its project. None: it may change nothing."""
    if Scope.ADMIN not in caller.scopes:
        return None
    actor = f"key {caller.key_name} ({caller.key_prefix}...)"
    return Authority(actor, frozenset({caller.project_id}), caller)


def of_user(user: AbstractBaseUser | AnonymousUser) -> Authority | None:
    """A superuser acts everywhere, a project's admin within it. None: they may change nothing."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return None
    if getattr(user, "is_superuser", False):
        return Authority(user.get_username(), None)
    projects = frozenset(Membership.objects.filter(user=user.pk, role=Role.ADMIN).values_list("project_id", flat=True))
    return Authority(user.get_username(), projects) if projects else None


def roles_of(user: AbstractBaseUser) -> list[tuple[str, str]]:
    """The projects a user belongs to, by slug, with the role there."""
    found = Membership.objects.filter(user=user.pk).order_by("project__slug")
    return list(found.values_list("project__slug", "role"))
