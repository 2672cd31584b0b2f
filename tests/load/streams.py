"""Thousands of streams at once on one worker: `python -m tests.load.streams [--streams 5000]`.

All go through a key with limits and a budget. The upstream holds them after their first content; then requests beside
them are timed, and the worker's memory is read. Then all end, and the ledger must have a row for each, the budget what
they cost. Clients, gateway and upstream are processes of their own. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import cast

import uvloop

from tests.load import holding
from tests.load.holding import CONTENT, HELD, INPUT_TOKENS, OUTPUT_TOKENS, Holding
from tests.process import gateway_process
from tests.process.gateway_process import Gateway, Installation, eventually

KEY = "budgeted"
EACH_USD = Decimal(INPUT_TOKENS) / 10**6 + Decimal(2 * OUTPUT_TOKENS) / 10**6
"""By the prices of tests/process/catalog.toml."""
WARM_UP, BESIDE = 100, 20
AT_ONCE = 64
"""Streams that are opened at once: a crowd whose requests all come in one second is another test's."""
STEP_S = 30.0
PATIENT = {"COUNTERS_DEADLINE_S": "2"}
"""Where clients, gateway and upstream share two cores, 50 ms pass without an outage, and budgets would refuse."""
MOST_KB = 45
MOST_BESIDE_MS = 100
SPARE_DESCRIPTORS = 200


@dataclass(frozen=True, slots=True)
class Found:
    """What a run measured. It fails where a stream, a row or a cent is missing."""

    streams: int
    opened_in_s: float
    kb_each: float
    beside_ms: float
    """The median of requests answered while all streams are held."""
    ended_in_s: float
    """From the upstream's end to the last client's."""
    rows_in_s: float
    """From then on until the ledger has them all."""

    def says(self) -> str:
        return (
            f"{self.streams} streams opened in {self.opened_in_s:.1f} s, {self.kb_each:.1f} KB each; a request beside "
            f"them {self.beside_ms:.1f} ms; all ended in {self.ended_in_s:.1f} s, "
            f"in the ledger after {self.rows_in_s:.1f} s"
        )


