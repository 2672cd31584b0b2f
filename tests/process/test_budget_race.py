"""A budget holds whatever happens to those who count it, and what it holds can be used.

What was spent is what the upstream's log says. The long forms, with a thousand clients and real dollars:
`python -m tests.load.race`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests import redis_server
from tests.process import races, spending
from tests.process.gateway_process import Installation
from tests.process.postgres_process import shared_database
from tests.process.races import Race
from tests.process.spending import Aftermath, How, Manners
from tests.redis_server import RedisServer
from tests.upstream.process import RunningUpstream

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

RACE = Race(manners=Manners(clients=200), budget_usd=Decimal("0.40"))
USED = Decimal("0.97")


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """The seed that pytest prints at its start, so that `--randomly-seed` draws the same again."""
    seed = request.config.getoption("randomly_seed")
    print(f"seed {seed}")
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server.running() as server:
        yield server


@pytest.fixture
def on_postgres(upstream: RunningUpstream, tmp_path: Path) -> Iterator[Installation]:
    with shared_database() as url:
        yield Installation(var_dir=tmp_path / "var", database_url=url).set_up().pointed_at(upstream.url)


def check(found: Aftermath, race: Race) -> None:
    spending.check_spending(found, budget_usd=race.budget_usd)
    spending.check_rows(found)
    spending.check_refused_unspent(found)


class TestWhateverIsKilledOrLost:
    def test_no_more_is_spent_than_the_budget(
        self, installation: Installation, upstream: RunningUpstream, dice: random.Random
    ) -> None:
        """Two commands spend beside the server, which is killed; the counters' file is deleted."""
        found = races.embedded(RACE, installation=installation, upstream=upstream, dice=dice)
        check(found, RACE)
        assert found.interrupted, "the kill found nothing under way"

    def test_nor_by_four_workers_on_redis(
        self, on_postgres: Installation, upstream: RunningUpstream, redis: RedisServer, dice: random.Random
    ) -> None:
        """One worker is killed; Redis is emptied."""
        check(races.on_redis(RACE, installation=on_postgres, upstream=upstream, redis=redis, dice=dice), RACE)


def test_clients_that_wait_while_it_is_held_get_nearly_all_of_it(
    installation: Installation, upstream: RunningUpstream, dice: random.Random
) -> None:
    budget_usd = Decimal("0.50")
    manners = Manners(clients=50, goes_on=True)
    found = races.usable(manners, budget_usd=budget_usd, installation=installation, upstream=upstream, dice=dice)
    spending.check_spending(found, budget_usd=budget_usd)
    spending.check_rows(found)
    assert found.spent_usd >= USED * budget_usd, found.says()
    assert {told.how for told in found.told} <= {How.ANSWERED, How.HELD, How.SPENT, How.UNAVAILABLE}
