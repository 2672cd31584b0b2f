"""The connections `providers.door` sends over: which kinds there are, and what each may be dialled to.

Owns the HTTP client's sessions and the guard at the moment of dialling. Sends nothing itself.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

from providers import addresses
from providers.addresses import Refusal

KEEP_ALIVE_S = 30.0
"""Idle connections are closed after this, unless told otherwise; most vendors' load balancers wait 60 s or more."""
MAX_HEADER_BYTES = 8190
"""The most of a status line, and of one header of an answer."""
MAX_HEADERS = 128

dialled: ContextVar[list[object] | None] = ContextVar("dialled", default=None)
"""Grows by each address dialled for the request under way; a list, because addresses are raced in tasks of their own.
Left empty, it says that the request's connection was kept from an earlier one."""


class AddressRefused(OSError):
    """Raised in place of a socket to where a provider may not be."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(errno.EACCES, str(refusal))
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Pool:
    """Connections of one kind."""

    kept: aiohttp.ClientSession
    """Takes a connection that is open already, if there is one."""
    fresh: aiohttp.ClientSession
    """A new connection for each request."""


@dataclass(frozen=True, slots=True)
class Pools:
    local: Pool
    """To providers marked local."""
    outside: Pool
    proxied: Pool
    """To the environment's proxies, which may stand anywhere."""


class _Protocol(ResponseHandler):
    """Tells of a reset before the answer as of a close: that error says whether a part of the answer had come, an
    interim answer (`102 Processing`) included."""

    _interim: RawResponseMessage | None = None
    """The last one, of any request over this connection: after one, none is taken for unheard any more."""

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        if data[0].code < HTTPStatus.OK:
            self._interim = data[0]
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        if self._interim is not None and isinstance(exc, aiohttp.ClientConnectionError):
            exc = aiohttp.ServerDisconnectedError(self._interim)
        super().set_exception(exc, *([] if exc_cause is None else [exc_cause]))

    def connection_lost(self, exc: BaseException | None) -> None:
        is_within_a_body = self._payload is not None and not self._payload.is_eof()
        super().connection_lost(exc if is_within_a_body else None)


@asynccontextmanager
async def opened(*, keep_alive_s: float = KEEP_ALIVE_S) -> AsyncIterator[Pools]:
    """The pools of one event loop; no connection is made before it is needed, and none is kept where `keep_alive_s` is
    0."""
    async with AsyncExitStack() as stack:
        make = partial(_pool, stack, keep_alive_s=keep_alive_s)
        yield Pools(
            local=await make(socket_factory=partial(_checked_socket, is_local=True)),
            outside=await make(socket_factory=partial(_checked_socket, is_local=False)),
            proxied=await make(socket_factory=_socket),
        )


async def _pool(
    stack: AsyncExitStack, *, socket_factory: aiohttp.SocketFactoryType, keep_alive_s: float = KEEP_ALIVE_S
) -> Pool:
    keeping: dict[str, Any] = {"keepalive_timeout": keep_alive_s} if keep_alive_s > 0 else {"force_close": True}
    kept = aiohttp.TCPConnector(limit=0, socket_factory=socket_factory, **keeping)
    fresh = aiohttp.TCPConnector(limit=0, socket_factory=socket_factory, force_close=True)
    return Pool(await _session(stack, kept), await _session(stack, fresh))


async def _session(stack: AsyncExitStack, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    connector._factory = cast("partial[ResponseHandler]", partial(_Protocol, loop=connector._loop))
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        # Else the client would look for proxies and credentials itself, in `~/.netrc` too.
        trust_env=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
    )
    return await stack.enter_async_context(session)


def _checked_socket(addr_info: aiohttp.AddrInfoType, *, is_local: bool) -> socket.socket:
    """The client asks for a socket just before it connects it to this very address: nothing can come between."""
    if mistake := addresses.mistake(addr_info[4][0], is_local=is_local):
        raise AddressRefused(mistake)
    return _socket(addr_info)


def _socket(addr_info: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, address = addr_info
    if (so_far := dialled.get()) is not None:
        so_far.append(address)
    return socket.socket(family, kind, protocol)
