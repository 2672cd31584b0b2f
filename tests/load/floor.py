"""The floor: the least an ASGI server can do for `POST /v1/chat/completions`, which is to relay it by aiohttp.

What the gateway costs is told as a multiple of this. Knows no key, budget, log or error, and does not notice a client
that leaves.

Run: `FLOOR_UPSTREAM=http://127.0.0.1:9000/v1 uvicorn tests.load.floor:app --loop uvloop --http httptools`
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

URL = os.environ.get("FLOOR_UPSTREAM", "http://127.0.0.1:9000/v1") + "/chat/completions"
HEADERS = {"content-type": "application/json"}
RELAYED = ("content-type", "content-length")


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await live(scope, receive, send)
    else:
        await relay(scope["state"]["session"], receive, send)


async def live(scope: Message, receive: Receive, send: Send) -> None:
    """Holds one session, its connections kept open, from start-up to shutdown."""
    await receive()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        scope["state"]["session"] = session
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def relay(session: aiohttp.ClientSession, receive: Receive, send: Send) -> None:
    body = await read(receive)
    async with session.post(URL, data=body, headers=HEADERS) as answer:
        headers = [(name.encode(), answer.headers[name].encode()) for name in RELAYED if name in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if answer.content_type == "text/event-stream":
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body"})
        else:
            await send({"type": "http.response.body", "body": await answer.read()})


async def read(receive: Receive) -> bytes:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
