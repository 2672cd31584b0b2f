"""API keys: made, shown once, recognised by a keyed hash. The key itself is never stored and cannot be shown again.

A key carries 256 random bits, so a fast hash is enough: there is nothing to guess. The hash is keyed, so that a
stolen database alone does not let anyone test keys, and versioned, so that its key can be replaced one day.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from analytics import audit
from analytics.models import ApiKey, Project, default_scopes

START = "agw_"
PREFIX_LENGTH = 10
HASH_VERSION = 1


class KeyProblem(Exception):
    """An API key cannot be made or found; the message is for the person who asked."""


@dataclass(frozen=True, slots=True)
class NewKey:
    row: ApiKey
    secret: str = field(repr=False)
    """The key itself: show it once, then forget it."""


def digest(secret: str) -> bytes:
    """The keyed hash under which a key is looked up: BLAKE2b in its keyed mode, 32 bytes."""
    key = settings.KEY_HASH_KEY.encode()[: hashlib.blake2b.MAX_KEY_SIZE]
    return hashlib.blake2b(secret.encode("utf-8", "surrogatepass"), key=key, digest_size=32).digest()


def create(
    name: str,
    *,
    actor: str,
    project: Project | None = None,
    scopes: list[str] | None = None,
    allowed_models: list[str] | None = None,
    allowed_layers: list[str] | None = None,
    expires_at: datetime | None = None,
) -> NewKey:
    """Makes a key in `project` (the default one unless given).

    Raises: KeyProblem when the name is taken; ValidationError when a field is wrong.
    """
    row = ApiKey(
        project=project or Project.objects.get(slug="default"),
        name=name,
        scopes=default_scopes() if scopes is None else scopes,
        allowed_models=allowed_models or [],
        allowed_layers=allowed_layers or [],
        expires_at=expires_at,
    )
    row.clean_fields(exclude=["key_hash", "prefix"])
    return NewKey(row, issue(row, actor=actor))


def issue(row: ApiKey, *, actor: str) -> str:
    """Gives an unsaved row its key and saves it; returns the key, which nobody can ask for again.

    Raises: KeyProblem when the name is taken in its project.
    """
    secret = START + secrets.token_urlsafe(32)
    row.prefix, row.key_hash, row.hash_version = secret[:PREFIX_LENGTH], digest(secret), HASH_VERSION
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            audit.record("api_key.created", actor=actor, target=str(row), project_id=row.project_id, after=_shown(row))
    except IntegrityError as error:
        raise KeyProblem(
            f"A key named {row.name!r} exists already in {row.project.slug}; choose another name."
        ) from error
    return secret


def change(row: ApiKey, *, actor: str) -> None:
    """Saves a row that was edited in memory; in force in every process within two seconds.

    Raises: IntegrityError when its new name is taken in its project; ApiKey.DoesNotExist when it was deleted meanwhile.
    """
    with transaction.atomic():
        before = _state(ApiKey.objects.select_for_update().get(pk=row.pk))
        row.save(force_update=True)
        after = _state(row)
        if after != before:
            audit.record(
                "api_key.changed",
                actor=actor,
                target=str(row),
                project_id=row.project_id,
                before=before,
                after=after,
            )


def delete(row: ApiKey, *, actor: str) -> None:
    """Deletes a key; refused by every process within two seconds. Nothing happens when it is gone already."""
    target, before = str(row), _state(row)
    with transaction.atomic():
        if row.delete()[0]:
            audit.record("api_key.deleted", actor=actor, target=target, project_id=row.project_id, before=before)


def disable(row: ApiKey, *, actor: str) -> None:
    """Switches a key off; in force in every process within two seconds. Nothing happens when it is off already."""
    with transaction.atomic():
        if ApiKey.objects.filter(pk=row.pk, enabled=True).update(enabled=False):
            audit.record("api_key.disabled", actor=actor, target=str(row), project_id=row.project_id)
    row.enabled = False


def find(name: str) -> ApiKey:
    """The key of this name, id or prefix.

    Raises: KeyProblem when there is none, or more than one.
    """
    by_id = {"pk": int(name)} if name.isascii() and name.isdecimal() and len(name) < 19 else None
    for condition in ({"name": name}, {"prefix": name[:PREFIX_LENGTH]}, by_id):
        rows = list(ApiKey.objects.filter(**condition)[:2]) if condition else []
        if len(rows) > 1:
            raise KeyProblem(f"More than one key is called {name!r}; use its id (see `keys list`).")
        if rows:
            return rows[0]
    raise KeyProblem(f"There is no key called {name!r}; `keys list` shows them.")


def _shown(row: ApiKey) -> dict[str, object]:
    return {
        "scopes": row.scopes,
        "allowed_models": row.allowed_models,
        "allowed_layers": row.allowed_layers,
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
    }


def _state(row: ApiKey) -> dict[str, object]:
    return _shown(row) | {
        "name": row.name,
        "enabled": row.enabled,
        "project": row.project.slug,
        "owner": row.owner.get_username() if row.owner else None,
    }
