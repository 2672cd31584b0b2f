"""One connection of a process's event loop to Redis: steps queue up, one pipeline is under way at a time.

What queues meanwhile goes with the next, so the server takes a process's steps in the order it asked for them. Owns
deadlines, and what becomes of the callers when the connection fails: all of them are told at once, none is left
waiting. Knows no step.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

import hiredis
import redis

from analytics.counters.redis_link import FAILURES, Call, Connection, Link
from analytics.counters.redis_scripts import Script
from analytics.counters.store import StoreAway

CONNECT_WITHIN_S = 2.0
"""Longer than a step's deadline, so that a server some round trips away can be reached at all."""
BUSY_S = 0.02
"""A timer that fires so much too late was kept by this process's own loop, not by Redis."""
SECOND_LOOK_S = 0.005
"""What arrived while the loop was at something else is read before the timer has its say."""


class _Waiting:
    """A call whose caller waits."""

    __slots__ = ("answer", "call", "due", "forgiven")

    def __init__(self, call: Call, answer: asyncio.Future[Any], due: float) -> None:
        self.call = call
        self.answer = answer
        self.due = due
        self.forgiven = False


class Pipe:
    """For one event loop at a time."""

    def __init__(
        self, link: Link, *, scripts: Sequence[Script], deadline_s: float, clock: Callable[[], int] | None
    ) -> None:
        self._link = link
        self._scripts = scripts
        self._deadline_s = deadline_s
        self._clock = clock
        self._forget()

    def _forget(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: list[_Waiting] = []
        self._sent: list[_Waiting] = []
        self._connection: Connection | None = None
        self._run_id = ""
        self._pump: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0

    async def ask(self, call: Call) -> Any:
        """The script's answer. Raises: StoreAway."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._forget()
            self._loop = loop
        waiting = _Waiting(call, loop.create_future(), loop.time() + self._deadline_s)
        self._queue.append(waiting)
        if self._timer is None:
            self._timer = loop.call_at(waiting.due, self._look, loop)
        if self._pump is None:
            self._pump = loop.create_task(self._run())
        return await waiting.answer

    async def aclose(self) -> None:
        self._fail_all("the store is closed")
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait([pump])
        if self._timer is not None:
            self._timer.cancel()
        connection = self._connection
        self._forget()
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _run(self) -> None:
        """Until nothing is queued."""
        me = asyncio.current_task()
        connection = self._connection
        try:
            if connection is None:
                connection = await self._connect()
            while self._queue:
                self._sent, self._queue = self._queue, []
                await self._exchange(connection, self._sent)
                self._sent = []
        except FAILURES as error:
            self._connection = None
            self._fail_all(str(self._link.away(error)))
            if connection is not None:
                await connection.disconnect(nowait=True)
        finally:
            if self._pump is me:
                self._pump = None

    async def _connect(self) -> Connection:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            self._connection, self._run_id = await self._link.connect(self._scripts)
        return self._connection

    async def _exchange(self, connection: Connection, batch: list[_Waiting]) -> None:
        await self._send(connection, "EVALSHA", batch)
        unknown = [waiting for waiting in batch if not await self._read(connection, waiting)]
        if unknown:
            # Somebody made the server forget its scripts. These steps come after those sent with them.
            await self._send(connection, "EVAL", unknown)
            for waiting in unknown:
                await self._read(connection, waiting)

    async def _send(self, connection: Connection, command: str, batch: list[_Waiting]) -> None:
        now = "" if self._clock is None else self._clock()
        packed = []
        for waiting in batch:
            call = waiting.call
            script = call.script.sha if command == "EVALSHA" else call.script.body
            words: Any = (command, script, len(call.keys), *call.keys, now, self._run_id, *call.args)
            packed.append(hiredis.pack_command(words))
        await connection.send_packed_command([b"".join(packed)], check_health=False)

    async def _read(self, connection: Connection, waiting: _Waiting) -> bool:
        """False when the server does not know the script."""
        answer = waiting.answer
        try:
            found = await connection.read_response(timeout=math.inf)
        except redis.exceptions.NoScriptError:
            return False
        except redis.ResponseError as error:
            if not answer.done():
                answer.set_exception(self._link.away(error))
            return True
        if not answer.done():  # its caller may have left
            answer.set_result(found)
        return True

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Whether the oldest step is overdue; all steps have the same deadline."""
        self._timer = None
        oldest = self._oldest()
        if oldest is None:
            self._looks = 0
            return
        now = loop.time()
        late_s = now - oldest.due
        if late_s < 0:
            self._looks, again_at = 0, oldest.due
        elif late_s > BUSY_S and not oldest.forgiven:
            self._looks, again_at = 0, now + self._deadline_s
            self._forgive(due=again_at)
        elif self._looks == 0:
            self._looks, again_at = 1, now + SECOND_LOOK_S
        else:
            self._looks = 0
            self._give_up()
            return
        self._timer = loop.call_at(again_at, self._look, loop)

    def _oldest(self) -> _Waiting | None:
        for batch in (self._sent, self._queue):
            for waiting in batch:
                if not waiting.answer.done():
                    return waiting
        return None

    def _forgive(self, *, due: float) -> None:
        for waiting in (*self._sent, *self._queue):
            waiting.due, waiting.forgiven = max(waiting.due, due), True

    def _give_up(self) -> None:
        """The answers to what was sent may yet come, to nobody: the connection is of no more use. An attempt to
        connect goes on: who asks next may find it made."""
        if self._connection is not None and self._pump is not None:
            self._pump.cancel()
            self._pump = self._connection = None
        self._fail_all(f"Redis did not answer within {self._deadline_s * 1000:.0f} ms")

    def _fail_all(self, why: str) -> None:
        failed, self._sent, self._queue = [*self._sent, *self._queue], [], []
        for waiting in failed:
            if not waiting.answer.done():
                waiting.answer.set_exception(StoreAway(why))
