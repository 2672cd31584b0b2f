"""How quickly a dead process's spool reaches the ledger beside live traffic, and what that does to the traffic.

`python -m tests.load.draining [--postgres] [--rows N]` starts a real server with a few clients, lays a spool of N rows
of many keys and models beside its own, and prints. Judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import aiohttp
import msgspec

from analytics import ids
from analytics.spool import Spool
from analytics.types import UsageRow
from tests.process import gateway_process
from tests.process.gateway_process import Gateway, Installation
from tests.process.postgres_process import shared_database
from tests.upstream import process as upstream

KEYS, MODELS = 500, 40
CLIENTS = 4
PAUSE_S = 0.1
"""After each answer: some forty requests a second in all."""
WARM_UP_S = 5.0
POLL_S = 0.5
DECISION = msgspec.Raw(msgspec.json.encode({"score": 0.31, "order": [1, 2, 3], "dropped": [], "pad": "x" * 350}))
TRAIL = msgspec.Raw(b'[{"model":"vendor/model-1","outcome":"ok","ms":812.4,"first_ms":120.3}]')


def main() -> None:
    options = _read_options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="draining-")))
        vendor = stack.enter_context(upstream.running(log=folder / "upstream.jsonl", log_bodies=False))
        url = stack.enter_context(shared_database()) if options.postgres else ""
        installation = Installation(var_dir=folder / "var", database_url=url).set_up().pointed_at(vendor.url)
        laid = _lay(folder / "aside", options.rows)
        with gateway_process.start(installation) as gateway:
            asyncio.run(_measure(gateway, laid, rows=options.rows))


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load.draining", description=__doc__)
    parser.add_argument("--postgres", action="store_true", help="in place of SQLite")
    parser.add_argument("--rows", type=int, default=100_000)
    return parser.parse_args()


def _lay(root: Path, count: int) -> Path:
    """The folder of a process that died with so many rows in its spool."""
    dice = random.Random(1)
    favourites = [dice.sample(range(MODELS), dice.randint(1, 4)) for _ in range(KEYS)]
    spool = Spool(root)
    start = datetime.now(UTC) - timedelta(hours=1)
    keys = dice.choices(range(KEYS), [1 / (number + 1) for number in range(KEYS)], k=count)
    for number, key in enumerate(keys):
        model = dice.choice(favourites[key]) if dice.random() < 0.95 else dice.randrange(MODELS)
        spool.settled(_row(dice, start + timedelta(hours=1) * (number / count), key=key, model=model))
    spool.close()
    return spool.folder


def _row(dice: random.Random, at: datetime, *, key: int, model: int) -> UsageRow:
    cost = Decimal(dice.randrange(10**8)).scaleb(-10)
    is_ok = dice.random() < 0.97
    made = UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 0b10 << 62 | dice.getrandbits(62))
    return UsageRow(
        id=made,
        started_at=ids.started_at(made),
        requested_model="auto",
        outcome="ok" if is_ok else "error",
        status=200 if is_ok else 502,
        error_kind="" if is_ok else "timeout",
        project_id=1000 + key % 20,
        project=f"project-{key % 20}",
        key_id=1000 + key,
        key_name=f"key {key}",
        provider=f"provider-{model % 6}",
        model=f"vendor/model-{model}",
        layer=f"L{model % 4}",
        attempts=1,
        decision=DECISION,
        trail=TRAIL,
        input_tokens=int(dice.lognormvariate(6, 1)),
        output_tokens=int(dice.lognormvariate(5, 1)),
        cost_usd=cost,
        budget_usd=cost,
        cost_source="price",
        duration_ms=dice.lognormvariate(7, 0.8),
        first_token_ms=dice.lognormvariate(5.5, 0.7) if dice.random() < 0.5 else None,
    )


async def _measure(gateway: Gateway, laid: Path, *, rows: int) -> None:
    is_over = asyncio.Event()
    latencies: list[tuple[float, float]] = []
    errors: list[str] = []
    async with aiohttp.ClientSession(headers=gateway.headers()) as session:
        clients = [asyncio.create_task(_client(session, gateway, is_over, latencies, errors)) for _ in range(CLIENTS)]
        await asyncio.sleep(WARM_UP_S)
        begin = time.monotonic()
        before = await asyncio.to_thread(_count, gateway.installation)
        await asyncio.to_thread(_drained, gateway.installation, laid, until=before + rows)
        took_s = time.monotonic() - begin
        is_over.set()
        await asyncio.gather(*clients)
    print(f"{rows:,} rows in {took_s:.1f} s: {rows / took_s:,.0f} rows/s")
    for name, some in (
        ("before", [ms for at, ms in latencies if at < begin]),
        ("while it drained", [ms for at, ms in latencies if at >= begin]),
    ):
        p99 = statistics.quantiles(some, n=100)[98]
        print(f"requests {name}: {len(some)}, p50 {statistics.median(some):.0f} ms, p99 {p99:.0f} ms")
    print(f"errors: {len(errors)} {errors[:3]}")


def _drained(installation: Installation, laid: Path, *, until: int) -> None:
    """Lays the folder beside the server's own, and returns when the ledger has so many rows."""
    laid.rename(installation.var_dir / "spool" / laid.name)
    while _count(installation) < until:
        time.sleep(POLL_S)


async def _client(
    session: aiohttp.ClientSession,
    gateway: Gateway,
    is_over: asyncio.Event,
    latencies: list[tuple[float, float]],
    errors: list[str],
) -> None:
    body = {"model": "cheap", "messages": [{"role": "user", "content": "#!ok\nhello"}]}
    while not is_over.is_set():
        begin = time.monotonic()
        async with session.post(gateway.chat_url, json=body) as response:
            said = await response.text()
            if response.status != 200:
                errors.append(said)
        latencies.append((begin, (time.monotonic() - begin) * 1000))
        await asyncio.sleep(PAUSE_S)


def _count(installation: Installation) -> int:
    return int(installation.execute("SELECT count(*) AS rows FROM analytics_usagerecord")[0]["rows"])


if __name__ == "__main__":
    main()
