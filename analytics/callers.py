"""Loads API keys into `Caller` values, for the snapshot: all of them, or those that changed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from analytics.models import ApiKey, Project
from analytics.types import Caller, Scope

logger = logging.getLogger(__name__)

OWNER_NAME = "local owner"


@dataclass(frozen=True, slots=True)
class Callers:
    """API keys by hash, and the hash each row had, so that a changed row can replace itself."""

    by_hash: dict[bytes, Caller]
    hash_of: dict[int, bytes]


def load_all() -> Callers:
    return _collect(Callers({}, {}), rows=_rows())


def load_changed(known: Callers, *, row_ids: Iterable[int]) -> Callers:
    """`known` with the named rows as they are now; deleted ones are gone. `known` itself stays as it is."""
    wanted = set(row_ids)
    fresh = Callers(dict(known.by_hash), dict(known.hash_of))
    for row_id in wanted:
        if row_id in fresh.hash_of:
            fresh.by_hash.pop(fresh.hash_of.pop(row_id), None)
    return _collect(fresh, rows=_rows().filter(pk__in=wanted))


def owner() -> Caller:
    """Whoever runs the command line beside the database: no key, no restriction, the default project."""
    project = Project.objects.get(slug="default")
    return Caller(
        key_id=None,
        key_name=OWNER_NAME,
        key_prefix="",
        project_id=project.pk,
        project=project.slug,
        scopes=frozenset(Scope),
        allowed_models=(),
        allowed_layers=(),
        expires_at=None,
        enabled=True,
    )


def _rows() -> QuerySet[ApiKey]:
    return ApiKey.objects.select_related("project")


def _collect(callers: Callers, *, rows: QuerySet[ApiKey]) -> Callers:
    for row in rows.iterator(chunk_size=2000):
        try:
            caller = _caller(row)
        except (ValueError, TypeError) as error:
            # Written past our checks. It opens nothing, and must not keep others from being loaded or switched off.
            logger.error("API key %s (%s...) cannot be used: %s", row.pk, row.prefix, error)
            continue
        key_hash = bytes(row.key_hash)
        callers.by_hash[key_hash] = caller
        callers.hash_of[row.pk] = key_hash
    return callers


def _caller(row: ApiKey) -> Caller:
    return Caller(
        key_id=row.pk,
        key_name=row.name,
        key_prefix=row.prefix,
        project_id=row.project_id,
        project=row.project.slug,
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        allowed_models=tuple(row.allowed_models),
        allowed_layers=tuple(row.allowed_layers),
        expires_at=row.expires_at,
        enabled=row.enabled and row.project.enabled,
    )
