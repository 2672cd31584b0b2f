"""Deadlines for what a request awaits: what `asyncio.timeout` does, without a timer of the event loop for each.

A request sets three or more deadlines and almost none passes. Making and closing so many timers took a tenth of a
request's CPU; here they share one, set for the earliest (docs/performance.md).
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self
from weakref import WeakKeyDictionary


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
        self._watch = _watch()
        self.due = self._watch.now() + self._seconds
        self._watch.add(self)
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


class _Watch:
    """The open deadlines of one event loop, and its one timer: due no later than the earliest of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time
        self._call_at = loop.call_at
        self._open: set[within] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next = float("inf")

    def add(self, deadline: within) -> None:
        self._open.add(deadline)
        if deadline.due < self._next:
            self._set(deadline.due)

    def discard(self, deadline: within) -> None:
        self._open.discard(deadline)

    def _set(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next, self._timer = due, self._call_at(due, self._look)

    def _look(self) -> None:
        """Expires those that are due. Most that set the timer are long gone: it only moves on to the earliest left."""
        self._next, self._timer = float("inf"), None
        now = self.now()
        for deadline in [one for one in self._open if one.due <= now]:
            self._open.discard(deadline)
            deadline.expire()
        if self._open:
            self._set(min(one.due for one in self._open))


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


def _watch() -> _Watch:
    loop = asyncio.get_running_loop()
    try:
        return _watches[loop]
    except KeyError:
        return _watches.setdefault(loop, _Watch(loop))
