"""The short way in: from ASGI to an async DRF view and back, without Django's thread-bound handler and middleware.

It owes what it skips: the body limit and a read deadline, CORS by the middleware's own rules, a watcher that cancels
the view when the client leaves, an end to streams that nobody reads, errors in the caller's format, the log line. It
sends no Django signals, so nothing below it may use the ORM or `sync_to_async`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any
from uuid import UUID

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpResponse, HttpResponseBase

from analytics import ids
from gateway.api import errors
from gateway.api.base import AsyncAPIView, GatewayRequest
from gateway.api.chat import EVENT_STREAM, UNBUFFERED, EventStream
from gateway.api.opening import Headers, Message, Opening
from gateway.entrance import Entrance, Visit, most_at_once
from providers.deadlines import within
from routing import runtime, streaming

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
View = Callable[..., Any]
Refuse = Callable[[], HttpResponseBase | None]

access_log = logging.getLogger("gateway.access")
logger = logging.getLogger(__name__)

CLIENT_GONE = 499
"""What the log line says when the client left; nobody receives it."""
SAY_STOPPING_S = 1.0
"""How long a client may take to be told that the server stops; one that does not read is not waited for."""
SAY_LATE_S = 1.0
"""How long a stream's client may take, after the request's deadline, to be told that it has passed. One that does not
read would otherwise keep the provider at work when its place and its reservation have long lapsed."""
ALWAYS_ANSWERED = frozenset({"/health"})
"""However many requests there are."""
AT_ONCE_S = 0.2
"""A body that takes longer is waited for only when who sends it may ask."""
_MIB = 1024 * 1024


class ClientGone(Exception):
    """The client left before it had sent its request."""


class _ReadTooSlowly(Exception):
    """The client had not taken its stream when the request's deadline had passed."""


@dataclass(frozen=True, slots=True)
class _Limits:
    body_bytes: int
    read_s: float


