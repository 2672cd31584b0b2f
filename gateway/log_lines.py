"""How a log line looks: `2026-11-22 08:15:30,123 INFO gateway.access ...`, in local time."""

from __future__ import annotations

import logging
import time

_IN_ONE_LINE = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if code != 0x09}


class LineFormatter(logging.Formatter):
    """The standard format, with the seconds formatted once a second rather than once a line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._second = -1
        self._text = ""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """On one line, whatever words of others are in it; a traceback follows on lines of its own."""
        record.message = record.message.translate(_IN_ONE_LINE)
        return super().formatMessage(record)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        second = int(record.created)
        if second != self._second:
            # Two threads may both do this: each writes what is true of its own second before it reads it.
            self._second, self._text = second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._text},{int(record.msecs):03}"


class WithoutTraceback(logging.Filter):
    """Whoever asks for what is not theirs is a line in the log: a traceback is for what the gateway failed at."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR:
            record.exc_info = record.exc_text = None
        return True
