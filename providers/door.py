"""The one way out to providers: an HTTP/1.1 client with its pools, time-outs, limits, guard and error mapping.

Everything above sees `ProviderError`, never the client library, which is aiohttp (docs/adr/0002). Nothing goes out but
the headers given: no cookies, nothing from `~/.netrc`. Where a connection may lead is checked as it is dialled
(`providers.pools`, docs/adr/0006), so a name that resolves to something else a moment later gains nothing.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import aiohttp

from providers import pools, proxies
from providers.addresses import Refusal
from providers.pools import AddressRefused, Pool, Pools
from providers.proxies import Proxies, Proxy, ProxyProblem
from providers.types import FailureCause, FailureKind, ProviderError, Timeouts

MIB = 1024 * 1024
MAX_ANSWER_BYTES = 64 * MIB
MAX_LIST_BYTES = 16 * MIB
"""The most that `get` takes. Both are counted after decompression."""

STALE_WITHIN_S = 0.5
"""A stale connection shows within one round trip of sending. What breaks later may have been at work on the request,
and charge for it: a load balancer that cuts a long completion looks just the same."""

_CAUSES = {Refusal.PRIVATE: FailureCause.PRIVATE_ADDRESS, Refusal.METADATA: FailureCause.METADATA_ADDRESS}
_UNKNOWN_ISSUER = range(18, 22)
"""OpenSSL's X509_V_ERR_* codes for a certificate signed by nobody who is trusted here."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer to `get`."""

    status: int
    body: bytes
    content_type: str
    """Without its parameters; `application/octet-stream` where the answer says nothing."""


class _Here(threading.local):
    """An event loop lives in one thread: each has pools of its own, a command's beside a server's."""

    pools: Pools | None = None
    proxies: Proxies | None = None
    """None where the environment has none: most installations, which shall not pay for a look."""


_here = _Here()


@asynccontextmanager
async def opened(*, keep_alive_s: float = pools.KEEP_ALIVE_S) -> AsyncIterator[None]:
    """Holds the pools of this event loop open, for the life of a server or a command; connections that nobody uses,
    for `keep_alive_s`."""
    before = _here.pools, _here.proxies
    async with pools.opened(keep_alive_s=keep_alive_s) as made:
        _here.pools, _here.proxies = made, proxies.from_environment() or None
        try:
            yield
        finally:
            _here.pools, _here.proxies = before


def post(
    url: str, *, body: bytes, headers: Mapping[str, str], timeouts: Timeouts, is_local: bool
) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
    """Sends `body` and returns when the answer's headers are here. The caller closes the response, and sets the limit
    on waiting for headers and content, which differs between whole answers and streams.

    `is_local`: the provider is marked local, may stand at a private address, and is never behind a proxy.
    Raises: ProviderError(UNREACHABLE, TIMEOUT or BAD_ANSWER).
    """
    return _send("POST", url, body=body, headers=headers, connect_s=timeouts.connect_s, is_local=is_local)


async def get(url: str, *, headers: Mapping[str, str], timeouts: Timeouts, is_local: bool) -> Fetched:
    """A list or a check, whole. The caller sets the limit on waiting for it.

    Raises: ProviderError.
    """
    response = await _send("GET", url, body=None, headers=headers, connect_s=timeouts.connect_s, is_local=is_local)
    try:
        return Fetched(response.status, await read(response, most=MAX_LIST_BYTES), response.content_type)
    finally:
        response.release()


async def _send(
    method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], connect_s: float, is_local: bool
) -> aiohttp.ClientResponse:
    made = _here.pools
    if made is None:
        raise RuntimeError("The outbound door is closed: enter providers.door.opened() first.")
    options = {"data": body, "headers": headers, "timeout": _limits(connect_s), "allow_redirects": False}
    if _here.proxies is not None and not is_local and (proxy := _proxy_before(url, _here.proxies)):
        return await _through(proxy, made.proxied, method, url, options)
    try:
        return await _request(made.local if is_local else made.outside, method, url, options)
    except (aiohttp.ClientError, ValueError, OSError) as error:
        raise _unusable(error, headers=headers) or _provider_error(error, doing="waiting for an answer") from error


async def _request(pool: Pool, method: str, url: str, options: dict[str, Any]) -> aiohttp.ClientResponse:
    """Sends once more, on a new connection, when a kept one turns out at once to be closed, before the first byte of
    the answer: vendors close idle connections, and may do so just as a request is on its way."""
    dialled: list[object] = []
    pools.dialled.set(dialled)
    sent = time.monotonic()
    try:
        return await pool.kept.request(method, url, **options)
    except aiohttp.ClientConnectionError as error:
        if dialled or time.monotonic() - sent > STALE_WITHIN_S or not _is_unheard(error):
            raise
    return await pool.fresh.request(method, url, **options)


