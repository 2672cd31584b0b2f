"""Opens the store that the settings ask for: Redis where there is one, a file in the var folder otherwise."""

from __future__ import annotations

from django.conf import settings

from analytics.counters.store import Store


def open_store() -> Store:
    """A store of this process's own; close it when done. Connects on its first step."""
    if settings.REDIS_URL:
        from analytics.counters.redis_store import RedisStore  # the embedded default has no use for the client

        return RedisStore(settings.REDIS_URL, deadline_s=settings.COUNTERS_DEADLINE_S)
    from analytics.counters.sqlite_store import SqliteStore  # nor that for the file

    return SqliteStore(settings.COUNTERS_FILE, deadline_s=settings.COUNTERS_DEADLINE_S)
