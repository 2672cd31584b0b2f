"""How work grows with its input, whatever the machine: time in proportion, never with the input's square."""

import time
from collections.abc import Callable
from typing import Any

TIMES = 4
GENEROUS = 10
"""In proportion it would be 4, with the square 16."""


def is_in_proportion(work: Callable[[Any], object], *, made: Callable[[int], Any], size: int) -> bool:
    """Whether four times the input takes less than ten times as long."""
    small, large = made(size), made(size * TIMES)
    return any(_seconds(work, large) < GENEROUS * _seconds(work, small) for _ in range(3))


def _seconds(work: Callable[[Any], object], sample: Any) -> float:
    begun = time.process_time()
    work(sample)
    return time.process_time() - begun
