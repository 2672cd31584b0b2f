"""Hundreds of streams at once on one worker, under limits and a budget; thousands: `python -m tests.load.streams`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.load import holding, streams
from tests.load.holding import Holding
from tests.process.gateway_process import Installation

pytestmark = pytest.mark.process

MANY = 200


@pytest.fixture
def upstream() -> Iterator[Holding]:
    with holding.running() as running:
        yield running


def test_each_ends_and_is_paid_for_while_others_are_answered(installation: Installation, upstream: Holding) -> None:
    found = streams.run(MANY, installation=installation, upstream=upstream)
    # Of so few, what a process grows by anyway is a part of the figure.
    assert found.kb_each < 2 * streams.MOST_KB, found.says()
