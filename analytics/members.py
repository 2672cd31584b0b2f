"""Who belongs to a project, and as what: added, given another role, taken out, each with its entry in the audit trail.

An admin names users they know already: members of projects in which they are an admin. Anybody else is to them as
unknown as a name that nobody has, or adding would tell who is a user here. A key gives no role whose keys would be held
to less than itself. A project that has an admin keeps one, unless a superuser says otherwise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet

from analytics import audit, projects, visibility
from analytics.authority import Authority
from analytics.models import Membership, Project, Role
from analytics.types import Caller

UNKNOWN = "There is no user {name!r} whom you may add: members of projects of which you are an admin, no others."
UNKNOWN_TO_ALL = "There is no user {name!r}: superusers make them at /admin/auth/user/."


class MembersProblem(Exception):
    """Members of a project cannot be changed so; the message is for the person who asked.

    MembersProblem
    ├── UnknownUser   nobody is called so, or nobody whom the asker may name
    ├── NoMember      they are in the project no more, or never were
    └── LastAdmin     nobody would be left to look after the project
    """


class UnknownUser(MembersProblem): ...


class NoMember(MembersProblem): ...


class LastAdmin(MembersProblem): ...


class Put(NamedTuple):
    row: Membership
    is_new: bool


def of(project: Project) -> QuerySet[Membership]:
    """Members with their users and the project, by user name."""
    return Membership.objects.filter(project=project).select_related("user", "project").order_by("user__username")


def find(project: Project, name: str) -> Membership | None:
    return of(project).filter(user__username=name).first() if "\0" not in name else None


@audit.told_here()
@transaction.atomic
def put(project: Project, name: str, *, role: str, authority: Authority) -> Put:
    """Makes the user of this name a member, or gives a member this role. Nothing happens without a difference.

    Raises: ValidationError at `role`; UnknownUser, LastAdmin; PermissionDenied for who is no admin of the project, and
    for a key that gives no such role.
    """
    if role not in Role.values:
        raise ValidationError({"role": [f"Use {', '.join(Role.values)}."]})
    _lock(project, authority=authority)
    _require(Role(role), caller=authority.caller)
    before = projects.members(project)
    row = find(project, name)
    if row is None:
        user = _user(name, authority=authority)
        found = Put(Membership.objects.create(project=project, user=user, role=role), is_new=True)
    else:
        found = Put(_changed(row, role=role, authority=authority), is_new=False)
    projects.record_members(project, actor=authority.actor, before=before)
    return found


@audit.told_here()
@transaction.atomic
def take_out(project: Project, name: str, *, authority: Authority) -> None:
    """Raises: NoMember, LastAdmin; PermissionDenied as for `put`."""
    _lock(project, authority=authority)
    row = find(project, name)
    if row is None:
        raise NoMember(f"{name!r} is no member of {project.slug}.")
    _require(Role(row.role), caller=authority.caller)
    _keep_an_admin(row, authority=authority)
    before = projects.members(project)
    row.delete()
    projects.record_members(project, actor=authority.actor, before=before)


def may_be_added(project: Project, *, authority: Authority) -> QuerySet[Any]:
    """Users whom the asker may name, and who are no members yet."""
    among = visibility.users_of(authority, least=Role.ADMIN)
    return among.exclude(pk__in=Membership.objects.filter(project=project).values("user_id")).order_by("username")


def _lock(project: Project, *, authority: Authority) -> None:
    """Members of one project are changed one after the other: of two admins who take each other out one stays."""
    authority.require(Role.ADMIN, project_id=project.pk)
    if not Project.objects.select_for_update(no_key=True).filter(pk=project.pk).exists():
        raise NoMember(f"The project {project.slug} was deleted meanwhile.")


def _changed(row: Membership, *, role: str, authority: Authority) -> Membership:
    """Raises: LastAdmin, PermissionDenied."""
    if row.role != role:
        _require(Role(row.role), caller=authority.caller)
        _keep_an_admin(row, authority=authority)
        row.role = role
        row.save(update_fields=["role"])
    return row


def _user(name: str, *, authority: Authority) -> Any:
    """Raises: UnknownUser."""
    among = visibility.users_of(authority, least=Role.ADMIN)
    found = among.filter(username=name).first() if "\0" not in name else None
    if found is None:
        raise UnknownUser((UNKNOWN_TO_ALL if authority.is_everything else UNKNOWN).format(name=name))
    return found


def _keep_an_admin(row: Membership, *, authority: Authority) -> None:
    """Raises: LastAdmin where this is the only one who can sign in."""
    if authority.is_everything or row.role != Role.ADMIN or not row.user.is_active:
        return
    others = Membership.objects.filter(project=row.project, role=Role.ADMIN, user__is_active=True).exclude(pk=row.pk)
    if not others.exists():
        name = row.user.get_username()
        raise LastAdmin(f"{name} is the last admin of {row.project.slug}: make somebody else one first.")


def _require(role: Role, *, caller: Caller | None) -> None:
    """Raises: PermissionDenied for a key that neither gives nor takes this role."""
    if caller is not None and (held := _beyond(caller, role)):
        raise PermissionDenied(f"Your key is held to {' and '.join(held)}: one with the role {role} is not.")


def _beyond(caller: Caller, role: Role) -> list[str]:
    """What a key is held to that the role's own keys would not be: its operators make keys that chat, its admins keys
    that change the configuration as well (`analytics.handing_on`)."""
    lists = {"models": caller.allowed_models, "layers": caller.allowed_layers, "networks": caller.allowed_networks}
    uses = {"paths": caller.allowed_endpoints, "a time": caller.expires_at}
    held: dict[str, object] = {**(lists if role != Role.VIEWER else {}), **(uses if role == Role.ADMIN else {})}
    return [name for name, limit in held.items() if limit]
