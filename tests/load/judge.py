"""What was measured against what was recorded, and which sentences that earns. Pure but for the recorded file.

Owns the limits: a ratio may be 15 % over the recorded one and never over its ceiling; memory never over its bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import median

import msgspec

RECORDED = Path(__file__).with_name("recorded.json")
TOLERANCE = 1.15


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one kind of request at one server."""

    cpu_ms: float
    """Per request."""
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    first_p50_ms: float
    """Until the first content."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All rounds of one server, by kind of request."""

    name: str
    started_in_s: float
    rss_mb: float
    json: tuple[Sample, ...]
    stream: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The committed figures. A ratio is null until the first `--record`."""

    json_ratio: float | None
    stream_ratio: float | None
    ceiling_json: float
    ceiling_stream: float
    rss_mb: float
    json_ratio_money: float | None = None
    """With limits and a budget on the key, like all that follows."""
    stream_ratio_money: float | None = None
    ceiling_json_money: float = 5.0
    ceiling_stream_money: float = 6.0

    def with_money(self) -> Recorded:
        """The same file where a gateway with limits and a budget is judged: its figures in the places of the usual."""
        return replace(
            self,
            json_ratio=self.json_ratio_money,
            stream_ratio=self.stream_ratio_money,
            ceiling_json=self.ceiling_json_money,
            ceiling_stream=self.ceiling_stream_money,
        )


@dataclass(frozen=True, slots=True)
class Ratios:
    """CPU per request, gateway over floor."""

    json: float
    stream: float


def middle(samples: tuple[Sample, ...]) -> Sample:
    """The median of each figure."""
    names = Sample.__dataclass_fields__
    return Sample(**{name: median(getattr(sample, name) for sample in samples) for name in names})


def ratios(*, gateway: Measured, floor: Measured) -> Ratios:
    """The median over rounds of each round's ratio: what slows a whole round slows both."""
    return Ratios(_ratio(gateway.json, floor.json), _ratio(gateway.stream, floor.stream))


def complaints(found: Ratios, *, rss_mb: float, recorded: Recorded, is_short: bool = False) -> list[str]:
    """A sentence for each limit that does not hold. The ceilings are for full runs: a short one is too noisy."""
    if is_short and recorded.json_ratio is not None:
        recorded = replace(recorded, ceiling_json=inf, ceiling_stream=inf)
    sentences = [
        *_too_dear("JSON", found.json, recorded=recorded.json_ratio, ceiling=recorded.ceiling_json),
        *_too_dear("Stream", found.stream, recorded=recorded.stream_ratio, ceiling=recorded.ceiling_stream),
    ]
    if rss_mb > recorded.rss_mb:
        sentences.append(f"The gateway holds {rss_mb:.0f} MB after the run; {recorded.rss_mb:.0f} MB are allowed.")
    return sentences


def load_recorded(path: Path = RECORDED) -> Recorded:
    return msgspec.json.decode(path.read_bytes(), type=Recorded)


def record(found: Ratios, *, with_money: Ratios | None = None, path: Path = RECORDED) -> None:
    """Writes the measured ratios beside the limits, which stay; those with money stay too where none were measured."""
    recorded = replace(load_recorded(path), json_ratio=round(found.json, 3), stream_ratio=round(found.stream, 3))
    if with_money is not None:
        json, stream = round(with_money.json, 3), round(with_money.stream, 3)
        recorded = replace(recorded, json_ratio_money=json, stream_ratio_money=stream)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(recorded), indent=2) + b"\n")


def _ratio(ours: tuple[Sample, ...], theirs: tuple[Sample, ...]) -> float:
    return median(our.cpu_ms / their.cpu_ms for our, their in zip(ours, theirs, strict=True))


def _too_dear(kind: str, ratio: float, *, recorded: float | None, ceiling: float) -> list[str]:
    sentences = []
    if recorded is not None and ratio > recorded * TOLERANCE:
        sentences.append(f"{kind}: {ratio:.2f} times the floor's CPU, over 15 % more than the recorded {recorded:.2f}.")
    if ratio > ceiling:
        sentences.append(f"{kind}: {ratio:.2f} times the floor's CPU; the ceiling is {ceiling:.2f}.")
    return sentences
