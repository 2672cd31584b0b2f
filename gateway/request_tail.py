"""Follows the ledger as rows come in.

A row comes when its request has ended and the spool was drained, under the time at which the request *began*: whoever
asked only for what is later than the last row seen would miss each request that took longer than one that began after
it. So each look goes back a stretch of time and tells what was not told yet: a minute every second, for most, and
`--back` minutes every tenth time, for long answers and spools of processes that died. What began before that is not
told; `requests list` has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from analytics.models import UsageRecord
from analytics.queries import search

LATELY = timedelta(minutes=1)
LONG_EVERY = 10
"""Of so many looks, one goes back as far as is asked for."""
EVERY_S = 1.0
_AHEAD = timedelta(minutes=1)
"""How far another machine's clock may be ahead."""


class Columns:
    """Lines below one another: each column as wide as the widest that came so far."""

    def __init__(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        self._widths = [max(map(len, cells)) for cells in zip(headings, *rows, strict=True)]

    def line(self, cells: Sequence[str]) -> str:
        self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, cells, strict=True)]
        padded = (cell.ljust(width) for width, cell in zip(self._widths, cells, strict=True))
        return "  ".join(padded).rstrip()


class Follower:
    """Remembers what it has told, for as long as it looks back."""

    def __init__(self, among: QuerySet[UsageRecord], *, back: timedelta, now: datetime) -> None:
        self._among, self._back = among, back
        self._looks = 0
        self._told: dict[UUID, datetime] = dict(self._ids(now - back, now))

    def skip(self, rows: Mapping[UUID, datetime]) -> None:
        """Those were told already, by others: ids and when they began."""
        self._told |= rows

    def look(self, *, now: datetime) -> list[UsageRecord]:
        """Rows that came since the last look, in the order their requests began."""
        self._looks += 1
        back = self._back if self._looks % LONG_EVERY == 0 else min(LATELY, self._back)
        fresh = {one: at for one, at in self._ids(now - back, now) if one not in self._told}
        self._told = {one: at for one, at in self._told.items() if at >= now - self._back} | fresh
        if not fresh:
            return []
        # Their times lead to the right partitions.
        rows = self._among.filter(
            id__in=fresh, started_at__gte=min(fresh.values()), started_at__lte=max(fresh.values())
        )
        return list(rows.defer(*search.NOT_LISTED).order_by("started_at", "id"))

    def _ids(self, start: datetime, now: datetime) -> Iterable[tuple[UUID, datetime]]:
        rows = self._among.filter(started_at__gte=start, started_at__lt=now + _AHEAD)
        return rows.order_by().values_list("id", "started_at")


def follow(follower: Follower, *, tell: Callable[[UsageRecord], None], pause: Callable[[], object]) -> None:
    """Until Ctrl-C, which ends it quietly."""
    try:
        while True:
            for row in follower.look(now=datetime.now(UTC)):
                tell(row)
            pause()
    except KeyboardInterrupt:
        return
