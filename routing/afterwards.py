"""What goes on when a request's own task has ended: counting what it used, reading on what its client left.

Held here until done, as nobody else holds it. Settling is its last step, and happens however it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

_under_way: dict[asyncio.Task[Any], bool] = {}
"""Each with whether it is cut at the stop, and goes on to its end then, or waited for."""
_has_stopped = False


def start(
    work: Coroutine[Any, Any, None], *, then: Callable[[], None], is_cut: bool = False
) -> asyncio.Task[None] | None:
    """Runs `work` in a task of its own, and `then` once it is over in whatever way. Where nothing runs any more, `then`
    alone, and at once: None. `is_cut`: `work` knows how to end early when it is cancelled."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    if loop is None or _has_stopped:
        work.close()
        then()
        return None
    task = loop.create_task(work)
    _under_way[task] = is_cut
    task.add_done_callback(lambda _: _end(task, then))
    return task


def _end(task: asyncio.Task[None], then: Callable[[], None]) -> None:
    del _under_way[task]
    then()
    if not task.cancelled() and (error := task.exception()) is not None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "What followed a request failed", "exception": error, "task": task}
        )


async def over() -> None:
    """Waits until nothing is under way that was started by now."""
    if tasks := _of_this_loop():
        await asyncio.wait(tasks)


async def stop(*, within_s: float) -> None:
    """Ends what is under way, in `within_s` at most; what is started later is over at once."""
    global _has_stopped  # noqa: PLW0603 - one way of settling per process
    _has_stopped = True
    tasks = _of_this_loop()
    for task in tasks:
        if _under_way[task]:
            task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=within_s)
    for task in (late := _of_this_loop()):
        task.cancel()
    if late:
        await asyncio.wait(late)


def resume() -> None:
    """A process that stopped runs again, or another one in its place."""
    global _has_stopped  # noqa: PLW0603
    _has_stopped = False


def _of_this_loop() -> list[asyncio.Task[Any]]:
    loop = asyncio.get_running_loop()
    return [task for task in _under_way if task.get_loop() is loop]
