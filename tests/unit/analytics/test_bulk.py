"""What writing many rows keeps in memory, and in which order it writes them."""

from __future__ import annotations

import random

import pytest

from analytics import bulk, rollups
from analytics.rollup_models import COLUMNS, UsageRollup
from analytics.series import Dimensions, Grain
from tests.unit.analytics.rollups.many_rows import DAY

pytestmark = pytest.mark.django_db


def test_thousands_of_different_batches_leave_no_more_in_memory_than_a_few():
    dice = random.Random(1)
    for _ in range(2_000):
        counts = {"requests": 1} | dict.fromkeys(dice.sample(COLUMNS, 5), 1)
        rollups.add({(Grain.DAY_ALL, DAY, Dimensions("chat")): counts})
    assert UsageRollup.objects.get().requests >= 2_000
    kept = [bulk._from_json.cache_info().currsize, bulk._sqlite_adapters.cache_info().currsize]
    assert 0 < max(kept) < 300
