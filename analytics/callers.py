"""Loads API keys into `Caller` values, for the snapshot: all of them, or those that changed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import QuerySet

from analytics import networks
from analytics.models import ApiKey, Project
from analytics.types import Caller, Limits, Scope

logger = logging.getLogger(__name__)

OWNER_NAME = "local owner"


@dataclass(frozen=True, slots=True)
class Callers:
    """API keys by hash, and the hashes each row had, so that a changed row can replace itself."""

    by_hash: dict[bytes, Caller]
    hashes_of: dict[int, tuple[bytes, ...]]
    """Of a key that was rotated also the previous one, under which it expires when the grace period ends."""


def load_all() -> Callers:
    return _collect(Callers({}, {}), rows=_rows())


def load_changed(known: Callers, *, row_ids: Iterable[int]) -> Callers:
    """`known` with the named rows as they are now; deleted ones are gone. `known` itself stays as it is."""
    wanted = set(row_ids)
    fresh = Callers(dict(known.by_hash), dict(known.hashes_of))
    for row_id in wanted:
        for key_hash in fresh.hashes_of.pop(row_id, ()):
            fresh.by_hash.pop(key_hash, None)
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
        project_limits=_limits(project),
        stores_bodies=project.stores_bodies,
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
        found = {bytes(row.key_hash): caller}
        if row.previous_hash is not None and row.previous_until is not None:
            found[bytes(row.previous_hash)] = _previous(caller, prefix=row.previous_prefix, until=row.previous_until)
        callers.by_hash.update(found)
        callers.hashes_of[row.pk] = tuple(found)
    return callers


def _previous(caller: Caller, *, prefix: str, until: datetime) -> Caller:
    """The caller under its key from before the rotation: for as long as the grace period lasts, if not shorter."""
    if caller.expires_at is not None and caller.expires_at < until:
        return replace(caller, key_prefix=prefix)
    return replace(caller, key_prefix=prefix, expires_at=until, was_rotated=True)


def _listed(values: object) -> list[str]:
    """Raises: TypeError. An allow-list of another kind must not be taken for an empty one, which allows all."""
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is not a list")
    return values


def _caller(row: ApiKey) -> Caller:
    return Caller(
        key_id=row.pk,
        key_name=row.name,
        key_prefix=row.prefix,
        project_id=row.project_id,
        project=row.project.slug,
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        allowed_models=tuple(_listed(row.allowed_models)),
        allowed_layers=tuple(_listed(row.allowed_layers)),
        expires_at=row.expires_at,
        enabled=row.enabled and row.project.enabled,
        allowed_endpoints=tuple(_listed(row.allowed_endpoints)),
        allowed_networks=tuple(networks.network(text) for text in _listed(row.allowed_networks)),
        key_limits=_limits(row),
        project_limits=_limits(row.project),
        project_enabled=row.project.enabled,
        stores_bodies=row.project.stores_bodies,
    )


def _limits(row: ApiKey | Project) -> Limits:
    return Limits(row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests)
