"""The time that stores under test see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    ms: int = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms
