"""Who looks at and changes the configuration, and how far that reaches: everything, certain projects by a role there,
what all projects share. Frozen; checks no rows.

A viewer sees a project's usage, keys, budgets and members; an operator also makes, changes and rotates the keys that
change no configuration; an admin does everything within the project.

`analytics.visibility` filters by it, `analytics.handing_on` holds a key to what it has itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import msgspec
from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied

from analytics.models import Membership, Role
from analytics.types import Caller, Scope

INSTALLATION_APPS = ("providers", "routing")
"""Django's names of the apps whose tables all projects share."""


_RANKS = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
"""Each may what the one before may, and more."""
IN_WORDS = {Role.VIEWER: "members", Role.OPERATOR: "operators and admins", Role.ADMIN: "admins"}
"""Who has this role or a higher one."""


class Authority(msgspec.Struct, frozen=True):
    actor: str
    """As the audit trail names it."""
    roles: Mapping[int, Role] | None
    """By project. None: admin of all of them, and of the installation itself."""
    caller: Caller | None = None
    """The API key that acts, if it is one."""
    permissions: frozenset[str] | None = frozenset()
    """Django's, for the tables that all projects share, such as `providers.change_model`. None: all of them."""

    @property
    def is_everything(self) -> bool:
        return self.roles is None

    def within(self, least: Role) -> frozenset[int] | None:
        """The projects in which it has this role or a higher one. None: all of them."""
        if self.roles is None:
            return None
        rank = _RANKS.index(least)
        return frozenset(project_id for project_id, role in self.roles.items() if _RANKS.index(role) >= rank)

    def has(self, least: Role, *, project_id: int | None) -> bool:
        """Whether it has this role or a higher one there; of what belongs to no project, whether it may do all."""
        projects = self.within(least)
        return projects is None or project_id in projects

    def require(self, least: Role, *, project_id: int | None) -> None:
        """Raises: PermissionDenied where the role there is a lower one."""
        if not self.has(least, project_id=project_id):
            raise PermissionDenied(f"This is for {IN_WORDS[least]} of the project.")

    def home_id(self, least: Role) -> int | None:
        """The one project it is about where none is named."""
        projects = self.within(least)
        return next(iter(projects)) if projects and len(projects) == 1 else None

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
    roles = {caller.project_id: Role.ADMIN} if Scope.ADMIN in caller.scopes else {}
    permissions = installation_permissions() if Scope.INSTALLATION in caller.scopes else frozenset()
    if not roles and not permissions:
        return None
    return Authority(f"key {caller.key_name} ({caller.key_prefix}...)", roles, caller, permissions)


def of_user(user: AbstractBaseUser | AnonymousUser) -> Authority | None:
    """A superuser acts everywhere, a member of a project within it by their role, who was given Django's permissions
    on their tables. None: they are none of these."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return None
    if getattr(user, "is_superuser", False):
        return Authority(user.get_username(), None, permissions=None)
    rows = Membership.objects.filter(user=user.pk).values_list("project_id", "role")
    roles = {project_id: Role(role) for project_id, role in rows}
    given: set[str] = getattr(user, "get_all_permissions", set)()
    permissions = installation_permissions() & given
    if not roles and not permissions:
        return None
    return Authority(user.get_username(), roles, permissions=permissions)


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
