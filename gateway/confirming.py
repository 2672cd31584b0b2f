"""How commands ask a person yes or no, and whether there is one to ask."""

from __future__ import annotations

import select
import sys

LOOKS_EVERY_S = 0.2


def is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def is_confirmed(question: str) -> bool:
    """Whether the answer is yes; the end of input is no. Raises: KeyboardInterrupt."""
    sys.stdout.write(f"{question} [y/N] ")
    sys.stdout.flush()
    return answer().strip().lower() in ("y", "yes")


def answer() -> str:
    """A line of what is typed. `input` would not end when Ctrl-C comes just before it waits: Python looks for signals
    between its own steps alone, and that wait has no end."""
    while not select.select([sys.stdin], [], [], LOOKS_EVERY_S)[0]:
        pass
    return sys.stdin.readline()
