"""Requests over time as bars of an SVG of 120 by 28, errors at their feet, and as a sentence. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from gateway.vendor_figures import Part

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
    each: str
    """What one bar is of."""
    says: str


def of(parts: Sequence[Part], *, each: str = "hour") -> Sparkline:
    step = WIDTH / max(len(parts), 1)
    return Sparkline(tuple(_bars(parts, step=step)), f"{step * 0.8:.2f}", each, _says(parts, each=each))


def _bars(parts: Sequence[Part], *, step: float) -> Iterator[Bar]:
    most = max((part.requests for part in parts), default=0)
    for number, part in enumerate(parts):
        if part.requests:
            whole, failed = _height(part.requests, most=most), _height(part.errors, most=most)
            x = f"{number * step + step * 0.1:.2f}"
            yield Bar(x, f"{HEIGHT - whole:.1f}", f"{whole:.1f}", f"{HEIGHT - failed:.1f}", f"{failed:.1f}")


def _height(count: int, *, most: int) -> float:
    return max(count / most * HEIGHT, LEAST) if count else 0.0


def _says(parts: Sequence[Part], *, each: str) -> str:
    requests, errors = sum(part.requests for part in parts), sum(part.errors for part in parts)
    most = max((part.requests for part in parts), default=0)
    return f"Requests by {each}: {requests:,} in all, {most:,} in the busiest {each}, {errors:,} failed."
