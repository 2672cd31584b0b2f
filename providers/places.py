"""Who may call a provider now: so many calls at once as its row allows, and who waits for one to end, in order.

Counts in this process alone, without a store and without a lock: everything here runs on one event loop. Where a server
has several workers each takes its share (`share_among`). Does not call anybody and does not choose another model.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from time import monotonic

from providers.deadlines import within
from providers.types import FailureKind, Provider, ProviderError

NEWEST = 0.2
"""The weight of the last call's length in the mean of all."""

_workers = 1
_desks: dict[int, _Desk] = {}
"""By the provider's row. One stays when its provider is gone: calls may still be under way there."""


class Place:
    """One call that may be under way. Whoever has it leaves it once the call is over; a second time does nothing."""

    __slots__ = ("_desk", "_taken_at", "waited_s")

    def __init__(self, desk: _Desk, *, waited_s: float = 0.0) -> None:
        self._desk: _Desk | None = desk
        self._taken_at = monotonic()
        self.waited_s = waited_s

    def leave(self, *, was_called: bool = True) -> None:
        """Never waits. Who has waited longest is let in. `was_called`: the time it was held is a call's."""
        desk, self._desk = self._desk, None
        if desk is not None:
            desk.left(after_s=monotonic() - self._taken_at if was_called else None)


class _Desk:
    """One provider's places, and the queue before them."""

    __slots__ = ("_held_s", "most", "slug", "under_way", "waiting")

    def __init__(self) -> None:
        self.slug = ""
        self.most = 1
        self.under_way = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        self._held_s: float | None = None
        """How long a call holds its place, in the mean; None before one has ended."""

    def left(self, *, after_s: float | None) -> None:
        if after_s is not None:
            self._held_s = after_s if self._held_s is None else self._held_s + NEWEST * (after_s - self._held_s)
        self.under_way -= 1
        self.let_in()

    def let_in(self) -> None:
        """A place is taken for whoever it is given to before he knows, so that nobody who comes between gets it."""
        while self.waiting and self.under_way < self.most:
            turn = self.waiting.popleft()
            if not turn.done():  # else it was cancelled just now
                self.under_way += 1
                turn.set_result(None)

    def expected_s(self) -> float | None:
        """How long one more would wait, as calls have been; None when nobody knows."""
        return None if self._held_s is None else self._held_s * (len(self.waiting) + 1) / self.most

    async def queue(self, *, within_s: float) -> None:
        """Waits for a place in order. Raises: TimeoutError."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            with within(within_s):
                await turn
        except BaseException:
            if turn.cancelled():
                with suppress(ValueError):
                    self.waiting.remove(turn)
            else:  # let in and cancelled in one turn of the loop
                self.under_way -= 1
                self.let_in()
            raise


def share_among(workers: int) -> None:
    """This process is one of so many that serve together: each lets in its share, rounded up."""
    global _workers  # noqa: PLW0603 - said once, when a worker starts
    _workers = workers


async def take(provider: Provider, *, within_s: float) -> Place | None:
    """A place to call `provider` from, at once or after those who came before; None where its row sets no limit.

    Raises: ProviderError, of the kind OVERLOADED, when the queue is full or would take longer than `within_s`.
    """
    if provider.max_concurrent is None:
        return None
    desk = _desk(provider, most=provider.max_concurrent)
    if desk.under_way < desk.most:
        desk.under_way += 1
        return Place(desk)
    expected_s = desk.expected_s()
    if len(desk.waiting) >= _share(provider.max_queued):
        raise _overloaded(desk, "its queue is full", wait_s=expected_s)
    if expected_s is not None and expected_s > within_s:
        raise _overloaded(desk, "its queue would take longer than the request has", wait_s=expected_s)
    came_at = monotonic()
    try:
        await desk.queue(within_s=within_s)
    except TimeoutError:
        raise _overloaded(desk, "none became free before the deadline", wait_s=desk.expected_s()) from None
    return Place(desk, waited_s=monotonic() - came_at)


def under_way() -> dict[str, int]:
    """Calls that hold a place, by the provider's slug; only of providers with a limit."""
    return {desk.slug: desk.under_way for desk in list(_desks.values())}


def waiting() -> dict[str, int]:
    """Likewise, who waits for one."""
    return {desk.slug: len(desk.waiting) for desk in list(_desks.values())}


def _desk(provider: Provider, *, most: int) -> _Desk:
    """As its row is now: a limit that was raised lets in who waits, one that was lowered holds for who comes."""
    desk = _desks.get(provider.id)
    if desk is None:
        desk = _desks[provider.id] = _Desk()
    desk.slug, desk.most = provider.slug, _share(most)
    desk.let_in()
    return desk


def _share(number: int) -> int:
    return -(-number // _workers)


def _overloaded(desk: _Desk, why: str, *, wait_s: float | None) -> ProviderError:
    says = f"it is sent {desk.most} at once, and {why}"
    return ProviderError(FailureKind.OVERLOADED, says, retry_after_s=wait_s)
