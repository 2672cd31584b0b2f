"""How the Redis store reaches its server: what the URL says, the server's life, what an error may tell.

Knows no step. A life is the `run_id` of the server's process: one that was restarted has another, whatever it loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote, unquote, urlparse
from weakref import WeakKeyDictionary

import redis
from redis.asyncio.connection import ConnectionPool as AsyncPool
from redis.asyncio.connection import parse_url as parse_async_url
from redis.connection import ConnectionPool, parse_url

from analytics.counters.redis_scripts import Script
from analytics.counters.store import StoreAway

logger = logging.getLogger(__name__)

Word: TypeAlias = str | int | bytes
Connection: TypeAlias = Any
"""Of redis-py, plain or async: most of its methods carry no types."""
FAILURES = (redis.RedisError, OSError, TimeoutError)

_FIXED = {"decode_responses": False, "protocol": 2, "health_check_interval": 0}
"""Whatever a URL's query says of them."""


@dataclass(frozen=True, slots=True)
class Call:
    """One script to run."""

    script: Script
    keys: Sequence[str]
    args: Sequence[Word]


class Link:
    """One server. Raises: ValueError when the URL cannot be one's."""

    def __init__(self, url: str) -> None:
        try:
            found = parse_async_url(url)
            self._secrets = _spellings(urlparse(url).password, found.get("password"))
            self._pool: Any = AsyncPool(**_options(found, timeout_s=None))
        except (ValueError, TypeError, redis.RedisError):
            # Its own words may hold a piece of the password.
            raise ValueError("this is no address of a Redis server (redis://, rediss:// or unix://)") from None
        self._url = url
        self._lives: WeakKeyDictionary[Connection, str] = WeakKeyDictionary()
        self._looked_at_memory = False

    def pool(self, *, timeout_s: float) -> ConnectionPool:
        """For plain calls, from any thread; each of its waits is `timeout_s` at most."""
        parsed: dict[str, Any] = parse_url(self._url)  # type: ignore[no-untyped-call]
        return ConnectionPool(**_options(parsed, timeout_s=timeout_s), redis_connect_func=self._greet)

    def away(self, error: BaseException) -> StoreAway:
        """What may be told of a failure: never the password."""
        words = str(error)
        for secret in self._secrets:
            words = words.replace(secret, "***")
        return StoreAway(f"Redis did not answer: {type(error).__name__}: {words}")

    def run_id(self, connection: Connection) -> str:
        """Who is at the other end of a connection of a pool's."""
        return self._lives[connection]

    def _greet(self, connection: Connection) -> None:
        """Each time a connection of a pool's is made, or made again."""
        connection.on_connect()
        self._lives[connection] = _run_id(_ask(connection, "INFO", "server"))
        if self._is_first():
            _warn_of_eviction(_ask_politely(connection, *_MEMORY))

    async def connect(self, scripts: Sequence[Script]) -> tuple[Connection, str]:
        """A connection to a server that has the scripts, and its life."""
        connection: Connection = self._pool.make_connection()
        try:
            await connection.connect()
            run_id = _run_id(await _aask(connection, "INFO", "server"))
            for script in scripts:
                await _aask(connection, "SCRIPT", "LOAD", script.body)
            if self._is_first():
                _warn_of_eviction(await _aask_politely(connection, *_MEMORY))
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection, run_id

    def _is_first(self) -> bool:
        if self._looked_at_memory:
            return False
        self._looked_at_memory = True
        return True


_MEMORY = ("CONFIG", "GET", "maxmemory-policy")


def _ask(connection: Connection, *words: Word) -> Any:
    connection.send_command(*words)
    return connection.read_response()


def _ask_politely(connection: Connection, *words: Word) -> Any:
    try:
        return _ask(connection, *words)
    except redis.ResponseError:  # not every user may ask
        return None


async def _aask(connection: Connection, *words: Word) -> Any:
    await connection.send_command(*words)
    return await connection.read_response()


async def _aask_politely(connection: Connection, *words: Word) -> Any:
    try:
        return await _aask(connection, *words)
    except redis.ResponseError:
        return None


def _run_id(info: bytes) -> str:
    for line in info.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name == "run_id":
            return value.strip()
    raise redis.ResponseError("INFO tells no run_id")


def _warn_of_eviction(answer: Sequence[bytes] | None) -> None:
    if answer and len(answer) == 2 and answer[1] != b"noeviction":
        logger.warning(
            "Redis may evict the counters (maxmemory-policy %s). Rates and places carry an expiry, so that a volatile"
            " policy takes them: more is granted then than the limits say. The others take what budgets have spent as"
            " well, which is rebuilt from the ledger each time. Use noeviction, or a Redis of their own.",
            answer[1].decode(),
        )


def _options(parsed: Mapping[str, Any], *, timeout_s: float | None) -> dict[str, Any]:
    """Nothing is tried again by itself: a step that did not answer may have happened."""
    kept = {name: value for name, value in parsed.items() if not name.startswith("retry")}
    return {**kept, **_FIXED, "socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}


def _spellings(*passwords: str | None) -> list[str]:
    plain = [password for password in passwords if password]
    return sorted({s for p in plain for s in (p, unquote(p), quote(p, safe=""))}, key=len, reverse=True)
