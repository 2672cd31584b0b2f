"""API keys as somebody with leave makes, changes and deletes them: who is a key itself gives no more than it has.

The scope `installation`, which reaches beyond the project, is given by superusers and by keys that have it; the scope
`admin` by admins of the project: its operators have neither, and no leave with keys that have them.

A key that is held to models, layers or networks gives each of those lists out of its own. One that is held to paths or
to a time gives a scope that changes configuration only with the same paths and no later end: what such a key may be
used for says how it is used, and another key for chat needs other paths. Users hand on whatever else they like within
their projects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

from analytics import keys, networks
from analytics.authority import Authority
from analytics.keys import GRACE_S, NewKey
from analytics.models import ApiKey, Project, Role
from analytics.types import Caller, Scope

_LISTS = ("allowed_models", "allowed_layers", "allowed_networks")
"""What a key hands on in any case; on with a scope of `_CHANGING` also `allowed_endpoints` and `expires_at`."""
_CHANGING = frozenset({Scope.ADMIN, Scope.INSTALLATION})
"""Scopes of keys that change configuration."""
NO_INSTALLATION = "Only superusers and keys with the scope 'installation' give that scope."
NO_ADMIN = "Only admins of the project give the scope 'admin'."


def create(name: str, *, authority: Authority, project: Project, **fields: Any) -> NewKey:
    """As `keys.create`; lists that are not named are those of the key that acts. Raises: ValidationError;
    PermissionDenied for who may not look after the project's keys."""
    authority.require(Role.OPERATOR, project_id=project.pk)
    caller = authority.caller
    given = {**(_own_lists(caller) if caller else {}), **fields}
    if mistakes := _beyond(authority, given, projects={project.pk}):
        raise ValidationError({field: [words] for field, words in mistakes.items()})
    return keys.create(name, actor=authority.actor, project=project, **given)


@transaction.atomic
def edit(row: ApiKey, *, authority: Authority, changes: Mapping[str, object]) -> ApiKey:
    """As `keys.edit`. Raises: ValidationError; PermissionDenied for a key that may do more already, and for who may not
    look after the keys of its project, or of the one it would move to; ApiKey.DoesNotExist."""
    found, now = _held(row, authority=authority)
    to = changes.get("project")
    projects = {found.project_id, to.pk if isinstance(to, Project) else found.project_id}
    for project_id in projects:
        authority.require(Role.OPERATOR, project_id=project_id)
    if mistakes := _beyond(authority, now | dict(changes), projects=projects):
        raise ValidationError({field: [words] for field, words in mistakes.items()})
    return keys.edit(row, actor=authority.actor, changes=changes)


@transaction.atomic
def rotate(row: ApiKey, *, authority: Authority, grace_s: int = GRACE_S, end_previous: bool = False) -> NewKey:
    """As `keys.rotate`. Raises: StillInGrace; ValidationError; PermissionDenied: who rotates a key has it;
    ApiKey.DoesNotExist."""
    _held(row, authority=authority)
    return keys.rotate(row, actor=authority.actor, grace_s=grace_s, end_previous=end_previous)


@transaction.atomic
def delete(row: ApiKey, *, authority: Authority) -> None:
    """As `keys.delete`, for admins of the project: its budgets go with it. Raises: PermissionDenied for who is none,
    and for a key that may do more; ApiKey.DoesNotExist."""
    found, _ = _held(row, authority=authority)
    authority.require(Role.ADMIN, project_id=found.project_id)
    keys.delete(row, actor=authority.actor)


@transaction.atomic
def switch(row: ApiKey, *, authority: Authority, is_on: bool) -> None:
    """As `keys.enable` and `keys.disable`. Raises: PermissionDenied, as `edit`; ApiKey.DoesNotExist."""
    found, _ = _held(row, authority=authority)
    (keys.enable if is_on else keys.disable)(found, actor=authority.actor)


@transaction.atomic
def expire(row: ApiKey, *, authority: Authority) -> None:
    """As `keys.expire`, now. Raises: PermissionDenied, as `edit`; ApiKey.DoesNotExist."""
    _held(row, authority=authority)
    keys.expire(row, actor=authority.actor)