class ShortWay:
    """Answers the paths it was given views for."""

    def __init__(self, views: Mapping[str, View]) -> None:
        self.views = views
        self.entrance = Entrance(
            most=most_at_once(settings.MAX_IN_FLIGHT),
            most_bytes=max(settings.MAX_BODIES_BYTES, settings.MAX_BODY_BYTES),
        )
        self._limits = _Limits(settings.MAX_BODY_BYTES, settings.BODY_READ_TIMEOUT_S)
        self._cors = CorsMiddleware(lambda request: HttpResponse())

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request from first to last byte."""
        if scope["path"] in ALWAYS_ANSWERED:
            await self._handle(scope, receive, send, visit=None)
            return
        with Visit(self.entrance) as visit:
            await self._handle(scope, receive, send, visit=visit)

    async def _handle(self, scope: Scope, receive: Receive, send: Send, *, visit: Visit | None) -> None:
        started = time.monotonic()
        request_id = ids.new()
        status = 500
        try:
            refuse = partial(self._refusal, scope, request_id=request_id)
            body: bytes | HttpResponseBase = b""  # what would be in it is of no use: not waited for, whoever asks
            if visit is not None and scope["method"] != "OPTIONS":
                body = await _read_body(
                    receive, headers=scope["headers"], limits=self._limits, visit=visit, refuse=refuse
                )
            request = _request(scope, body if isinstance(body, bytes) else b"", request_id=request_id)
            if isinstance(body, bytes):
                status = await self._answer(request, receive=receive, send=send)
            else:
                status = body.status_code
                await _send_whole(self._finished(request, body), send=send)
        except ClientGone:
            status = CLIENT_GONE
        finally:
            access_log.info(
                '%s "%s %s" %d %.1f ms',
                request_id,
                scope["method"],
                scope["path"],
                status,
                (time.monotonic() - started) * 1000,
            )

    def _refusal(self, scope: Scope, *, request_id: UUID) -> HttpResponseBase | None:
        """Of a body that does not come at once, and may never come: whether to wait for it at all."""
        view: type[AsyncAPIView] | None = getattr(self.views[scope["path"]], "cls", None)
        refusal = view.refusal(_request(scope, b"", request_id=request_id)) if view is not None else None
        if refusal is not None:
            refusal.headers["Connection"] = "close"
        return refusal

    async def _answer(self, request: GatewayRequest, *, receive: Receive, send: Send) -> int:
        """Runs the view with a watcher beside it; returns the status the client got."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an ASGI server calls us in a task
        watcher = asyncio.create_task(_cancel_when_gone(receive, task=task))
        opening = request.opening = Opening(headers=lambda: self._early_headers(request), send=send)
        response: HttpResponseBase | None = None
        try:
            response = await self._response(request)
            opening.close()
            await _send_response(response, opening=opening, send=send)
            return 200 if opening.has_begun else response.status_code
        except _ReadTooSlowly:
            return CLIENT_GONE
        except asyncio.CancelledError:
            task.uncancel()
            opening.close()
            if isinstance(response, EventStream):
                response.abandon(was_cancelled=True)  # settled as what it is, and before anything is waited for
            if streaming.has_left():
                return CLIENT_GONE
            return await self._say_stopping(request, begun=response, send=send)
        finally:
            watcher.cancel()
            opening.close()
            request.opening = None  # each holds the other, and the request its body
            if isinstance(response, EventStream):
                response.abandon()

    async def _say_stopping(self, request: GatewayRequest, *, begun: HttpResponseBase | None, send: Send) -> int:
        """The server stops and cannot wait any longer: the client is told so, in a stream as well."""
        stopping = errors.handle(runtime.NotRunning(), {})
        has_opened = request.opening is not None and request.opening.has_begun
        with suppress(TimeoutError):
            async with asyncio.timeout(SAY_STOPPING_S):
                if has_opened or (isinstance(begun, EventStream) and begun.has_begun):
                    await _send_event(stopping, send=send)
                elif begun is None or isinstance(begun, EventStream):
                    await _send_whole(self._finished(request, stopping), send=send)
        return stopping.status_code

    async def _response(self, request: GatewayRequest) -> HttpResponseBase:
        try:
            preflight = self._cors.check_preflight(request) if request.method == "OPTIONS" else None
            response = preflight or await self.views[request.path](request)
            if hasattr(response, "render"):
                response.render()
        except Exception as error:
            response = errors.handle(error, {})
        return self._finished(request, response)

    def _early_headers(self, request: GatewayRequest) -> Headers:
        """What is known of a stream before its first content."""
        return _headers(self._finished(request, HttpResponse(content_type=EVENT_STREAM, headers=UNBUFFERED)))

    def _finished(self, request: GatewayRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.has_header("X-Gateway-Request-Id"):
            response.headers["X-Gateway-Request-Id"] = str(request.request_id)
        if "HTTP_ORIGIN" in request.META:
            self._cors.add_response_headers(request, response)
        return response


def _request(scope: Scope, body: bytes, *, request_id: UUID) -> GatewayRequest:
    request = GatewayRequest(scope, BytesIO(body))
    request.request_id = request_id
    return request


async def _read_body(
    receive: Receive, *, headers: list[tuple[bytes, bytes]], limits: _Limits, visit: Visit, refuse: Refuse
) -> bytes | HttpResponseBase:
    """The request's body, or the answer to one that is too large, too slow or too many, or whose sender may not ask.
    Raises: ClientGone."""
    if (beyond := _beyond(headers, limits=limits, visit=visit)) is not None:
        return beyond
    parts: list[bytes] = []
    try:
        with suppress(TimeoutError), within(min(AT_ONCE_S, limits.read_s)):
            return await _collect(receive, parts, limits=limits, visit=visit)
        if (refusal := refuse()) is not None:
            return refusal
        with within(max(limits.read_s - AT_ONCE_S, 0.0)):
            return await _collect(receive, parts, limits=limits, visit=visit)
    except TimeoutError:
        text = f"The request body did not arrive within {limits.read_s:g} s."
        return errors.problem(408, "request_timeout", text, headers={"Connection": "close"})


def _beyond(headers: list[tuple[bytes, bytes]], *, limits: _Limits, visit: Visit) -> HttpResponse | None:
    """What is told before a body is read: it is too large, or there are too many."""
    if not visit.is_admitted:
        return visit.turn_away()
    declared = next((int(value) for name, value in headers if name == b"content-length" and value.isdigit()), 0)
    if declared > limits.body_bytes:
        return _too_large(limits)
    return None if visit.has_room(declared) else visit.turn_away()


async def _collect(receive: Receive, parts: list[bytes], *, limits: _Limits, visit: Visit) -> bytes | HttpResponse:
    """Goes on from `parts`, and leaves there what came when it is cut off."""
    size = sum(map(len, parts))
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limits.body_bytes:
            return _too_large(limits)
        if not visit.hold(len(parts[-1])):
            return visit.turn_away(amid_body=True)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limits: _Limits) -> HttpResponse:
    text = f"The request body is larger than {limits.body_bytes / _MIB:g} MiB."
    return errors.problem(413, "request_too_large", text, headers={"Connection": "close"})


async def _cancel_when_gone(receive: Receive, *, task: asyncio.Task[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    streaming.leave(task)


async def _send_response(response: HttpResponseBase, *, opening: Opening, send: Send) -> None:
    """Raises: _ReadTooSlowly, in the middle of a stream that is not settled yet."""
    try:
        if isinstance(response, EventStream):
            with within(response.stream.left_s + SAY_LATE_S):
                await _send_stream(response, opening=opening, send=send)
        elif opening.has_begun:
            with within(SAY_LATE_S):
                await _send_event(response, send=send)
        else:
            await _send_whole(response, send=send)
    except TimeoutError:
        raise _ReadTooSlowly from None


async def _send_stream(response: EventStream, *, opening: Opening, send: Send) -> None:
    if opening.has_begun:
        late = opening.late(response.headers)
        await send({"type": "http.response.body", "body": late, "more_body": True})
    else:
        await send({"type": "http.response.start", "status": response.status_code, "headers": _headers(response)})
    response.has_begun = True
    async for body, is_more in response.parts():
        await send({"type": "http.response.body", "body": body, "more_body": is_more})


async def _send_event(failure: HttpResponseBase, *, send: Send) -> None:
    """A failure's error object as the last event of a stream."""
    body = b"data: " + getattr(failure, "content", b"") + b"\n\n"
    await send({"type": "http.response.body", "body": body})


async def _send_whole(response: HttpResponseBase, *, send: Send) -> None:
    body = getattr(response, "content", b"")
    headers = _headers(response)
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _headers(response: HttpResponseBase) -> Headers:
    """Without a length: of a body that is sent whole it is counted, and a stream has none."""
    named = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    return [pair for pair in named if pair[0] != b"content-length"] if response.has_header("Content-Length") else named
