"""The scripted upstream's HTTP side: logs each request, then plays its answer, delays, stalls and cuts included.

Owns timing, connections and routes. What an answer says is composed in `answers` for OpenAI's dialect, in `anthropic`
for Anthropic's; what a script may ask for stands in `script`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Never

import msgspec
from aiohttp import web

from tests.upstream import answers, anthropic, connection
from tests.upstream.answers import CREATED
from tests.upstream.exchange import Answer, Bill
from tests.upstream.log import Ending, Log, SeenAnswer, SeenRequest
from tests.upstream.script import Point, Script

MAX_BODY_BYTES = 64 * 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Cut(Exception):
    """The script closes the connection here, or resets it."""

    def __init__(self, *, is_reset: bool = False) -> None:
        super().__init__()
        self.is_reset = is_reset


class _WrittenByHand(Exception):
    """The answer is out already, past the HTTP server, and the connection is of no more use."""


@dataclass(slots=True)
class Turn:
    """One request being answered: what `SeenAnswer` will say of it."""

    sequence: int
    sent_bytes: int = 0
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def begin(self, bill: Bill, *, is_whole: bool) -> None:
        """The prompt is billed from the start, a whole answer as well."""
        self.model, self.prompt_tokens = bill.model, bill.prompt_tokens
        self.completion_tokens = bill.completion_tokens if is_whole else 0

    def ended(self, how: Ending) -> SeenAnswer:
        return SeenAnswer(
            sequence=self.sequence,
            at=time.time(),
            how=how,
            sent_bytes=self.sent_bytes,
            model=self.model,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
        )


_TURN = web.RequestKey("turn", Turn)


@dataclass(slots=True, kw_only=True)
class Upstream:
    """The application's handlers and what they share."""

    log: Log
    default_script: str = "ok"
    models: tuple[str, ...] = ("ok",)
    log_bodies: bool = True
    strict: bool = False
    """Whether chat completions are refused as api.openai.com refuses them; messages always are as at Anthropic."""
    stopping: bool = field(default=False, init=False)
    _sequence: count[int] = field(default_factory=lambda: count(1), init=False)

    def application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._logged])
        application.router.add_post("/v1/chat/completions", self.chat)
        application.router.add_post("/v1/messages", self.messages)
        application.router.add_get("/v1/models", self.list_models)
        application.on_shutdown.append(self._stop)
        return application

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        return await _answered(request, answers.answer_to(body, default_script=self.default_script, strict=self.strict))

    async def messages(self, request: web.Request) -> web.StreamResponse:
        answer = anthropic.answer_to(
            await request.read(),
            version=request.headers.get("anthropic-version"),
            has_key="x-api-key" in request.headers or "Authorization" in request.headers,
            default_script=self.default_script,
        )
        return await _answered(request, answer)

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        rows = [{"id": name, "object": "model", "created": CREATED, "owned_by": "scripted"} for name in self.models]
        body = msgspec.json.encode({"object": "list", "data": rows})
        request[_TURN].sent_bytes = len(body)
        return web.Response(body=body, content_type="application/json")

    @web.middleware
    async def _logged(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        turn = request[_TURN] = Turn(next(self._sequence))
        body = await request.read()
        self.log.write(self._seen(request, body, turn))
        how = Ending.CLIENT_LEFT
        try:
            response = await handler(request)
            await response.prepare(request)
            await response.write_eof()
            how = Ending.FINISHED
            return response
        except web.HTTPException:  # no such path or method: aiohttp's own answer
            how = Ending.FINISHED
            raise
        except _Cut as cut:
            how = Ending.CUT
            return connection.hang_up(request, is_reset=cut.is_reset)
        except _WrittenByHand:
            how = Ending.FINISHED
            return connection.hang_up(request)
        except asyncio.CancelledError:
            how = Ending.SERVER_STOPPED if self.stopping else Ending.CLIENT_LEFT
            raise
        finally:
            self.log.write(turn.ended(how))

    def _seen(self, request: web.Request, body: bytes, turn: Turn) -> SeenRequest:
        headers = {name.lower(): value for name, value in request.headers.items()}
        authorization, api_key = headers.pop("authorization", None), headers.pop("x-api-key", None)
        host, port = request.get_extra_info("peername")[:2] if request.transport else ("gone", 0)
        return SeenRequest(
            sequence=turn.sequence,
            at=time.time(),
            method=request.method,
            path=request.path_qs,
            connection=f"{host}:{port}",
            has_authorization=authorization is not None,
            has_api_key=api_key is not None,
            headers=headers,
            body=body.decode(errors="replace") if self.log_bodies else None,
        )

    async def _stop(self, _application: web.Application) -> None:
        self.stopping = True


async def _answered(request: web.Request, answer: Answer) -> web.StreamResponse:
    script, turn = answer.script, request[_TURN]
    turn.begin(answer.bill, is_whole=not (answer.is_stream and script.in_steps))
    await _fault(script, Point.HEADERS)
    if script.head_ms or Point.HEAD in (script.stall, script.cut, script.reset):
        await _write_head(request, answer)
        connection.write(request, answer.body)
        turn.sent_bytes = len(answer.body)
        raise _WrittenByHand
    if script.in_steps:
        return await _play(request, answer, turn)
    if answer.is_stream:
        response = await _prepared(request, answer)
        await _send(response, answer.body, answer=answer, turn=turn)
        return response
    turn.sent_bytes = len(answer.body)
    return web.Response(status=answer.status, headers=_headers(answer), body=answer.body)


async def _play(request: web.Request, answer: Answer, turn: Turn) -> web.StreamResponse:
    """An answer in steps. A JSON answer waits before its headers, a stream before each content chunk."""
    script, delay_s = answer.script, answer.script.delay_ms / 1000
    if not answer.is_stream:
        await asyncio.sleep(delay_s)
    response = await _prepared(request, answer)
    await _send(response, answer.opening, answer=answer, turn=turn)
    await _flood(response, Point.FIRST, answer=answer, turn=turn)
    await _fault(script, Point.FIRST)
    content = answer.content or (b"",)
    for sent, chunk in enumerate(content, start=1):
        if answer.is_stream:
            await asyncio.sleep(delay_s)
            turn.completion_tokens = answer.billed_tokens(sent)
        await _send(response, chunk, answer=answer, turn=turn)
        if sent == (len(content) + 1) // 2:
            await _flood(response, Point.MID, answer=answer, turn=turn)
            await _fault(script, Point.MID)
    await _send(response, answer.closing, answer=answer, turn=turn)
    return response


async def _prepared(request: web.Request, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=_headers(answer))
    if not answer.is_stream:
        response.content_length = len(answer.body)
    await response.prepare(request)
    return response


async def _write_head(request: web.Request, answer: Answer) -> None:
    """Line by line, up to where the script wants something to go wrong; the connection ends with the body."""
    lines = connection.head(answer.status, _headers(answer) | {"Connection": "close"})
    for number, line in enumerate(lines):
        if number == len(lines) // 2:
            await _fault(answer.script, Point.HEAD)
        connection.write(request, line)
        await asyncio.sleep(answer.script.head_ms / 1000)


async def _send(response: web.StreamResponse, data: bytes, *, answer: Answer, turn: Turn) -> None:
    script = answer.script
    if script.crlf and answer.is_stream:
        data = data.replace(b"\n", b"\r\n")
    for piece in connection.pieces(data, size=script.drip):
        await response.write(piece)
        turn.sent_bytes += len(piece)
        if script.drip:
            await asyncio.sleep(script.drip_ms / 1000)


async def _flood(response: web.StreamResponse, point: Point, *, answer: Answer, turn: Turn) -> None:
    if answer.script.flood is point:
        for block in connection.flood():
            await response.write(block)
            turn.sent_bytes += len(block)
        await _forever()


async def _fault(script: Script, point: Point) -> None:
    """Stalls or cuts if the script says so of this point; a stall ends when the client leaves and cancels us."""
    if script.stall is point:
        await _forever()
    if point in (script.cut, script.reset):
        raise _Cut(is_reset=script.reset is point)


async def _forever() -> Never:
    while True:
        await asyncio.Event().wait()


def _headers(answer: Answer) -> dict[str, str]:
    headers = {"Content-Type": answer.content_type, **dict(answer.headers)}
    if answer.script.retry_after is not None:
        headers["Retry-After"] = str(answer.script.retry_after)
    if answer.script.location is not None:
        headers["Location"] = answer.script.location
    return headers
