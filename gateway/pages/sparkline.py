"""Requests over time as bars of an SVG of 120 by 28, errors at their feet, and as a sentence. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from gateway.provider_figures import Hour

WIDTH, HEIGHT = 120, 28
LEAST = 1.5
"""Of a bar: one request beside a thousand is still seen."""


class Bar(msgspec.Struct, frozen=True):
    x: str
    y: str
    height: str
    failed_y: str
    failed_height: str
    """Of the part that is errors; '0.0' where there are none."""


class Sparkline(msgspec.Struct, frozen=True):
    bars: tuple[Bar, ...]
    bar_width: str
    says: str


def of(hours: Sequence[Hour]) -> Sparkline:
    step = WIDTH / max(len(hours), 1)
    return Sparkline(tuple(_bars(hours, step=step)), f"{step * 0.8:.2f}", _says(hours))


def _bars(hours: Sequence[Hour], *, step: float) -> Iterator[Bar]:
    most = max((hour.requests for hour in hours), default=0)
    for number, hour in enumerate(hours):
        if hour.requests:
            whole, failed = _height(hour.requests, most=most), _height(hour.errors, most=most)
            x = f"{number * step + step * 0.1:.2f}"
            yield Bar(x, f"{HEIGHT - whole:.1f}", f"{whole:.1f}", f"{HEIGHT - failed:.1f}", f"{failed:.1f}")


def _height(count: int, *, most: int) -> float:
    return max(count / most * HEIGHT, LEAST) if count else 0.0


def _says(hours: Sequence[Hour]) -> str:
    requests, errors = sum(hour.requests for hour in hours), sum(hour.errors for hour in hours)
    most = max((hour.requests for hour in hours), default=0)
    return f"Requests by hour: {requests:,} in all, {most:,} in the busiest hour, {errors:,} failed."
