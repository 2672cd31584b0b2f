"""Fixtures of the fault tests: one run of all cases, which each test looks at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import asking, world
from tests.faults.asking import Run
from tests.faults.cases import CASES
from tests.faults.world import World


@pytest.fixture(scope="module")
def running_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world.running(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture(scope="module")
def whole_run(running_world: World) -> Run:
    return asking.run(running_world, CASES)