def require_change(row: ApiKey, *, authority: Authority) -> None:
    """Raises: PermissionDenied where `edit`, `rotate`, `switch` and `expire` would."""
    authority.require(Role.OPERATOR, project_id=row.project_id)
    if mistakes := _beyond(authority, _fields(row), projects={row.project_id}):
        whose = "yours" if authority.caller else "you"
        raise PermissionDenied(f"The key {row.name} may do more than {whose}: see {', '.join(mistakes)}.")


def require_delete(row: ApiKey, *, authority: Authority) -> None:
    """Raises: PermissionDenied where `delete` would."""
    require_change(row, authority=authority)
    authority.require(Role.ADMIN, project_id=row.project_id)


def may_change(row: ApiKey, *, authority: Authority) -> bool:
    """What pages offer a change by."""
    return _is_open(require_change, row, authority)


def may_delete(row: ApiKey, *, authority: Authority) -> bool:
    return _is_open(require_delete, row, authority)


def _is_open(require: Callable[..., None], row: ApiKey, authority: Authority) -> bool:
    try:
        require(row, authority=authority)
    except PermissionDenied:
        return False
    return True


def scopes_to_give(authority: Authority) -> list[Scope]:
    """Those that a user may give in one of their projects at least."""
    kept = set() if authority.may_give_installation else {Scope.INSTALLATION}
    if authority.within(Role.ADMIN) == frozenset():
        kept.add(Scope.ADMIN)
    return [scope for scope in Scope if scope not in kept]


def _held(row: ApiKey, *, authority: Authority) -> tuple[ApiKey, dict[str, object]]:
    """The row, locked until the transaction ends, and its fields. Raises: PermissionDenied, ApiKey.DoesNotExist."""
    found = ApiKey.objects.select_for_update().get(pk=row.pk)
    require_change(found, authority=authority)
    return found, _fields(found)


def _fields(row: ApiKey) -> dict[str, object]:
    """By which `_beyond` judges a key."""
    return {name: getattr(row, name) for name in (*_LISTS, "allowed_endpoints", "scopes", "expires_at")}


def _beyond(authority: Authority, fields: Mapping[str, object], *, projects: Iterable[int]) -> dict[str, str]:
    """In which of its fields a key of these projects would have more than who gives it, by name. What is no list is
    refused elsewhere."""
    found = _beyond_key(authority.caller, fields) if authority.caller else {}
    is_admin = all(authority.has(Role.ADMIN, project_id=project_id) for project_id in projects)
    if _has(fields.get("scopes"), {Scope.ADMIN}) and not is_admin:
        found["scopes"] = NO_ADMIN
    if _has(fields.get("scopes"), {Scope.INSTALLATION}) and not authority.may_give_installation:
        found["scopes"] = NO_INSTALLATION
    return found


def _beyond_key(caller: Caller, fields: Mapping[str, object]) -> dict[str, str]:
    own, is_changing = _own_lists(caller), _has(fields.get("scopes"), _CHANGING)
    if is_changing and caller.allowed_endpoints:
        own["allowed_endpoints"] = list(caller.allowed_endpoints)
    found = {}
    for name, entries in own.items():
        given = fields.get(name)
        asked = _compared(name, given if isinstance(given, list) else [])
        if entries and not (asked and asked <= _compared(name, entries)):
            found[name] = f"Your key is held to {', '.join(entries)}: use one or more of these."
    if is_changing and caller.expires_at and not _ends_by(fields.get("expires_at"), caller=caller):
        found["expires_at"] = f"Your key ends at {caller.expires_at.isoformat(timespec='seconds')}: use no later time."
    return found


def _own_lists(caller: Caller) -> dict[str, list[str]]:
    return {name: [str(entry) for entry in getattr(caller, name)] for name in _LISTS}


def _compared(name: str, entries: list[Any]) -> set[object]:
    """An address may be written in several ways; a network within another counts as itself alone."""
    return {_network(entry) if name == "allowed_networks" else str(entry) for entry in entries}


def _network(text: object) -> object:
    try:
        return networks.network(str(text))
    except ValueError:
        return text


def _has(scopes: object, wanted: Iterable[Scope]) -> bool:
    return isinstance(scopes, list) and any(scope.value in scopes for scope in wanted)


def _ends_by(moment: object, *, caller: Caller) -> bool:
    return isinstance(moment, datetime) and caller.expires_at is not None and moment <= caller.expires_at
