"""Deadlines for what a request awaits: what `asyncio.timeout` does, without a timer of the event loop for each.

A request sets three or more deadlines and almost none passes. Making and closing so many timers took a tenth of a
request's CPU; here they share one, set for the earliest (docs/performance.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Protocol, Self
from weakref import WeakKeyDictionary

TICK_S = 0.01
"""How far apart two looks are at least: with thousands open, many that pass together must cost one look."""
CLOCK_S = 0.001
"""How early a timer may fire: uvloop counts in milliseconds."""


class within:  # noqa: N801 - reads as a statement: `with within(2.0): await ...`
    """Cancels what is awaited in its block after `seconds`, and raises TimeoutError in its place.

    Any other cancelling of the task passes through, also when both happen at once.
    """

    __slots__ = ("_cancelling", "_is_over", "_seconds", "_task", "_watch", "due")

    def __init__(self, seconds: float) -> None:
        self._seconds = max(0.0, seconds)
        self._is_over = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A deadline needs a task to cancel.")
        self._task = task
        self._cancelling = task.cancelling()
        loop = asyncio.get_running_loop()
        self._watch = _watch(loop)
        self.due = loop.time() + self._seconds
        self._watch.add(self, loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.discard(self)
        # As in asyncio: somebody else's cancelling that came on top of ours must not be swallowed.
        if self._is_over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        self._is_over = True
        self._task.cancel()


class after:  # noqa: N801 - likewise: `with after(20.0, say_so): await ...`
    """Calls `act` once when its block takes longer than `seconds`. The block goes on; `act` must not wait."""

    __slots__ = ("_act", "_seconds", "_watch", "due")

    def __init__(self, seconds: float, act: Callable[[], object]) -> None:
        self._seconds = seconds
        self._act = act

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._watch = _watch(loop)
        self.due = loop.time() + self._seconds
        self._watch.add(self, loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.discard(self)

    def expire(self) -> None:
        self._act()


class _Due(Protocol):
    due: float

    def expire(self) -> None: ...


class _Watch:
    """The open deadlines of one event loop, and when they are looked at next: no later than the earliest is due, and
    at most once in `TICK_S`. Holds nothing that holds the loop."""

    def __init__(self) -> None:
        self._open: set[_Due] = set()
        self._next = inf
        self._looked = -inf

    def add(self, deadline: _Due, loop: asyncio.AbstractEventLoop) -> None:
        self._open.add(deadline)
        if deadline.due < self._next:
            self._set(deadline.due, loop)

    def discard(self, deadline: _Due) -> None:
        self._open.discard(deadline)

    def _set(self, due: float, loop: asyncio.AbstractEventLoop) -> None:
        self._next = max(due, self._looked + TICK_S)
        loop.call_at(self._next, self._look)

    def _look(self) -> None:
        """Expires those that are due. Most that set the timer are long gone: it only moves on to the earliest left."""
        loop = asyncio.get_running_loop()
        now = loop.time() + CLOCK_S
        if now < self._next:
            return  # set for one that was the earliest once; the timer that counts is still to come
        self._next, self._looked = inf, now
        for deadline in [one for one in self._open if one.due <= now]:
            self._open.discard(deadline)
            deadline.expire()
        if self._open:
            self._set(min(one.due for one in self._open), loop)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


def _watch(loop: asyncio.AbstractEventLoop) -> _Watch:
    try:
        return _watches[loop]
    except KeyError:
        return _watches.setdefault(loop, _Watch())
