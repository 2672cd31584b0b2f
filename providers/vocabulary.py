"""Counts tokens for the process that started it: a program, and the only importer of `quicktok`.

A process of its own, because loading the vocabulary holds Python's lock for 0.8 s: in a thread of a server it would
stop every stream, and make the counters seem away. Reads texts from its input, each behind its length, and writes how
many tokens each has; ends when its input does. `providers.tokens` is its only caller.
"""

from __future__ import annotations

import signal
import struct
import sys
from typing import BinaryIO

LENGTH = struct.Struct("!Q")
VOCABULARY = "o200k_base"
"""OpenAI's newest. By other vendors' own the same text has some 10 % more."""
UNUSABLE = 3
"""What the program ends with when the vocabulary cannot be loaded."""


def main() -> None:
    # Ctrl-C and a service manager's signal reach the whole group; what is asked at the stop is still counted.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Who asked and went without waiting wants no traceback.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        import quicktok

        count = quicktok.get_encoding(VOCABULARY).count
    except Exception:  # a wheel for another machine fails in ways of its own
        sys.exit(UNUSABLE)
    asked, told = sys.stdin.buffer, sys.stdout.buffer
    while (text := _next(asked)) is not None:
        told.write(LENGTH.pack(count(text)))
        told.flush()


def _next(asked: BinaryIO) -> str | None:
    head = asked.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    return asked.read(size).decode(errors="replace")


if __name__ == "__main__":
    main()
