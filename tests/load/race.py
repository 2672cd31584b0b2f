"""A thousand concurrent requests race for a dollar: `python -m tests.load.race [--redis] [--usable] [--seed N]`.

The long form of tests/process/test_budget_race.py, with the same judgement; prints what it came to.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from tests import redis_server
from tests.process import races, spending
from tests.process.gateway_process import Installation
from tests.process.postgres_process import shared_database
from tests.process.races import Race
from tests.process.spending import Aftermath, Manners
from tests.upstream import process as upstream_process
from tests.upstream.process import RunningUpstream

BUDGET_USD = Decimal(1)
USED = Decimal("0.97")
RACE = Race(manners=Manners(clients=1000, pause_s=(1.0, 3.0)), budget_usd=BUDGET_USD)
USABLE = Manners(clients=50, goes_on=True, pause_s=(1.0, 1.5))
"""They wait as long as `Retry-After` says."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _read_options(arguments)
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="gateway-race-") as folder, _upstream(Path(folder)) as upstream:
        run = _usable if options.usable else _on_redis if options.redis else _embedded
        began = time.monotonic()
        found = run(Path(folder) / "var", upstream, dice)
    print(f"seed {options.seed}, {time.monotonic() - began:.0f} s")
    spending.check_spending(found, budget_usd=BUDGET_USD)
    spending.check_rows(found)
    spending.check_refused_unspent(found)
    if options.usable:
        assert found.spent_usd >= USED * BUDGET_USD, found.says()


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load.race", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--redis", action="store_true", help="four workers on Redis and PostgreSQL; else embedded")
    what.add_argument("--usable", action="store_true", help="fifty clients that wait, and nothing is disturbed")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    return parser.parse_args(arguments)


@contextmanager
def _upstream(folder: Path) -> Iterator[RunningUpstream]:
    with upstream_process.running(log=folder / "upstream.jsonl") as running:
        yield running


def _embedded(var_dir: Path, upstream: RunningUpstream, dice: random.Random) -> Aftermath:
    installation = Installation(var_dir=var_dir).set_up().pointed_at(upstream.url)
    return races.embedded(RACE, installation=installation, upstream=upstream, dice=dice)


def _on_redis(var_dir: Path, upstream: RunningUpstream, dice: random.Random) -> Aftermath:
    with shared_database() as url, redis_server.running() as redis:
        installation = Installation(var_dir=var_dir, database_url=url).set_up().pointed_at(upstream.url)
        return races.on_redis(RACE, installation=installation, upstream=upstream, redis=redis, dice=dice)


def _usable(var_dir: Path, upstream: RunningUpstream, dice: random.Random) -> Aftermath:
    installation = Installation(var_dir=var_dir).set_up().pointed_at(upstream.url)
    return races.usable(USABLE, budget_usd=BUDGET_USD, installation=installation, upstream=upstream, dice=dice)


if __name__ == "__main__":
    main()
