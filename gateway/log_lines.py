"""How a log line looks: `2026-11-22 08:15:30,123 INFO gateway.access ...`, in local time."""

from __future__ import annotations

import logging
import time


class LineFormatter(logging.Formatter):
    """The standard format, with the seconds formatted once a second rather than once a line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._second = -1
        self._text = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        second = int(record.created)
        if second != self._second:
            # Two threads may both do this: each writes what is true of its own second before it reads it.
            self._second, self._text = second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._text},{int(record.msecs):03}"
