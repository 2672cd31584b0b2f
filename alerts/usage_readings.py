"""What the ledger's roll-ups say to rules: sums of a window by group, and values of those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from alerts.machine import Seen
from alerts.metrics import Metric
from analytics.queries import names, sums
from analytics.queries.filters import Dimension
from analytics.queries.sums import NOTHING, Group, Totals
from analytics.series import MINUTE

if TYPE_CHECKING:
    from alerts.readings import Labels, Question, Reader

USUAL = timedelta(days=7)
"""What is spent in a window is compared with what such a window cost on average during so long before it."""
REMEMBERED = timedelta(days=1)
"""Who asked within so long before a window and not in it is idle; who did not has gone."""
_NAMED_AS = {
    Dimension.PROJECT: ("project",),
    Dimension.KEY: ("key", "project"),
    Dimension.PROVIDER: ("provider",),
    Dimension.MODEL: ("provider", "model"),
    Dimension.LAYER: ("layer",),
}


def read(reader: Reader, question: Question) -> dict[Labels, Seen]:
    """Groups in which nothing happened are left out."""
    return by_labels(reader, values(reader, question), question.by)


def values(reader: Reader, question: Question) -> Mapping[Group, Seen]:
    if question.metric is Metric.IDLE:
        return _idle(reader, question)
    found = totals(reader, question)
    if question.metric is Metric.SPEND_AGAINST_USUAL:
        return _against_usual(reader, question, found)
    value = question.kind.value
    return {group: value(told, question.window_s) for group, told in found.items()}


def totals(reader: Reader, question: Question) -> Mapping[Group, Totals]:
    """Of the window. Without groups there is always one."""
    is_timed = question.kind.is_timed
    return _summed(reader, question, reader.end - question.window, reader.end, is_timed=is_timed)


def _summed(
    reader: Reader, question: Question, start: datetime, end: datetime, *, is_timed: bool = False
) -> Mapping[Group, Totals]:
    def ask() -> Mapping[Group, Totals]:
        found = sums.read((start, end), question.filters, question.by, at=reader.at, with_times=is_timed)
        return {group: told for (_, group), told in found.items()} or ({} if question.by else {(): NOTHING})

    return reader.once(("sums", question.filters, question.by, start, end, is_timed), ask)


def _against_usual(reader: Reader, question: Question, found: Mapping[Group, Totals]) -> Mapping[Group, Seen]:
    """Who spent nothing before has no usual."""
    start = reader.end - question.window
    before = _summed(reader, question, start - USUAL, start)
    windows = USUAL / question.window
    return {
        group: Seen(told.cost * windows / before[group].cost, told.requests)
        if group in before and before[group].cost > 0
        else Seen(None, told.requests)
        for group, told in found.items()
    }


def _idle(reader: Reader, question: Question) -> Mapping[Group, Seen]:
    """Whole minutes since the last request, up to the window's length."""
    start = reader.end - question.window
    steps = int(question.window / MINUTE)

    def ask() -> Mapping[Group, int]:
        edges = [start + MINUTE * number for number in range(steps + 1)]
        last: dict[Group, int] = {}
        for number, group in sums.read(edges, question.filters, question.by, at=reader.at):
            last[group] = max(last.get(group, 0), number)
        return last

    last = reader.once(("last", question.filters, question.by, start), ask)
    known = _summed(reader, question, start - REMEMBERED, start) if question.by else {(): NOTHING}
    return {
        group: Seen(float(steps - 1 - last[group]) if group in last else float(steps), 1) for group in {*known, *last}
    }


def by_labels(reader: Reader, found: Mapping[Group, Seen], by: tuple[Dimension, ...]) -> dict[Labels, Seen]:
    """Two groups whose names are the same are told apart by nothing: the later one is left out."""
    labels = reader.once(("labels", by, tuple(found)), lambda: labels_of(found, by))
    return dict(zip(labels, found.values(), strict=True))


def labels_of(groups: Iterable[Group], by: tuple[Dimension, ...]) -> list[Labels]:
    fields = fields_of(by)
    return [
        tuple((field, str(one.fields.get(field) or "")) for field in fields) for one in names.named(list(groups), by)
    ]


def fields_of(by: Iterable[Dimension]) -> list[str]:
    """What labels are called, each once."""
    return list(dict.fromkeys(field for dimension in by for field in _NAMED_AS[dimension]))