class Stream(asyncio.Protocol):
    """A client of one stream."""

    def __init__(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._request = request
        self._received = bytearray()
        self.first: asyncio.Future[None] = loop.create_future()
        self.end: asyncio.Future[bytes] = loop.create_future()
        """The whole answer, headers included."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self.first.done() and CONTENT in self._received:
            self.first.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.first.done():
            self.first.set_exception(ConnectionError(f"closed after {bytes(self._received)!r}"))
        self.end.set_result(bytes(self._received))


@dataclass(frozen=True, slots=True)
class Clients:
    """Asks one gateway."""

    gateway: Gateway

    async def open(self, number: int, *, text: str) -> list[Stream]:
        """So many streams, each with its first content."""
        request = self._request(text)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> Stream:
            async with gate:
                loop = asyncio.get_running_loop()
                _, stream = await loop.create_connection(lambda: Stream(request), "127.0.0.1", self.gateway.port)
                await asyncio.wait_for(asyncio.shield(stream.first), STEP_S)
                return stream

        return await asyncio.gather(*(one() for _ in range(number)))

    async def end_of(self, streams: Sequence[Stream]) -> None:
        """Returns once all have ended. Raises: AssertionError where one has not, as it should."""
        for answer in await asyncio.wait_for(asyncio.gather(*(stream.end for stream in streams)), STEP_S * 4):
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert b"data: [DONE]\n\n" in answer, answer

    def _request(self, text: str) -> bytes:
        body = json.dumps(
            {"model": "cheap", "messages": [{"role": "user", "content": text}], "stream": True, "max_tokens": 10}
        ).encode()
        lines = ["POST /v1/chat/completions HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        lines += [f"Authorization: {self.gateway.headers(KEY)['Authorization']}", "Connection: close"]
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


def prepared(installation: Installation, *, upstream: Holding) -> Installation:
    """A key with every limit and a budget, all out of reach; a provider that may be silent for long."""
    installation.pointed_at(upstream.url)
    installation.execute_all(
        "UPDATE providers_provider SET between_frames_timeout_s = 600",
        "UPDATE routing_policy SET deadline_s = 900",
        "UPDATE analytics_apikey SET requests_per_minute = 1000000, tokens_per_minute = 1000000000,"
        f" concurrent_requests = 1000000 WHERE name = '{KEY}'",
        "UPDATE analytics_budget SET enabled = true, defined_at = '2026-01-01 00:00:00'"
        f" WHERE api_key_id = (SELECT id FROM analytics_apikey WHERE name = '{KEY}')",
    )
    return installation


def run(number: int, *, installation: Installation, upstream: Holding) -> Found:
    """Raises: AssertionError."""
    _raise_descriptor_limit(number + SPARE_DESCRIPTORS)
    with gateway_process.start(prepared(installation, upstream=upstream), env=PATIENT) as gateway:
        found = uvloop.run(_run(number, Clients(gateway), upstream=upstream))
        assert not gateway.log_lines("The counters are away"), "the counters were away: nothing was counted meanwhile"
    return found


async def _run(number: int, clients: Clients, *, upstream: Holding) -> Found:
    gateway = clients.gateway
    await clients.end_of(await clients.open(WARM_UP, text="Hello"))
    idle_kb, began = _rss_kb(gateway), time.monotonic()
    streams = await clients.open(number, text=HELD)
    opened_in_s, kb_each = time.monotonic() - began, (_rss_kb(gateway) - idle_kb) / number
    beside_ms = [await _one_beside(clients) for _ in range(BESIDE)]
    assert not any(stream.end.done() for stream in streams), "a stream ended that was to be held"
    began = time.monotonic()
    await asyncio.to_thread(upstream.release)
    await clients.end_of(streams)
    ended_in_s, began = time.monotonic() - began, time.monotonic()
    await asyncio.to_thread(_check_money, gateway.installation, WARM_UP + BESIDE + number)
    return Found(number, opened_in_s, kb_each, median(beside_ms), ended_in_s, time.monotonic() - began)


async def _one_beside(clients: Clients) -> float:
    began = time.perf_counter()
    await clients.end_of(await clients.open(1, text="Hello"))
    return (time.perf_counter() - began) * 1000


def _check_money(installation: Installation, requests: int) -> None:
    """A row for each request, with its cost; and the budget has spent their sum, and holds nothing."""

    def told() -> dict[str, object]:
        return installation.execute(
            "SELECT count(*) AS rows, count(DISTINCT id) AS ids, coalesce(sum(cost_usd), 0) AS usd"
            " FROM analytics_usagerecord WHERE outcome = 'ok' AND status = 200"
        )[0]

    eventually(lambda: told()["rows"] == requests, what=f"{requests} rows in the ledger", within_s=STEP_S)
    assert told()["ids"] == requests
    assert len(installation.rows()) == requests
    assert round(Decimal(str(told()["usd"])), 9) == requests * EACH_USD
    expected = (int(requests * EACH_USD * 10**9), 0)
    eventually(lambda: _balance(installation) == expected, what=f"a budget that has spent {expected}", within_s=STEP_S)


def _balance(installation: Installation) -> tuple[int, int]:
    """What the budget has spent, and what it holds, in nano-dollars: from the counters' own file."""
    counters = installation.var_dir / "counters.sqlite3"
    with closing(sqlite3.connect(f"file:{counters}?mode=ro", uri=True, timeout=STEP_S)) as connection:
        return tuple(connection.execute("SELECT spent, open FROM accounts").fetchone() or (0, 0))


def _rss_kb(gateway: Gateway) -> int:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def _raise_descriptor_limit(wanted: int) -> None:
    """Of this process, and of the gateway that it starts, which takes two for each stream."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2 * wanted, hard), hard))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.streams", description="Thousands of streams at once.")
    parser.add_argument("--streams", type=int, default=5000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gateway-streams-") as folder, ExitStack() as stack:
        upstream = stack.enter_context(holding.running())
        installation = Installation(var_dir=Path(folder) / "var").set_up()
        found = run(options.streams, installation=installation, upstream=upstream)
    print(found.says())
    if found.kb_each > MOST_KB:
        print(f"FAILED: more than {MOST_KB} KB a stream")
        return 1
    if found.beside_ms > MOST_BESIDE_MS:
        print(f"FAILED: a request beside them took more than {MOST_BESIDE_MS} ms")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
