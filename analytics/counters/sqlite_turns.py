"""Steps that requests take in the same turn of an event loop: they share a transaction.

The busier a process is, the more of them do, and the less each costs. Knows no step; what a transaction is, is the
store's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from analytics.counters.sqlite_file import Opened
from analytics.counters.store import StoreError

AT_ONCE = 64
"""Other processes wait for the file as long as a transaction lasts: two milliseconds for so many."""

Answer = TypeVar("Answer")
Work = Callable[[Opened], Any]
Waiting = tuple[Work, asyncio.Future[Any]]


class Turns:
    """For one event loop at a time."""

    def __init__(self, transact: Callable[[Callable[[Opened], list[Any]]], list[Any]]) -> None:
        """`transact` does all of a work or nothing."""
        self._transact = transact
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Waiting] = []

    def take(self, work: Callable[[Opened], Answer]) -> asyncio.Future[Answer]:
        """Its answer, once the loop has come round; behind what was asked for before. Whoever gives up waiting until
        then takes it back."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # nobody waits in one that has ended
            self._loop, self._waiting = loop, []
        if not self._waiting:
            loop.call_soon(self._come_round)
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((work, answer))
        return answer

    def _come_round(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), AT_ONCE):
            left = [one for one in waiting[start : start + AT_ONCE] if not one[1].done()]
            if left:
                self._do(left)

    def _do(self, waiting: list[Waiting]) -> None:
        try:
            answers = self._transact(lambda opened: [work(opened) for work, _ in waiting])
        except StoreError as error:
            for _, answer in waiting:
                answer.set_exception(type(error)(*error.args))
        except Exception as error:  # one step's own fault: the others are spared it
            if len(waiting) == 1:
                waiting[0][1].set_exception(error)
                return
            for one in waiting:
                self._do([one])
        else:
            for (_, answer), found in zip(waiting, answers, strict=True):
                answer.set_result(found)
