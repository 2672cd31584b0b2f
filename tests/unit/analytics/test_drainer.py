"""From the spool to the ledger: each settled row once, none lost, whatever the database says."""

import logging
import os
from decimal import Decimal

import msgspec
import pytest
from django.db import OperationalError, connection

from analytics import drainer, ids, ledger, spool
from analytics.models import UsageRecord, UsageRollup
from analytics.series import Grain
from analytics.spool import Reader, Spool
from tests.unit.analytics.test_ledger import opened_line, usage_row

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def expected_noise(caplog):
    caplog.set_level(logging.CRITICAL, logger="analytics.drainer")


def abandon(root, *, opened=(), settled=()):
    """The spool of a process that died with these lines in it."""
    left = Spool(root)
    for row in opened:
        left.opened(row)
    for row in settled:
        left.settled(row)
    left.close()
    return left.folder


def database_away():
    def refuse(execute, sql, params, many, context):
        if "INSERT" in sql:
            raise OperationalError("gone")
        return execute(sql, params, many, context)

    return connection.execute_wrapper(refuse)


def rejected(root):
    path = root / "rejected.jsonl"
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def in_ledger():
    return set(UsageRecord.objects.values_list("id", flat=True))


class TestDrain:
    def test_settled_rows_reach_the_ledger_and_opened_ones_do_not(self, own, root):
        settled, still_open = usage_row(), opened_line()
        own.opened(opened_line(id=settled.id))
        own.opened(still_open)
        own.settled(settled)
        drainer.drain(Reader(own.folder), root=root)
        assert in_ledger() == {settled.id}

    def test_the_settled_row_is_what_is_stored(self, own, root):
        line = opened_line()
        own.opened(line)
        own.settled(usage_row(id=line.id, cost_usd=Decimal("0.25")))
        drainer.drain(Reader(own.folder), root=root)
        assert UsageRecord.objects.values_list("outcome", "status", "cost_usd").get() == ("ok", 200, Decimal("0.25"))

    def test_again_from_the_start_changes_nothing(self, own, root):
        for _ in range(3):
            own.settled(usage_row())
        for _ in range(2):
            drainer.drain(Reader(own.folder), root=root)
        assert UsageRecord.objects.count() == 3

    def test_more_rows_than_go_at_once(self, own, root, monkeypatch):
        monkeypatch.setattr(drainer, "ROWS_AT_ONCE", 4)
        for _ in range(11):
            own.settled(usage_row())
        drainer.drain(Reader(own.folder), root=root)
        assert UsageRecord.objects.count() == 11

    def test_while_the_database_is_away_rows_wait_for_it(self, own, root):
        row = usage_row()
        own.settled(row)
        reader = Reader(own.folder)
        with database_away(), pytest.raises(OperationalError):
            drainer.drain(reader, root=root)
        assert (in_ledger(), rejected(root)) == (set(), [])
        drainer.drain(reader, root=root)
        assert in_ledger() == {row.id}


class TestBadRows:
    @pytest.mark.parametrize(
        "bad",
        [
            {"cost_usd": Decimal(-1)},
            {"input_tokens": -1},
            {"input_tokens": 2**70},
            {"outcome": "odd"},
            {"cost_source": "guess"},
        ],
    )
    def test_a_row_the_database_refuses_is_set_aside_and_the_rest_goes_in(self, own, root, bad):
        good = [usage_row(), usage_row()]
        refused = usage_row(**bad)
        for row in (good[0], refused, good[1]):
            own.settled(row)
        drainer.drain(Reader(own.folder), root=root)
        assert in_ledger() == {row.id for row in good}
        (entry,) = rejected(root)
        assert entry["why"]
        assert msgspec.json.decode(entry["line"])["id"] == str(refused.id)

    def test_one_among_many_is_found_with_few_transactions(self, own, root, monkeypatch):
        tried, insert = [], ledger.insert
        monkeypatch.setattr(ledger, "insert", lambda rows: (tried.append(len(rows)), insert(rows)))
        made = [usage_row() for _ in range(63)]
        made.insert(40, usage_row(outcome="odd"))
        for row in made:
            own.settled(row)
        drainer.drain(Reader(own.folder), root=root)
        assert UsageRecord.objects.count() == 63
        assert [msgspec.json.decode(entry["line"])["id"] for entry in rejected(root)] == [str(made[40].id)]
        assert tried[0] == 64
        assert len(tried) == 1 + 2 * 6

    def test_a_line_nobody_can_read_is_set_aside(self, own, root):
        own.settled(usage_row())
        with spool.segment_path(own.folder, 1).open("ab") as file:
            file.write(b"{half\n")
        own.settled(usage_row())
        drainer.drain(Reader(own.folder), root=root)
        assert UsageRecord.objects.count() == 2
        assert rejected(root) == [{"why": "unreadable line", "line": "{half"}]

    def test_it_is_set_aside_once_however_often_the_database_is_away(self, own, root):
        with spool.segment_path(own.folder, 1).open("ab") as file:
            file.write(b"{half\n")
        own.settled(usage_row())
        reader = Reader(own.folder)
        for _ in range(3):
            with database_away(), pytest.raises(OperationalError):
                drainer.drain(reader, root=root)
        drainer.drain(reader, root=root)
        assert len(rejected(root)) == 1


