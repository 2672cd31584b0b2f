"""The beginning of a streamed answer whose content lets itself be waited for.

Nothing goes out before the first content: until then a failure has a status of its own, and another model takes over
unseen. But a client that hears nothing for long gives up, and so does a proxy on its way: after `COMMIT_AFTER_S` the
answer begins with 200 and a comment, and with another one each time so long has passed again. The attempts go on as
before; when the last of them fails, it is an event that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from django.conf import settings

from providers.deadlines import after

Message = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]
WAITING = b": waiting for the first content\n\n"
LEAST_APART_S = 0.05
"""Between two comments."""


class Opening:
    """Of one answer. Whoever sends the answer calls `close` first, and begins it only where this has not."""

    __slots__ = ("_headers", "_keeper", "_send", "has_begun", "told")

    def __init__(self, *, headers: Callable[[], Headers], send: Callable[[Message], Awaitable[None]]) -> None:
        self.has_begun = False
        """Whether 200 is out."""
        self.told: Headers = []
        """The headers that went out with it."""
        self._headers = headers
        self._send = send
        self._keeper: asyncio.Task[None] | None = None

    def patience(self) -> after:
        """For what is awaited before the first content."""
        return after(settings.COMMIT_AFTER_S, self._begin)

    def _begin(self) -> None:
        self._keeper = asyncio.create_task(self._keep_alive())

    async def _keep_alive(self) -> None:
        with contextlib.suppress(OSError):  # the client left, which the watcher for that tells
            headers = self._headers()
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            self.has_begun, self.told = True, headers
            while True:
                await self._send({"type": "http.response.body", "body": WAITING, "more_body": True})
                await asyncio.sleep(max(settings.COMMIT_AFTER_S, LEAST_APART_S))

    def close(self) -> None:
        """Nothing goes out from here any more: what waits to be sent is not sent."""
        if self._keeper is not None:
            self._keeper.cancel()

    def late(self, headers: Mapping[str, str]) -> bytes:
        """Those of an answer's headers that were not known when it began, as a comment."""
        told = {name for name, _ in self.told}
        lines = [f": {name}: {value}\n" for name, value in headers.items() if name.lower().encode() not in told]
        return "".join([*lines, "\n"]).encode() if lines else b""
