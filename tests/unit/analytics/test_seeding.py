"""Made-up usage: what `manage.py seed_usage` puts into the ledger and its roll-ups."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.core.management import call_command

from analytics import ids, rollups, seeded
from analytics.models import UsageRecord, UsageRollup
from analytics.rollup_models import COLUMNS
from analytics.seeding import COLUMNS as LEDGER_COLUMNS
from analytics.seeding import Maker, Plan
from analytics.series import Grain, series_id
from analytics.types import UsageRow

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
PLAN = Plan(rows=1_500, days=10, keys=30, models=8, seed=4, until=NOON)


def lines_of(plan: Plan) -> list[list[str]]:
    maker = Maker(plan)
    return [line.rstrip("\n").split("\t") for day, count in plan.per_day() for line in maker.lines(day, count)]


class TestMaking:
    def test_all_rows_are_made_within_the_days_and_before_the_end(self) -> None:
        made = [ids.started_at(UUID(row[0])) for row in lines_of(PLAN)]
        assert len(made) == PLAN.rows
        assert datetime(2026, 3, 5, tzinfo=UTC) <= min(made)
        assert max(made) < NOON
        assert made == sorted(made)

    def test_the_time_of_a_row_is_its_ids(self) -> None:
        for row in lines_of(PLAN)[:100]:
            assert datetime.fromisoformat(row[1]) == ids.started_at(UUID(row[0]))

    def test_ids_are_version_seven_and_none_is_made_twice(self) -> None:
        made = [UUID(row[0]) for row in lines_of(PLAN)]
        assert {one.version for one in made} == {7}
        assert len(set(made)) == len(made)

    def test_the_same_plan_makes_the_same_rows_and_another_seed_others(self) -> None:
        other = Plan(rows=1_500, days=10, keys=30, models=8, seed=5, until=NOON)
        assert lines_of(PLAN) == lines_of(PLAN)
        assert lines_of(PLAN) != lines_of(other)

    def test_the_first_keys_ask_most(self) -> None:
        asked = Counter(row[LEDGER_COLUMNS.index("key_name")] for row in lines_of(PLAN))
        assert [name for name, _ in asked.most_common(2)] == ["key-001", "key-002"]
        assert asked["key-001"] > 10 * asked["key-030"]


@pytest.mark.django_db
class TestFilling:
    def test_rows_and_roll_ups_say_the_same(self) -> None:
        told: list[int] = []
        seeded.fill(PLAN, told=told.append)
        assert sum(told) == UsageRecord.objects.count() == PLAN.rows
        assert _stored() == _recounted()

    def test_a_row_is_stored_as_it_was_made(self) -> None:
        seeded.fill(PLAN, told=lambda count: None)
        wanted = dict(zip(LEDGER_COLUMNS, lines_of(PLAN)[700], strict=True))
        row = UsageRecord.objects.get(pk=wanted["id"])
        assert f"{row.cost_usd:.10f}" == wanted["cost_usd"]
        assert row.trail == msgspec.json.decode(wanted["trail"])
        assert (row.key_name, row.duration_ms) == (wanted["key_name"], float(wanted["duration_ms"]))


@pytest.mark.django_db
class TestCommand:
    def test_it_says_how_many_rows_it_made_and_how_quickly(self, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("seed_usage", rows=50, days=2, keys=3, models=3, workers=1)
        assert "50 rows in" in capsys.readouterr().out
        assert UsageRecord.objects.count() == 50

    def test_a_ledger_with_rows_is_left_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("seed_usage", rows=5, days=1, keys=3, models=3, workers=1)
        with pytest.raises(SystemExit):
            call_command("seed_usage", rows=5, days=1, keys=3, models=3, seed=2)
        assert "--add" in capsys.readouterr().err
        assert UsageRecord.objects.count() == 5

    def test_more_can_be_added(self) -> None:
        for seed in (1, 2):
            call_command("seed_usage", rows=40, days=2, keys=3, models=3, seed=seed, add=True, workers=1)
        assert UsageRecord.objects.count() == 80
        assert sum(UsageRollup.objects.filter(grain=Grain.DAY_ALL).values_list("requests", flat=True)) == 80

    @pytest.mark.parametrize("given", [("--rows", "0"), ("--rows", "many"), ("--days", "9999"), ("--models", "-1")])
    def test_a_number_out_of_reach_is_refused(self, given: tuple[str, str]) -> None:
        with pytest.raises(Exception, match="use a whole number from 1 to"):
            call_command("seed_usage", *given)


def _stored() -> dict[Any, dict[str, int]]:
    return {
        (Grain(row.grain), row.start, row.series_id): {
            name: number for name in COLUMNS if (number := getattr(row, name)) is not None
        }
        for row in UsageRollup.objects.all()
        if _is_kept(Grain(row.grain), row.start)
    }


def _recounted() -> dict[Any, dict[str, int]]:
    """By the drainer's own way; minutes only where they are kept."""
    names = [name for name in UsageRow.__struct_fields__ if name not in ("decision", "trail", "prices")]
    rows = [UsageRow(**values) for values in UsageRecord.objects.values(*names)]
    return {
        (grain, start, series_id(grain.cut, values)): {name: number for name, number in counts.items() if number}
        for (grain, start, values), counts in rollups.tally(rows).items()
        if _is_kept(grain, start)
    }


def _is_kept(grain: Grain, start: datetime) -> bool:
    """Minutes are kept for eight days, or a little longer."""
    return grain is not Grain.MINUTE or start > NOON - timedelta(days=8)
