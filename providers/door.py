"""The one way out to providers for per-token traffic: an HTTP client with its pool, time-outs and error mapping.

Everything above sees `ProviderError`, never the client library, which is aiohttp (docs/adr/0002).
One session per process, bound to the event loop that opened it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache

import aiohttp

from providers.types import FailureKind, ProviderError, Timeouts

MAX_ANSWER_BYTES = 64 * 1024 * 1024
KEEP_ALIVE_S = 30.0
"""Idle connections are closed after this; most vendors' load balancers wait 60 s or more."""

_session: aiohttp.ClientSession | None = None


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    """Holds the session open for the life of a server or a command."""
    global _session  # noqa: PLW0603 - one pool per process is the point
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
    _session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    )
    try:
        yield
    finally:
        session, _session = _session, None
        await session.close()


async def post(url: str, *, body: bytes, headers: Mapping[str, str], timeouts: Timeouts) -> aiohttp.ClientResponse:
    """Sends `body` and returns when the answer's headers are here. The caller closes the response, and sets the limit
    on waiting for headers and content, which differs between whole answers and streams.

    Raises: ProviderError(UNREACHABLE or TIMEOUT).
    """
    if _session is None:
        raise RuntimeError("The outbound door is closed: enter providers.door.opened() first.")
    limits = _limits(timeouts.connect_s)
    try:
        return await _session.post(url, data=body, headers=headers, timeout=limits, allow_redirects=False)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _provider_error(error, doing="waiting for an answer") from error
    except ValueError as error:  # a header or an address that cannot be sent: this provider's row is wrong
        raise ProviderError(FailureKind.UNREACHABLE, "its address or credential cannot be used") from error


@lru_cache(maxsize=256)
def _limits(connect_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect_s)


async def read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body.

    Raises: ProviderError.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.content.iter_any():
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                response.close()
                raise ProviderError(FailureKind.BAD_ANSWER, "its answer is larger than 64 MiB", status=response.status)
            parts.append(part)
        return b"".join(parts)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _provider_error(error, doing="reading the answer") from error


async def read_some(response: aiohttp.ClientResponse) -> bytes:
    """The next bytes as they come; b'' at the end.

    Raises: ProviderError.
    """
    try:
        return await response.content.readany()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _provider_error(error, doing="reading the stream") from error


def _provider_error(error: Exception, *, doing: str) -> ProviderError:
    if isinstance(error, TimeoutError):
        return ProviderError(FailureKind.TIMEOUT, f"timed out {doing}")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ProviderError(FailureKind.UNREACHABLE, "its host name cannot be resolved")
    if isinstance(error, aiohttp.ClientConnectorError):
        return ProviderError(FailureKind.UNREACHABLE, f"cannot connect: {error.os_error.strerror or 'refused'}")
    return ProviderError(FailureKind.UNREACHABLE, f"the connection broke {doing}")
