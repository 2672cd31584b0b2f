"""How many chat requests this process has at once, and how many bytes of their bodies: who comes beyond is turned away.

Before a body is read, so that a crowd costs no more than its answers; a body that does not come at once is waited for
only when its key may ask (`short_way`). Nothing that is turned away was admitted: it has no row, and is counted for the
gauges.
"""

from __future__ import annotations

import resource
from types import TracebackType
from typing import Self

from django.http import HttpResponse

from gateway.api import errors

RETRY_S = 1
"""What a client that is turned away is asked to wait: requests end all the time."""
DESCRIPTORS_EACH = 2
"""The client's connection and the provider's."""
DESCRIPTORS_KEPT = 256
"""For the databases, the spool, the log, and for telling those beyond that they are turned away."""


class Entrance:
    """Counts on the event loop alone: no lock."""

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self.in_flight = 0
        self.held_bytes = 0
        self.turned_away = 0
        """Since this process started."""

    def turn_away(self, *, amid_body: bool = False) -> HttpResponse:
        """What whoever comes beyond is told. `amid_body`: and nothing more is read of what may have no end."""
        self.turned_away += 1
        message = "The gateway has as many requests under way as it takes; try again in a moment."
        headers = {"Retry-After": str(RETRY_S)} | ({"Connection": "close"} if amid_body else {})
        return errors.problem(503, "overloaded", message, headers=headers)


class Visit:
    """One request, from its first byte to its last: `with Visit(entrance) as visit`."""

    __slots__ = ("_entrance", "_held_bytes", "is_admitted")

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._held_bytes = 0
        self.is_admitted = entrance.in_flight < entrance.most

    def has_room(self, size: int) -> bool:
        """Whether a body of so many bytes may be held."""
        return self._entrance.held_bytes + size <= self._entrance.most_bytes

    def hold(self, size: int) -> bool:
        """So many more bytes of its body are here; False where they are more than may be held."""
        if not self.has_room(size):
            return False
        self._held_bytes += size
        self._entrance.held_bytes += size
        return True

    def turn_away(self, *, amid_body: bool = False) -> HttpResponse:
        return self._entrance.turn_away(amid_body=amid_body)

    def __enter__(self) -> Self:
        self._entrance.in_flight += self.is_admitted
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entrance.in_flight -= self.is_admitted
        self._entrance.held_bytes -= self._held_bytes


def most_at_once(wanted: int) -> int:
    """`wanted` requests, or as many as this process may open descriptors for, if those are fewer."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, (soft - DESCRIPTORS_KEPT) // DESCRIPTORS_EACH))
