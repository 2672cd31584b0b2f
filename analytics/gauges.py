"""Gauges: what a long-lived process reads off itself every five seconds, kept a row a minute for eight days.

Owns the thread that reads and writes (`Recorder`), and the way back (`latest`, `history`). What there is to read is the
process's own to say; features add theirs with `add`. Never stands in a request's way: sources look at what is there
anyway, and when the database is gone nothing is written, which is said once.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
from django.db import connection

from analytics.models import GaugeSample, ProcessGauges

logger = logging.getLogger(__name__)

EVERY_S = 5.0
KEPT = timedelta(days=8)
DEAD_AFTER = timedelta(seconds=60)
"""A process that was not heard of for so long is no more."""
STOPS_WITHIN_S = 2.0

Reading = int | float | bool | str | Mapping[str, int] | None
Source = Callable[[], Reading]

_added: dict[str, Source] = {}


class Process(msgspec.Struct, frozen=True):
    """A process that lives, as it was read last."""

    instance: UUID
    role: str
    host: str
    pid: int
    started_at: datetime
    at: datetime
    readings: Mapping[str, Reading]


class Sample(msgspec.Struct, frozen=True):
    """One gauge of one process in one minute."""

    at: datetime
    instance: UUID
    role: str
    value: Reading


def add(name: str, source: Source) -> None:
    """Every recorder of this process reads `source` as well from now on. It is called in the recorder's thread, and
    must not wait for anything; what it raises makes the reading null."""
    _added[name] = source


def _now() -> datetime:
    return datetime.now(UTC)


class Recorder(threading.Thread):
    """Reads and writes the gauges of one process until stopped."""

    def __init__(
        self,
        role: str,
        *,
        sources: Mapping[str, Source],
        every_s: float = EVERY_S,
        now: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__(name="gauges", daemon=True)
        self.instance = uuid4()
        self._role = role
        self._sources = sources
        self._every_s = every_s
        self._now = now
        self._started_at = now()
        self._stopping = threading.Event()
        self._sampled: datetime | None = None
        self._has_problem = False
        self._unread: set[str] = set()

    def run(self) -> None:
        while True:
            self.look()
            # Given back between two looks: one more connection for each process would be held for nothing.
            connection.close()
            if self._stopping.wait(self._every_s):
                break
        self.leave()
        connection.close()

    def stop(self, *, timeout_s: float = STOPS_WITHIN_S) -> bool:
        """Ends the thread, which takes its latest row back; returns whether it got that far in time."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout_s)
        return not self.is_alive()

    def look(self) -> None:
        """Reads everything and writes it. Never raises."""
        at, readings = self._now(), self.read()
        self._try(lambda: self._write(at, readings))

    def leave(self) -> None:
        """A process that stops cleanly is not there any more. Never raises."""
        self._try(lambda: ProcessGauges.objects.filter(instance=self.instance).delete())

    def read(self) -> dict[str, Reading]:
        """Every source by name, None for one that fails: the others are no worse for it."""
        return {name: self._read(name, source) for name, source in {**self._sources, **_added}.items()}

    def _read(self, name: str, source: Source) -> Reading:
        try:
            reading = source()
        except Exception:
            if name not in self._unread:
                logger.exception("The gauge %s cannot be read", name)
            self._unread.add(name)
            return None
        self._unread.discard(name)
        return reading

    def _write(self, at: datetime, readings: dict[str, Reading]) -> None:
        latest = {
            "role": self._role,
            "host": socket.gethostname()[:255],
            "pid": os.getpid(),
            "started_at": self._started_at,
            "at": at,
            "readings": readings,
        }
        ProcessGauges.objects.update_or_create(instance=self.instance, defaults=latest)
        minute = at.replace(second=0, microsecond=0)
        if minute != self._sampled:
            GaugeSample.objects.create(at=at, instance=self.instance, role=self._role, readings=readings)
            self._sampled = minute

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:
            if not self._has_problem:
                logger.warning("Gauges are not written: %s", error)
            self._has_problem = True
            return
        if self._has_problem:
            logger.info("Gauges are written again")
        self._has_problem = False


def latest(*, now: Callable[[], datetime] = _now) -> list[Process]:
    """The processes that live."""
    rows = ProcessGauges.objects.filter(at__gte=now() - DEAD_AFTER)
    return [Process(row.instance, row.role, row.host, row.pid, row.started_at, row.at, row.readings) for row in rows]


def history(name: str, *, since: datetime, role: str | None = None) -> list[Sample]:
    """One gauge of all processes, or of those of a role, oldest first: at most a value a minute for each."""
    rows: Iterable[GaugeSample] = GaugeSample.objects.filter(at__gte=since, **({} if role is None else {"role": role}))
    return [Sample(row.at, row.instance, row.role, row.readings[name]) for row in rows if name in row.readings]


def in_words(readings: Mapping[str, Reading]) -> str:
    """Those that say something, in a line: what is no, nothing or unknown is left out."""
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else name
        for name, value in _one_by_one(readings)
        if value
    )


def _one_by_one(readings: Mapping[str, Reading]) -> Iterator[tuple[str, Reading]]:
    for name, value in readings.items():
        if isinstance(value, Mapping):
            yield from ((f"{name} {part}", count) for part, count in value.items())
        else:
            yield name, value


def clear(*, now: Callable[[], datetime] = _now) -> int:
    """Deletes samples that are too old and the latest rows of dead processes; returns how many."""
    samples, _ = GaugeSample.objects.filter(at__lt=now() - KEPT).delete()
    processes, _ = ProcessGauges.objects.filter(at__lt=now() - DEAD_AFTER).delete()
    return samples + processes