class TestReplay:
    def test_what_a_dead_process_settled_is_stored(self, root):
        row = usage_row()
        folder = abandon(root, opened=[opened_line(id=row.id)], settled=[row])
        assert drainer.replay_abandoned(root) == 1
        assert in_ledger() == {row.id}
        assert not folder.exists()

    def test_what_it_had_open_is_stored_as_interrupted(self, root):
        line = opened_line(cost_usd=Decimal("0.125"))
        abandon(root, opened=[line])
        drainer.replay_abandoned(root)
        record = UsageRecord.objects.get()
        assert (record.id, record.started_at) == (line.id, ids.started_at(line.id))
        assert (record.outcome, record.status) == ("interrupted", 0)
        assert (record.cost_usd, record.cost_source, record.input_tokens) == (Decimal("0.125"), "estimate", 5)
        assert (record.key_name, record.provider, record.model, record.layer) == ("first", "acme", "large", "L1")

    @pytest.mark.parametrize(("cap_usd", "counted"), [("0", "0.125"), ("0.1", "0.125"), ("2", "2")])
    def test_budgets_count_its_cap_and_never_less_than_the_estimate(self, root, cap_usd, counted):
        abandon(root, opened=[opened_line(cost_usd=Decimal("0.125"), cap_usd=Decimal(cap_usd))])
        drainer.replay_abandoned(root)
        assert UsageRecord.objects.get().budget_usd == Decimal(counted)

    def test_a_cap_of_more_places_than_the_ledger_has_is_the_same_in_the_roll_ups(self, root):
        told = []
        abandon(root, opened=[opened_line(cap_usd=Decimal("0.12500000009876"))])
        drainer.replay_abandoned(root, replayed=told.extend)
        assert [row.budget_usd for row in told] == [Decimal("0.1250000001")]
        assert UsageRecord.objects.get().budget_usd == Decimal("0.1250000001")
        assert UsageRollup.objects.get(grain=Grain.DAY_ALL).budget == 1250000001

    def test_of_several_attempts_the_last_one_counts(self, root):
        first = opened_line(model="cheap", attempts=1)
        abandon(root, opened=[first, msgspec.structs.replace(first, model="dear", attempts=2)])
        drainer.replay_abandoned(root)
        assert UsageRecord.objects.values_list("model", "attempts").get() == ("dear", 2)

    def test_a_row_that_reached_the_ledger_before_the_process_died_stays_as_it_is(self, root):
        row = usage_row(cost_usd=Decimal("0.5"))
        ledger.insert([row])
        abandon(root, opened=[opened_line(id=row.id, cost_usd=Decimal(9))])
        drainer.replay_abandoned(root)
        assert UsageRecord.objects.values_list("outcome", "cost_usd").get() == ("ok", Decimal("0.5"))

    def test_a_living_process_is_left_alone(self, own, root):
        own.settled(usage_row())
        assert drainer.replay_abandoned(root) == 0
        assert (in_ledger(), own.folder.exists()) == (set(), True)

    def test_every_dead_process_is_replayed(self, root):
        rows = [usage_row() for _ in range(3)]
        for row in rows:
            abandon(root, settled=[row])
        assert drainer.replay_abandoned(root) == 3
        assert in_ledger() == {row.id for row in rows}

    def test_while_the_database_is_away_the_folder_waits(self, root):
        line = opened_line()
        folder = abandon(root, opened=[line])
        with database_away():
            assert drainer.replay_abandoned(root) == 0
        assert folder.exists()
        assert drainer.replay_abandoned(root) == 1
        assert in_ledger() == {line.id}

    def test_while_another_process_replays_it_we_do_not(self, root):
        abandon(root, settled=[usage_row()])
        ((_, lock),) = spool.abandoned(root)
        assert drainer.replay_abandoned(root) == 0
        os.close(lock)
        assert drainer.replay_abandoned(root) == 1

    def test_requests_open_behind_deleted_segments_are_not_lost(self, root, monkeypatch):
        monkeypatch.setattr(spool, "SEGMENT_BYTES", 1500)
        left = Spool(root)
        for _ in range(12):
            left.settled(usage_row())
        drainer.drain(Reader(left.folder), root=root)
        line = opened_line()
        left.opened(line)
        left.close()
        drainer.replay_abandoned(root)
        assert line.id in in_ledger()

    def test_somebody_is_told_of_every_row_that_is_in_the_ledger_now(self, root):
        row, line = usage_row(), opened_line()
        abandon(root, opened=[line], settled=[row])
        told = []
        drainer.replay_abandoned(root, replayed=lambda rows: told.append([(row.id, row.outcome) for row in rows]))
        assert told == [[(row.id, "ok")], [(line.id, "interrupted")]]

    def test_while_nobody_can_be_told_the_folder_waits(self, root):
        folder = abandon(root, settled=[usage_row()])

        def away(rows):
            raise OperationalError("gone")

        assert drainer.replay_abandoned(root, replayed=away) == 0
        assert folder.exists()
        assert drainer.replay_abandoned(root) == 1

    def test_nothing_is_replayed_where_nothing_was(self, root):
        assert drainer.replay_abandoned(root) == 0
