"""What makes the bench fail: limits, wrong bytes, a wrong number of rows. Unmarked: nothing here measures."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.load import expected, judge, ledger
from tests.load.expected import WrongAnswer
from tests.load.judge import Measured, Ratios, Recorded, Sample
from tests.load.load import Answer
from tests.upstream.answers import answer_to

SCRIPT = "chunks=3"
LIMITS = Recorded(json_ratio=2.0, stream_ratio=2.0, ceiling_json=4.0, ceiling_stream=4.0, rss_mb=170.0)


def body(model: str = "auto", *, stream: bool = False, usage: bool = False) -> bytes:
    options = {"stream_options": {"include_usage": True}} if usage else {}
    messages = [{"role": "user", "content": "Hello"}]
    return msgspec.json.encode({"model": model, "messages": messages, "stream": stream} | options)


def upstream_sends(request: bytes) -> bytes:
    return answer_to(request, default_script=SCRIPT).body


def answer(content: bytes, *, status: int = 200) -> Answer:
    return Answer(0.0, body=bytearray(content), status=status)


def measured(*cpu_ms: float) -> Measured:
    samples = tuple(Sample(cpu_ms=ms, requests_per_s=1, p50_ms=1, p99_ms=1, first_p50_ms=1) for ms in cpu_ms)
    return Measured("any", started_in_s=1, rss_mb=100, json=samples, stream=samples)


class TestLimits:
    def test_a_ratio_is_the_median_of_the_rounds_ratios(self) -> None:
        found = judge.ratios(gateway=measured(2, 30, 2), floor=measured(1, 10, 2))
        assert found == Ratios(json=2, stream=2)

    @pytest.mark.parametrize(("ratio", "count"), [(2.0, 0), (2.29, 0), (2.31, 1), (4.1, 2)])
    def test_fifteen_percent_over_the_recorded_or_over_the_ceiling(self, ratio: float, count: int) -> None:
        assert len(judge.complaints(Ratios(ratio, 1.0), rss_mb=100, recorded=LIMITS)) == count

    def test_nothing_recorded_leaves_the_ceiling(self) -> None:
        unrecorded = replace(LIMITS, json_ratio=None)
        assert judge.complaints(Ratios(3.9, 1.0), rss_mb=100, recorded=unrecorded) == []

    def test_too_much_memory(self) -> None:
        assert "171 MB" in judge.complaints(Ratios(1.0, 1.0), rss_mb=171, recorded=LIMITS)[0]

    def test_recording_keeps_the_limits(self, tmp_path: Path) -> None:
        path = tmp_path / "recorded.json"
        path.write_bytes(msgspec.json.encode(LIMITS))
        judge.record(Ratios(1.23456, 2.5), path=path)
        assert judge.load_recorded(path) == replace(LIMITS, json_ratio=1.235, stream_ratio=2.5)

    def test_recording_without_money_keeps_the_ratios_with_it(self, tmp_path: Path) -> None:
        path = tmp_path / "recorded.json"
        path.write_bytes(msgspec.json.encode(LIMITS))
        judge.record(Ratios(1, 2), with_money=Ratios(3.45678, 4), path=path)
        judge.record(Ratios(1.5, 2.5), path=path)
        kept = replace(LIMITS, json_ratio_money=3.457, stream_ratio_money=4)
        assert judge.load_recorded(path) == replace(kept, json_ratio=1.5, stream_ratio=2.5)

    @pytest.mark.parametrize(("ratio", "count"), [(4.5, 0), (4.7, 1), (5.1, 2)])
    def test_with_money_its_own_records_and_ceilings_count(self, ratio: float, count: int) -> None:
        recorded = replace(LIMITS, json_ratio_money=4.0, stream_ratio_money=4.0).with_money()
        assert len(judge.complaints(Ratios(ratio, 1.0), rss_mb=100, recorded=recorded)) == count
        assert judge.complaints(Ratios(1.0, 4.5), rss_mb=100, recorded=recorded) == []

    def test_with_money_unrecorded_leaves_its_ceilings(self) -> None:
        unrecorded = LIMITS.with_money()
        assert judge.complaints(Ratios(4.9, 5.9), rss_mb=100, recorded=unrecorded, is_short=True) == []
        assert len(judge.complaints(Ratios(5.1, 6.1), rss_mb=100, recorded=unrecorded, is_short=True)) == 2

    def test_the_committed_file_can_be_read(self) -> None:
        recorded = judge.load_recorded()
        assert (recorded.ceiling_json, recorded.ceiling_stream) == (5.0, 6.0)
        assert (recorded.ceiling_json_money, recorded.ceiling_stream_money) == (5.0, 6.0)


class TestBytes:
    def test_json_must_be_identical(self) -> None:
        expect = expected.from_floor(body(), script=SCRIPT)
        expect.check([answer(upstream_sends(body()))])
        with pytest.raises(WrongAnswer):
            expect.check([answer(upstream_sends(body()) + b" ")])

    def test_a_status_is_part_of_it(self) -> None:
        with pytest.raises(WrongAnswer):
            expected.from_floor(body(), script=SCRIPT).check([answer(upstream_sends(body()), status=201)])

    def test_the_gateway_answers_by_a_model_of_the_catalog(self) -> None:
        expect = expected.from_gateway(body(), script=SCRIPT)
        expect.check([answer(upstream_sends(body("bench-l2")))])
        with pytest.raises(WrongAnswer):
            expect.check([answer(upstream_sends(body("auto")))])

    def test_the_gateway_owes_the_stream_with_usage_less_the_usage_chunk(self) -> None:
        expect = expected.from_gateway(body(stream=True), script=SCRIPT)
        frames = upstream_sends(body("bench-l0", stream=True, usage=True)).split(b"\n\n")
        without_usage = [frame for frame in frames if b'"prompt_tokens"' not in frame]
        assert len(without_usage) == len(frames) - 1
        commented = [*without_usage[:-2], b": cost 0.1", *without_usage[-2:]]
        expect.check([answer(b"\n\n".join(without_usage)), answer(b"\n\n".join(commented))])
        with pytest.raises(WrongAnswer):
            expect.check([answer(b"\n\n".join(frames))])


class TestLedger:
    @pytest.fixture
    def var_dir(self, tmp_path: Path) -> Path:
        with closing(sqlite3.connect(tmp_path / "gateway.sqlite3")) as connection:
            connection.execute("CREATE TABLE analytics_usagerecord (id TEXT, budget_usd DECIMAL)")
            connection.executemany("INSERT INTO analytics_usagerecord VALUES (?, ?)", [("a", 0.5), ("b", 1)])
            connection.commit()
        return tmp_path

    def test_exactly_as_many_rows(self, var_dir: Path) -> None:
        ledger.wait_for(2, var_dir=var_dir, within_s=0)

    @pytest.mark.parametrize("rows", [1, 3])
    def test_more_or_fewer_is_an_error(self, var_dir: Path, rows: int) -> None:
        with pytest.raises(ledger.LedgerError, match=f"2 usage records for {rows} requests"):
            ledger.wait_for(rows, var_dir=var_dir, within_s=0)

    def test_a_row_that_no_budget_counted_is_an_error(self, var_dir: Path) -> None:
        ledger.check_counted(var_dir)
        with closing(sqlite3.connect(var_dir / "gateway.sqlite3")) as connection:
            connection.execute("UPDATE analytics_usagerecord SET budget_usd = 0 WHERE id = 'a'")
            connection.commit()
        with pytest.raises(ledger.LedgerError, match="1 of 2 requests"):
            ledger.check_counted(var_dir)


def test_a_short_run_is_held_to_the_recorded_ratio_alone() -> None:
    near = replace(LIMITS, json_ratio=3.9, stream_ratio=3.9)
    assert judge.complaints(Ratios(4.4, 4.4), rss_mb=100, recorded=near, is_short=True) == []
    assert len(judge.complaints(Ratios(4.6, 4.6), rss_mb=100, recorded=near, is_short=True)) == 2
