"""Shows what was measured: a table for people, a JSON file for machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.load.judge import Measured, Ratios, Sample, middle

FIGURES: tuple[tuple[str, Callable[[Sample], str]], ...] = (
    ("CPU ms a request", lambda sample: f"{sample.cpu_ms:.3f}"),
    ("requests/s", lambda sample: f"{sample.requests_per_s:.0f}"),
    ("p50 ms", lambda sample: f"{sample.p50_ms:.1f}"),
    ("p99 ms", lambda sample: f"{sample.p99_ms:.1f}"),
    ("first content p50 ms", lambda sample: f"{sample.first_p50_ms:.1f}"),
)


def show(servers: Sequence[Measured], found: Sequence[Ratios], *, console: Console) -> None:
    """Medians of all rounds, one column a server. `found` has the ratios of all servers but the first, the floor."""
    table = Table("", *(server.name for server in servers), title="Medians of all rounds")
    for kind in ("json", "stream"):
        for title, text in FIGURES:
            table.add_row(f"{kind}: {title}", *(text(middle(getattr(server, kind))) for server in servers))
    table.add_row("RSS MB after the run", *(f"{server.rss_mb:.0f}" for server in servers))
    table.add_row("start-up s", *(f"{server.started_in_s:.2f}" for server in servers))
    console.print(table)
    for server, ratios in zip(servers[1:], found, strict=True):
        console.print(f"{server.name}: CPU over the floor's: JSON {ratios.json:.2f}, stream {ratios.stream:.2f}")


def write(path: Path, servers: Sequence[Measured], found: Sequence[Ratios], *, complaints: Sequence[str]) -> None:
    """Everything, each round's sample included."""
    ratios = {server.name: one for server, one in zip(servers[1:], found, strict=True)}
    content = {"ratios": ratios, "complaints": complaints, "servers": servers}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
