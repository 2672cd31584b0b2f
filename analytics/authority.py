"""Who changes the configuration, and how far that reaches: everything, certain projects, what all projects share.
Frozen; checks no rows.

`analytics.visibility` filters by it, `analytics.handing_on` holds a key to what it has itself.
"""

from __future__ import annotations

from functools import cache

import msgspec
from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from analytics.models import Membership, Role
from analytics.types import Caller, Scope

INSTALLATION_APPS = ("providers", "routing")
"""Django's names of the apps whose tables all projects share."""


class Authority(msgspec.Struct, frozen=True):
    actor: str
    """As the audit trail names it."""
    project_ids: frozenset[int] | None
    """None: all of them, and the installation itself."""
    caller: Caller | None = None
    """The API key that acts, if it is one."""
    permissions: frozenset[str] | None = frozenset()
    """Django's, for the tables that all projects share, such as `providers.change_model`. None: all of them."""

    @property
    def is_everything(self) -> bool:
        return self.project_ids is None

    @property
    def has_projects(self) -> bool:
        return self.project_ids is None or bool(self.project_ids)

    @property
    def home_id(self) -> int | None:
        """The one project it is about where none is named."""
        return next(iter(self.project_ids)) if self.project_ids and len(self.project_ids) == 1 else None

    @property
    def may_give_installation(self) -> bool:
        """Whether it may hand on the scope `installation`: to who may do all, and to keys that have it."""
        return self.is_everything if self.caller is None else Scope.INSTALLATION in self.caller.scopes

    def may(self, permission: str) -> bool:
        """Whether it has this one. Who may change rows may see them, as in Django's admin."""
        if self.permissions is None or permission in self.permissions:
            return True
        return ".view_" in permission and permission.replace(".view_", ".change_", 1) in self.permissions


def of_caller(caller: Caller) -> Authority | None:
    """An API key with the scope `admin` acts within its project, one with `installation` on what all projects share.
    None: it may change nothing."""
    projects = frozenset({caller.project_id} if Scope.ADMIN in caller.scopes else ())
    permissions = installation_permissions() if Scope.INSTALLATION in caller.scopes else frozenset()
    if not projects and not permissions:
        return None
    return Authority(f"key {caller.key_name} ({caller.key_prefix}...)", projects, caller, permissions)


def of_user(user: AbstractBaseUser | AnonymousUser) -> Authority | None:
    """A superuser acts everywhere, a project's admin within it, who was given Django's permissions on their tables.
    None: they may change nothing."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return None
    if getattr(user, "is_superuser", False):
        return Authority(user.get_username(), None, permissions=None)
    projects = frozenset(Membership.objects.filter(user=user.pk, role=Role.ADMIN).values_list("project_id", flat=True))
    given: set[str] = getattr(user, "get_all_permissions", set)()
    permissions = installation_permissions() & given
    if not projects and not permissions:
        return None
    return Authority(user.get_username(), projects, permissions=permissions)


@cache
def installation_permissions() -> frozenset[str]:
    """Every permission on a table that all projects share."""
    return frozenset(
        f"{app}.{get_permission_codename(verb, model._meta)}"
        for app in INSTALLATION_APPS
        for model in apps.get_app_config(app).get_models()
        for verb in model._meta.default_permissions
    )


def roles_of(user: AbstractBaseUser) -> list[tuple[str, str]]:
    """The projects a user belongs to, by slug, with the role there."""
    found = Membership.objects.filter(user=user.pk).order_by("project__slug")
    return list(found.values_list("project__slug", "role"))
