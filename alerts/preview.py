"""What a rule would have done: the evaluator's own steps over the past, tick by tick, with nothing written.

Values are those that a look at that moment would have found, made from the roll-ups' minutes as they are now. Usage
alone has such a past; how budgets, circuits and gauges stood is not kept for long enough, or not as rules see it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from alerts import evaluating, rules, usage_readings
from alerts.evaluating import next_due
from alerts.machine import NORMAL, Level, Standing, State
from alerts.metrics import Metric, Source
from alerts.models import Alert, Rule
from alerts.readings import Labels, Question, Reader, Reading
from analytics.queries import sums
from analytics.queries.sums import NOTHING, Group, Totals
from analytics.series import MINUTE

SPAN = timedelta(days=7)
_PIECE = timedelta(days=1)
"""Minutes are read a day at a time."""
Key = frozenset[tuple[str, str]]
"""Labels in whatever order."""
_FROM_SUMS = frozenset(Metric) - {Metric.IDLE, Metric.SPEND_AGAINST_USUAL}


class NoPast(Exception):
    """This metric has none to look at; the message says so."""


class Point(msgspec.Struct, frozen=True):
    """How one set of labels stood after a tick."""

    at: datetime
    labels: Labels
    value: float | None
    state: State
    level: Level


class Begun(msgspec.Struct, frozen=True):
    """A change that people would have been told of, or not."""

    at: datetime
    labels: Labels
    was: Standing
    now: Standing
    is_news: bool


class Preview(msgspec.Struct, frozen=True):
    points: tuple[Point, ...]
    """Of every tick, those of labels that were seen or stood otherwise than normal."""
    changes: tuple[Begun, ...]


def run(rule: Rule, *, now: datetime, span: timedelta = SPAN) -> Preview:
    """`rule` need not be saved. Raises: NoPast, SpanProblem where that is too many groups."""
    question = rules.question(rule, ids=Reader(now).project_ids)
    if question.kind.source is not Source.USAGE or question.metric not in _FROM_SUMS:
        raise NoPast(f"{question.kind.title} has no past that could be looked at again.")
    ticks = list(_ticks(rule.interval_s, start=now - span, end=now))
    minutes = Minutes(question, start=Reader(now - span).end - question.window, end=Reader(now).end, at=now)
    return _walked(rule, ticks, minutes)


def _ticks(interval_s: int, *, start: datetime, end: datetime) -> Iterator[datetime]:
    tick = next_due(interval_s, after=start)
    while tick <= end:
        yield tick
        tick += timedelta(seconds=interval_s)


def _walked(rule: Rule, ticks: Sequence[datetime], minutes: Minutes) -> Preview:
    points: list[Point] = []
    changes: list[Begun] = []
    alerts: dict[Key, Alert] = {}
    for tick in ticks:
        readings = minutes.readings(tick)
        for moved in evaluating.moved(rule, readings, _not_calm(alerts), now=tick):
            alerts[frozenset(moved.labels)] = _alert(moved.labels, moved.now)
            news = evaluating.is_news(moved.was, moved.now)
            changes.append(Begun(tick, moved.labels, moved.was, moved.now, news))
        points += _points(tick, readings, alerts)
    return Preview(tuple(points), tuple(changes))


def _not_calm(alerts: Mapping[Key, Alert]) -> list[Alert]:
    return [alert for alert in alerts.values() if alert.state != State.NORMAL.value]


def _alert(labels: Labels, stands: Standing) -> Alert:
    return Alert(
        labels=dict(labels),
        state=stands.state.value,
        level=stands.level.value,
        since=stands.since,
        began_at=stands.began_at,
    )


def _points(tick: datetime, readings: Sequence[Reading], alerts: Mapping[Key, Alert]) -> Iterator[Point]:
    seen = {frozenset(one.labels): one for one in readings}
    for name, reading in seen.items():
        stands = evaluating.standing(alerts[name]) if name in alerts else NORMAL
        yield Point(tick, reading.labels, reading.seen.value, stands.state, stands.level)
    for name, alert in alerts.items():
        if name not in seen and alert.state != State.NORMAL.value:
            stands = evaluating.standing(alert)
            yield Point(tick, tuple(alert.labels.items()), None, stands.state, stands.level)


class Minutes:
    """The minutes of a stretch by group, and what a window that ends with one of them holds."""

    def __init__(self, question: Question, *, start: datetime, end: datetime, at: datetime) -> None:
        self._question = question
        self._by_minute: dict[datetime, dict[Group, Totals]] = defaultdict(dict)
        self._read(start, end, at=at)
        groups = {group for found in self._by_minute.values() for group in found}
        self._labels = dict(zip(groups, usage_readings.labels_of(groups, question.by), strict=True))
        self._end: datetime | None = None
        self._readings: list[Reading] = []

    def _read(self, start: datetime, end: datetime, *, at: datetime) -> None:
        asked = self._question
        for first in _stretches(start, end, _PIECE):
            last = min(first + _PIECE, end)
            edges = list(_stretches(first, last, MINUTE)) + [last]
            found = sums.read(edges, asked.filters, asked.by, at=at, with_times=asked.kind.is_timed)
            for (number, group), totals in found.items():
                self._by_minute[edges[number]][group] = totals

    def readings(self, tick: datetime) -> list[Reading]:
        """As `Reader` finds them at that moment."""
        end = Reader(tick).end
        if end != self._end:
            self._end, self._readings = end, self._found(end)
        return self._readings

    def _found(self, end: datetime) -> list[Reading]:
        grouped: dict[Group, list[Totals]] = defaultdict(list)
        for minute in _stretches(end - self._question.window, end, MINUTE):
            for group, totals in self._by_minute.get(minute, {}).items():
                grouped[group].append(totals)
        value, window_s = self._question.kind.value, self._question.window_s
        if not grouped and not self._question.by:
            return [Reading((), value(NOTHING, window_s))]
        return [Reading(self._labels[group], value(sums.together(some), window_s)) for group, some in grouped.items()]


def _stretches(start: datetime, end: datetime, length: timedelta) -> Iterator[datetime]:
    while start < end:
        yield start
        start += length
