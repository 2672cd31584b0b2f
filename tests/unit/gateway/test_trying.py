"""One tiny chat with a provider, against the scripted upstream."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from analytics.spool import Reader
from analytics.types import Limits, UsageRow
from gateway import trying
from gateway.mending import Place
from routing import afterwards, attempts, runtime
from tests.unit.routing.test_plan import ACME, ANYONE, candidate, model, snapshot
from tests.unit.routing.use_case import parts_of

pytestmark = pytest.mark.usefixtures("open_door", "short_pauses")

PLACE = Place("acme", "http://127.0.0.1:1/v1", True, "ACME_API_KEY", "/admin/p/1/", "/admin/c/1/", "/admin/m/")


@pytest.fixture
def short_pauses(monkeypatch):
    monkeypatch.setattr(attempts, "BACKOFF_S", 0.001)


@pytest.fixture
def attempt(vendor, spool):
    async def attempt(
        name, *, stream=False, asked=None, credential=None, needs=False, owner=ANYONE, ask=None, **priced
    ):
        provider = replace(ACME, base_url=vendor.url, credential=credential, needs_credential=needs)
        config = snapshot(candidate(model(name, provider=provider, **priced), "L0"))
        return await trying.attempt(
            PLACE,
            model=asked or name,
            is_stream=stream,
            config=config,
            owner=owner,
            parts=parts_of(spool),
            prompt=ask or trying.PROMPT,
        )

    return attempt


@pytest.fixture
def telling(vendor, spool):
    """A live answer of a model, as the dashboard reads it."""

    def telling(name):
        provider = replace(ACME, base_url=vendor.url, credential=None, needs_credential=False)
        config = snapshot(candidate(model(name, provider=provider, usd="0.001"), "L0"))
        asked = {"is_stream": True, "config": config, "owner": ANYONE, "parts": parts_of(spool), "prompt": "Why?"}
        return trying._left_with_its_client(trying._telling(PLACE, model=name, **asked))

    return telling


def outcomes(spool):
    batch = Reader(spool.folder).next_batch()
    return [(row.outcome, row.status) for row in (batch.lines if batch else ()) if isinstance(row, UsageRow)]


async def test_pieces_come_as_they_are_written_and_the_whole_behind_them(telling, spool):
    *pieces, trial = [part async for part in telling("chunks=3;delay_ms=20")]
    assert (pieces, trial.answer, trial.is_cut) == (["w0", " w1", " w2"], "w0 w1 w2", False)
    assert outcomes(spool) == [("ok", 200)]


async def test_an_answer_that_a_limit_ended_is_told_as_such(attempt):
    assert (await attempt("chunks=3;finish=length", stream=True)).is_cut
    assert (await attempt("chunks=3;finish=length")).is_cut


@pytest.mark.parametrize("waits", [True, False])
async def test_who_leaves_pays_for_what_was_written(telling, spool, waits):
    """While the next piece is waited for, or while one is being sent."""
    answer = telling("chunks=50;delay_ms=20")
    await anext(answer)
    if waits:
        reading = asyncio.ensure_future(anext(answer))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
    await answer.aclose()
    await afterwards.over()  # of reading, which then counts
    await afterwards.over()
    assert outcomes(spool) == [("cancelled", 499)]


async def test_a_gateway_that_stops_settles_what_was_written(telling, spool):
    answer = telling("chunks=50;delay_ms=20")
    await anext(answer)
    try:
        await afterwards.stop(within_s=5)
        with pytest.raises(runtime.NotRunning):
            [_ async for _ in answer]
    finally:
        afterwards.resume()
    assert outcomes(spool) == [("interrupted", 503)]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_answer_its_time_and_its_cost_are_told_and_recorded(attempt, spool, stream):
    trial = await attempt("ok", stream=stream, usd="0.001")
    assert (trial.problem, trial.answer) == (None, f"You said: {trying.PROMPT}")
    assert trial.took_s is not None
    assert (trial.first_token_s is not None) is stream
    assert trial.bill is not None
    assert trial.bill.usd == Decimal("0.001") * trial.bill.usage.total_tokens
    batch = Reader(spool.folder).next_batch()
    (row,) = [line for line in (batch.lines if batch else ()) if isinstance(line, UsageRow)]
    assert (str(row.id), row.cost_usd, row.is_stream) == (trial.request_id, trial.bill.usd, stream)


async def test_it_asks_what_one_wants_to_know_in_ones_name(attempt, spool):
    trial = await attempt("ok", stream=True, ask="Why?", owner=replace(ANYONE, key_name="ann, at the dashboard"))
    assert trial.answer == "You said: Why?"
    batch = Reader(spool.folder).next_batch()
    (row,) = [line for line in (batch.lines if batch else ()) if isinstance(line, UsageRow)]
    assert row.key_name == "ann, at the dashboard"


@pytest.mark.parametrize(
    ("script", "trouble", "mend"),
    [
        ("status=401", "key refused", "export ACME_API_KEY=..."),
        ("status=404", "wrong model", "providers check acme"),
        ("status=429;retry_after=40", "limited", "Wait 40 s"),
        ("status=503", "trouble at the provider", "log"),
        ("status=400", "request refused", "--model"),
        ("empty", "trouble at the provider", "log"),
        ("cut=headers", "unreachable", "base URL"),
        ("html", "trouble at the provider", "log"),
    ],
)
async def test_each_kind_of_failure_says_how_to_mend_it(attempt, script, trouble, mend):
    trial = await attempt(script)
    assert trial.problem is not None
    assert (trial.problem.trouble, mend in trial.problem.mend) == (trouble, True)
    assert trial.took_s is None


async def test_a_stream_that_breaks_is_told_with_what_had_come(attempt):
    trial = await attempt("chunks=4;cut=mid", stream=True)
    assert trial.problem is not None
    assert trial.answer.startswith("w0")


async def test_a_missing_key_price_or_model_is_told_without_a_call(attempt, vendor):
    before = len(vendor.requests())
    problems = [
        (await attempt("ok", needs=True)).problem,
        (await attempt("ok", usd=None)).problem,
        (await attempt("ok-1", asked="ok-2")).problem,
    ]
    assert [problem.trouble for problem in problems if problem] == ["no key", "not set up", "not set up"]
    assert "close to it: acme/ok-1" in problems[2].says
    assert len(vendor.requests()) == before


async def test_a_limit_of_ours_is_told_as_the_api_tells_it(attempt):
    held = replace(ANYONE, project_limits=Limits(tokens_per_minute=1))
    found = (await attempt("m", owner=held)).problem
    assert found.says.startswith("This request may use ")
    assert "and its project 1 in a minute" in found.says
    assert "manage.py projects list" in found.mend


def test_the_cheapest_model_is_the_default_and_one_without_a_price_the_last():
    config = snapshot(
        candidate(model("dear", usd="0.002"), "L0"),
        candidate(model("cheap", usd="0.001"), "L1"),
        candidate(model("unknown", usd=None), "L0"),
    )
    found = trying.cheapest("acme", config=config)
    assert found is not None
    assert found.name == "cheap"
    assert trying.cheapest("other", config=config) is None
