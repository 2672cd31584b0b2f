"""`manage.py requests`: list, one request's story, and following new ones."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from django.core.management import load_command_class

from analytics import ledger
from analytics.models import UsageRecord
from gateway import request_tail
from gateway.management.commands import requests as command
from gateway.request_tail import Follower
from tests.unit.analytics.test_ledger import EVERY_FIELD, request_id, usage_row

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 3, 14, 37, 12, tzinfo=UTC)


def ago(**span):
    return datetime.now(UTC) - timedelta(**span)


class TestList:
    @pytest.fixture
    def rows(self, ours):
        made = [
            usage_row(ago(minutes=5), key_id=ours.key.pk, model="m1", cost_usd=Decimal("0.5")),
            usage_row(ago(hours=2), key_id=ours.key.pk, outcome="error", status=502, error_kind="timeout"),
            usage_row(ago(hours=30), key_id=ours.key.pk),
        ]
        ledger.insert(made)
        return made

    def test_the_last_day_comes_newest_first(self, run, rows):
        out = run("requests", "list")[1]
        assert str(rows[2].id) not in out
        assert out.index(str(rows[0].id)) < out.index(str(rows[1].id))
        assert "error 502 timeout" in out

    def test_filters_are_those_of_the_api(self, run, rows):
        told = json.loads(run("requests", "list", "--outcome", "error", "--since", "2d", "--json")[1])
        assert [row["id"] for row in told["data"]] == [str(rows[1].id)]

    def test_csv_has_a_line_for_each(self, run, rows):
        heading, *lines = csv.reader(io.StringIO(run("requests", "list", "--csv", "--cost-over", "0.1")[1]))
        assert [line[heading.index("id")] for line in lines] == [str(rows[0].id)]

    def test_pages_go_on_from_the_last_id(self, run, rows):
        out = run("requests", "list", "--limit", "1")[1]
        assert f"There are more: --after {rows[0].id}" in out
        second = run("requests", "list", "--limit", "1", "--after", str(rows[0].id))[1]
        assert str(rows[1].id) in second and "There are more" not in second

    def test_none_is_said_so(self, run):
        assert run("requests", "list")[1] == "No such requests in this span.\n"

    def test_what_is_wrong_is_said_in_a_sentence(self, run):
        status, _, error = run("requests", "list", "--since", "90d")
        assert (status, error) == (
            1,
            "requests: --since: Requests are searched 31 days at a time: choose a later start.\n",
        )

    def test_an_option_is_named_as_it_was_typed(self, run):
        assert run("requests", "list", "--cost-over", "x")[2].startswith("requests: --cost-over: Use an amount")
        assert run("requests", "tail", "--lines", "x")[2].startswith("requests: --lines: Use a whole number")

    def test_durations_have_three_places_at_most(self, run, ours):
        ledger.insert([usage_row(ago(minutes=1), duration_ms=12.3456789, first_token_ms=1.23456)])
        (told,) = json.loads(run("requests", "list", "--json")[1])["data"]
        assert (told["duration_ms"], told["first_token_ms"]) == (12.346, 1.235)

    def test_what_is_not_known_of_an_interrupted_one_is_left_open(self, run, ours):
        ledger.insert([usage_row(ago(minutes=1), outcome="interrupted", status=0, duration_ms=0.0)])
        out = run("requests", "list")[1]
        assert "interrupted 0" not in out and "0 ms" not in out


class TestShow:
    @pytest.fixture
    def row(self, ours):
        decision = {
            "entry": "L2", "entry_reason": "score 0.62", "reasons": [["asks for proof", 0.4], ["long", 0.22]],
            "need": {"turns": 3, "tools": 1, "capabilities": ["tools"], "max_output_tokens": 500},
            "attempts": [["acme/large:v1", "L2"], ["other/small", "L3"]],
            "is_last_resort": True,
            "dropped": [["acme/blind", "L2", "lacks a capability the request needs", "tools"]],
        }  # fmt: skip
        trail = [
            {"provider": "acme", "model": "large:v1", "layer": "L2", "outcome": "timeout", "status": 504,
             "message": "did not answer", "started_ms": 41.0, "duration_ms": 900.0, "waited_ms": 40.2, "malformed": 2},
        ]  # fmt: skip
        fields = EVERY_FIELD | {
            "decision": msgspec.Raw(msgspec.json.encode(decision)), "trail": msgspec.Raw(msgspec.json.encode(trail)),
            "score": 0.62,
        }  # fmt: skip
        row = usage_row(NOW, **fields)
        ledger.insert([row])
        return row

    def test_it_tells_the_story_of_a_request(self, run, row):
        status, out, _ = run("requests", "show", str(row.id), "--zone", "Asia/Kolkata")
        assert status == 0
        for words in (
            f"Request {row.id}", "2026-11-03 20:07:12.000000 Asia/Kolkata", "schlüssel 😀 of ours",
            "auto:L2 as a stream, 3 turns, 1 tool, needs tools, at most 500 tokens (embeddings)",
            "error 502 after 12 ms, first token after 1 ms", "timeout: did not answer in time",
            "0.62 (asks for proof +0.40, long +0.22)", "L2 (score 0.62)", "1. acme/large:v1 of L2",
            "2. other/small of L3", "the model that is due first is tried once",
            "4 output, 5 of it reasoning, 6 web searches, 7 images",
            "acme/blind of L2: lacks a capability the request needs (tools)",
            "1. acme/large:v1 of L2: timeout 504, at 41 ms for 900 ms, waited 40 ms for a place before that; 2 ev",
            "acme/acme/large:v1 of L2, not the first model tried",
            "$0.0000000001 (reported by the provider); the provider said $0, our price makes $12345.6789012345; dispu",
            "budgets counted $12345.6789012346", "input $0.00000015",
        ):  # fmt: skip
            assert words in out, words

    def test_a_row_that_knows_little_is_told_too(self, run, ours):
        row = usage_row(NOW, outcome="interrupted", status=0)
        ledger.insert([row])
        status, out, _ = run("requests", "show", str(row.id))
        assert status == 0
        assert "interrupted: the gateway stopped or was killed; how long it took and what it had answered is not" in out
        assert "budgets count its cap" in out and "0 ms" not in out
        assert "not known" in next(line for line in out.splitlines() if line.startswith("  tokens"))

    def test_json_has_every_column(self, run, row):
        assert json.loads(run("requests", "show", str(row.id), "--json")[1])["decision"]["entry"] == "L2"

    @pytest.mark.parametrize("wanted", ["1", "x", "0f8fad5b-d9cb-469f-a165-70867728950e", str(request_id(NOW))])
    def test_what_is_not_there_is_said_so(self, run, wanted):
        status, _, error = run("requests", "show", wanted)
        assert (status, error) == (1, f"requests: There is no request '{wanted}'; `requests list` shows them.\n")


def follower(**back):
    return Follower(UsageRecord.objects.all(), back=timedelta(**(back or {"minutes": 15})), now=NOW)


def insert(**before):
    row = usage_row(NOW - timedelta(**before))
    ledger.insert([row])
    return row.id


def looks(following, count=1, *, now=NOW):
    return [row.id for _ in range(count) for row in following.look(now=now)]


class TestTail:
    def test_each_row_is_told_once(self):
        insert(seconds=1)
        following = follower()
        fresh = insert(seconds=1)
        assert looks(following, 20) == [fresh]

    def test_a_row_that_began_before_others_and_ended_after_them_is_not_missed(self):
        following = follower()
        first = insert(seconds=2)
        assert looks(following) == [first]
        late = insert(seconds=50)
        assert looks(following) == [late]

    def test_a_long_answer_comes_with_the_look_that_goes_back_further(self):
        following = follower()
        late = insert(minutes=14)
        assert looks(following, request_tail.LONG_EVERY - 1) == []
        assert looks(following) == [late]

    def test_what_began_too_long_ago_is_left_to_the_list(self):
        following = follower()
        insert(minutes=16)
        assert looks(following, request_tail.LONG_EVERY) == []

    def test_rows_of_one_look_come_in_the_order_they_began(self):
        following = follower()
        later, earlier = insert(seconds=1), insert(seconds=9)
        assert looks(following) == [earlier, later]

    def test_what_is_told_is_forgotten_when_nobody_looks_back_so_far(self):
        following = follower()
        insert(seconds=1)
        looks(following)
        looks(following, request_tail.LONG_EVERY, now=NOW + timedelta(hours=1))
        assert following._told == {}

    def test_long_columns_stay_in_the_database(self, django_assert_num_queries):
        following = follower()
        with django_assert_num_queries(1):
            looks(following)

    def test_the_command_shows_the_last_ones_then_new_ones_and_ends_quietly(self, run, monkeypatch, ours):
        old = usage_row(ago(seconds=30))
        ledger.insert([old])
        fresh, came = usage_row(ago(seconds=1), model="m\x1b[31m"), []

        def pause():
            if came:
                raise KeyboardInterrupt
            came.append(True)
            ledger.insert([fresh])

        monkeypatch.setattr(command, "_pause", pause)
        status, out, error = run("requests", "tail", "--json")
        assert (status, error) == (0, "")
        assert [json.loads(line)["id"] for line in out.splitlines()] == [str(old.id), str(fresh.id)]

    def test_only_what_was_asked_for_is_followed(self, run, monkeypatch, ours):
        came = []

        def pause():
            if came:
                raise KeyboardInterrupt
            came.append(True)
            ledger.insert([usage_row(ago(seconds=1), outcome="error", status=500)])

        monkeypatch.setattr(command, "_pause", pause)
        assert run("requests", "tail", "--outcome", "ok")[1].splitlines() == ["  ".join(command.HEADINGS)]

    def test_lines_stand_below_their_headings(self, run, monkeypatch, ours):
        ledger.insert([usage_row(ago(seconds=50 - many), model="m" * many) for many in (1, 30)])

        def pause():
            raise KeyboardInterrupt

        monkeypatch.setattr(command, "_pause", pause)
        heading, *lines = run("requests", "tail")[1].splitlines()
        assert [line.index("ok 200") for line in lines] == [heading.index("ended")] * 2

    def test_a_stretch_that_is_none_is_refused(self, run):
        assert run("requests", "tail", "--back", "9d")[2].startswith("requests: --back: Use minutes or hours")


def test_the_command_has_examples():
    assert "requests tail" in load_command_class("gateway", "requests").EXAMPLES