def _is_unheard(error: aiohttp.ClientConnectionError) -> bool:
    """Whether the connection was closed before any byte of the answer."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)  # else it is the part of the answer that had come
    # Closed before the request was written; a body is written in one piece, so nothing of it was.
    return isinstance(error, aiohttp.ClientConnectionResetError) or isinstance(
        error.__cause__, aiohttp.ClientConnectionResetError
    )


def _proxy_before(url: str, known: Proxies) -> Proxy | None:
    try:
        return known.before(url)
    except ProxyProblem as problem:
        cause = _CAUSES[problem.refusal] if problem.refusal else FailureCause.PROXY
        raise ProviderError(FailureKind.UNREACHABLE, str(problem), cause=cause) from None
    except ValueError:
        return None  # no address: the client says so


async def _through(proxy: Proxy, pool: Pool, method: str, url: str, options: dict[str, Any]) -> aiohttp.ClientResponse:
    options["proxy"] = proxy.url
    if url.startswith("https:"):
        options["proxy_headers"] = proxy.headers  # for CONNECT
    else:
        options["headers"] = {**options["headers"], **proxy.headers}
    try:
        response = await _request(pool, method, url, options)
    except aiohttp.ClientHttpProxyError as error:
        raise _refused_by_proxy(error.status) from None
    except (aiohttp.ClientError, ValueError, OSError) as error:
        unusable = _unusable(error, headers=options["headers"])
        raise unusable or _provider_error(error, doing="waiting for an answer", is_proxied=True) from error
    if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        response.close()
        raise _refused_by_proxy(response.status)
    return response


def _refused_by_proxy(status: int) -> ProviderError:
    return ProviderError(FailureKind.UNREACHABLE, f"the proxy answered HTTP {status}", cause=FailureCause.PROXY)


@lru_cache(maxsize=256)
def _limits(connect_s: float) -> aiohttp.ClientTimeout:
    """`connect` spans all of it: the name's look-up, every address tried, the proxy's greeting and TLS."""
    return aiohttp.ClientTimeout(total=None, connect=connect_s)


async def read(response: aiohttp.ClientResponse, *, most: int = MAX_ANSWER_BYTES) -> bytes:
    """The whole body, of at most so many bytes once decompressed.

    Raises: ProviderError.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.content.iter_any():
            size += len(part)
            if size > most:
                response.close()
                says = f"its answer is larger than {most // MIB} MiB"
                raise ProviderError(FailureKind.BAD_ANSWER, says, status=response.status)
            parts.append(part)
        return b"".join(parts)
    except (aiohttp.ClientError, OSError) as error:
        raise _provider_error(error, doing="reading the answer") from error


async def read_some(response: aiohttp.ClientResponse) -> bytes:
    """The next bytes as they come; b'' at the end.

    Raises: ProviderError.
    """
    try:
        return await response.content.readany()
    except (aiohttp.ClientError, OSError) as error:
        raise _provider_error(error, doing="reading the stream") from error


def _unusable(error: Exception, *, headers: Mapping[str, str]) -> ProviderError | None:
    """What the provider's row says cannot be sent, or not there; None where that is not the trouble."""
    is_unsendable = isinstance(error, ValueError | aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError)
    if not is_unsendable or isinstance(error, OSError):  # a certificate that is not trusted is a ValueError too
        return None
    if isinstance(error, aiohttp.InvalidURL) or all(map(str.isprintable, headers.values())):
        says, cause = "its address cannot be used", FailureCause.UNUSABLE_ADDRESS
    else:
        says, cause = "its credential cannot be used", FailureCause.UNUSABLE_CREDENTIAL
    return ProviderError(FailureKind.UNREACHABLE, says, cause=cause)


def _provider_error(error: Exception, *, doing: str, is_proxied: bool = False) -> ProviderError:
    """`is_proxied`: it was the proxy that was looked up and dialled."""
    if isinstance(error, aiohttp.ClientResponseError):
        says = "its answer is no valid HTTP, or its headers are too large"
        return ProviderError(FailureKind.BAD_ANSWER, says)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        through, cause = (" through the proxy", FailureCause.PROXY) if is_proxied else ("", None)
        says = f"timed out connecting{through}"
        return ProviderError(FailureKind.TIMEOUT, says, cause=cause, may_cost=False)
    if isinstance(error, TimeoutError):
        return ProviderError(FailureKind.TIMEOUT, f"timed out {doing}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _untrusted(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _not_connected(error, is_proxied=is_proxied)
    return ProviderError(FailureKind.UNREACHABLE, f"the connection broke {doing}", may_cost=True)


def _not_connected(error: aiohttp.ClientConnectorError, *, is_proxied: bool) -> ProviderError:
    cause = FailureCause.PROXY if is_proxied else None
    if isinstance(error.os_error, AddressRefused):
        says, cause = str(error.os_error.refusal), _CAUSES[error.os_error.refusal]
    elif isinstance(error, aiohttp.ClientConnectorSSLError):
        says, cause = "it does not speak TLS there, or none that is safe", FailureCause.NO_TLS
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        says = "the proxy's" if is_proxied else "its"
        says += " host name cannot be resolved"
    else:
        where = "connect to the proxy" if is_proxied else "connect"
        says = f"cannot {where}: {error.os_error.strerror or 'refused'}"
    return ProviderError(FailureKind.UNREACHABLE, says, cause=cause)


def _untrusted(error: Exception) -> ProviderError:
    says, cause = "its certificate is not trusted", FailureCause.BAD_CERTIFICATE
    if isinstance(error, ssl.SSLCertVerificationError):
        says += f" ({error.verify_message.rstrip('.')})"
        if error.verify_code in _UNKNOWN_ISSUER:
            says, cause = f"{says}: SSL_CERT_FILE may name its authority", FailureCause.UNKNOWN_AUTHORITY
    return ProviderError(FailureKind.UNREACHABLE, says, cause=cause)
