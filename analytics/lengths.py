"""How long answers usually are, per key and model: what a cap near a budget's edge is made from.

Histograms in this process's memory, learned from answers as they end and, once, from the ledger's latest rows. Does not
decide whether a request is shortened: budgets do.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict

from django.db import DatabaseError, InterfaceError

from analytics.models import Outcome, UsageKind, UsageRecord

ANY_MODEL = 0
"""In place of a model's id: what a key's answers are like before it is known which model answers."""
DEFAULT = 512
"""Output tokens, where too little is known."""
QUANTILE_PERCENT = 95
FEWEST = 20
"""Samples that a quantile is taken from."""
HALVED_AT = 1000
"""So many samples are halved, so that what is learned follows what is asked."""
MOST_HISTOGRAMS = 10_000
SEEDED_ROWS = 5000


def _edges() -> tuple[int, ...]:
    """Steps of 2^(1/2), and of 2^(1/4) where most answers are: 16 to 65,536 tokens."""
    halves = [2 ** (step / 2) for step in (*range(8), *range(33, 41))]
    quarters = [2 ** (step / 4) for step in range(16, 65)]
    return tuple(sorted({round(edge) for edge in halves + quarters}))


EDGES = _edges()
"""Upper edges of the buckets, each belonging to its bucket; the last one also takes all that is longer."""

_Name = tuple[int | None, int]
"""A key and a model."""


class _Histogram:
    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = array("H", bytes(2 * len(EDGES)))
        self.total = 0

    def add(self, bucket: int) -> None:
        self.counts[bucket] += 1
        self.total += 1
        if self.total >= HALVED_AT:
            # Down, so that a single long answer of long ago is forgotten at last.
            self.counts = array("H", [count >> 1 for count in self.counts])
            self.total = sum(self.counts)

    def quantile(self) -> int:
        above = self.total * (100 - QUANTILE_PERCENT) // 100
        """So many samples may be longer."""
        for bucket in range(len(EDGES) - 1, 0, -1):
            above -= self.counts[bucket]
            if above < 0:
                return EDGES[bucket]
        return EDGES[0]


class Lengths:
    """Thread-safe; a step takes a few microseconds."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._histograms: OrderedDict[_Name, _Histogram] = OrderedDict()

    def learn(self, *, key_id: int | None, model_id: int, tokens: int, was_capped: bool, choices: int = 1) -> None:
        """Adds one answer of `tokens` output tokens.

        One with several choices (`n`) was told as their sum, and a cap holds for each choice: it counts as one answer
        of their mean length, rounded up. One that ended at its budget's cap would have been longer, nobody knows by how
        much: it counts one bucket higher, as otherwise caps could only shrink.
        """
        if tokens <= 0:
            return
        bucket = bisect_left(EDGES, -(-tokens // max(choices, 1))) + was_capped
        bucket = min(bucket, len(EDGES) - 1)
        with self._mutex:
            self._of((key_id, model_id)).add(bucket)

    def usual(self, *, key_id: int | None, model_id: int) -> int:
        """Tokens that 95 of 100 answers of this key and model do with, else a default. What others ask says nothing:
        they could make its answers as short as they like."""
        name = key_id, model_id
        with self._mutex:
            known = self._histograms.get(name)
            if known is None or known.total < FEWEST:
                return DEFAULT
            self._histograms.move_to_end(name)
            return known.quantile()

    def unstated(self, *, key_id: int | None) -> int:
        """Tokens that an answer counts as before it is known, when its request does not say how long it may get. Never
        few: a key whose answers were short so far must not get any number of long ones through at once."""
        return max(self.usual(key_id=key_id, model_id=ANY_MODEL), DEFAULT)

    def seed(self) -> bool:
        """Learns from the ledger's latest answers; returns whether it could. Without a database nothing is learned.

        How many choices a row's answer had is not in the ledger: it counts by its sum, so a cap from it is rather long.
        """
        suitable = UsageRecord.objects.filter(
            kind=UsageKind.CHAT, outcome=Outcome.OK, output_tokens__gt=0, model_id__isnull=False
        )
        columns = ("key_id", "model_id", "output_tokens", "is_capped")
        try:
            rows = list(suitable.order_by("-started_at").values_list(*columns)[:SEEDED_ROWS])
        except (DatabaseError, InterfaceError):
            return False
        for key_id, model_id, tokens, is_capped in reversed(rows):
            if model_id is not None:
                self.learn(key_id=key_id, model_id=model_id, tokens=tokens, was_capped=is_capped)
        return True

    def _of(self, name: _Name) -> _Histogram:
        """With the mutex held."""
        known = self._histograms.get(name)
        if known is None:
            known = self._histograms[name] = _Histogram()
            if len(self._histograms) > MOST_HISTOGRAMS:
                self._histograms.popitem(last=False)
        else:
            self._histograms.move_to_end(name)
        return known
