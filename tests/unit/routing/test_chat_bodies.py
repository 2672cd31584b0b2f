"""What requests leave of their words: of projects that have bodies kept, and of nobody else."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from routing import afterwards
from routing.chat import NobodyAnswered, NothingToTry
from tests.unit.routing.test_plan import ANYONE
from tests.unit.routing.use_case import come_round

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz123456"
MESSAGES = [{"role": "user", "content": f"My key is {SECRET}"}]


@pytest.fixture
def kept(gateway):
    """What the request gave to the writer, as the row it would be."""
    gateway.caller = replace(ANYONE, stores_bodies=True)

    def rows():
        batch = gateway.bodies._batch(None)
        return [gateway.bodies._row(one) for one in batch]

    return rows


async def test_who_did_not_ask_for_it_leaves_nothing(gateway, monkeypatch):
    monkeypatch.setattr(gateway.bodies, "keep", None)  # calling it would fail
    await gateway.ask("ok")
    await gateway.relay("chunks=3")
    assert [row.outcome for row in gateway.rows] == ["ok", "ok"]


async def test_an_answer_is_kept_masked_and_no_spool_holds_it(gateway, kept):
    await gateway.ask("content=Write%20to%20a@b.org", messages=MESSAGES)
    (row,) = kept()
    assert (row.id, row.project_id, row.answer) == (gateway.row.id, 1, "Write to [e-mail]")
    assert "My key is [secret]" in row.request
    written = b"".join(path.read_bytes() for path in gateway.spool.folder.iterdir() if path.is_file())
    assert str(row.id).encode() in written
    for word in ("My key is", SECRET, "Write to"):
        assert word.encode() not in written


async def test_a_stream_is_kept_as_it_was_read(gateway, kept):
    await gateway.relay("chunks=5", messages=MESSAGES)
    await come_round()
    (row,) = kept()
    assert (row.answer, row.answer_is_cut) == ("w0 w1 w2 w3 w4", False)


async def test_of_one_that_was_left_what_came(gateway, kept):
    streaming = await gateway.ask("chunks=4;stall=mid", stream=True)
    async with aclosing(streaming.frames()) as frames:
        await anext(frames)
    await come_round()
    assert kept()[0].answer.startswith("w0")


async def test_an_answer_that_has_to_be_counted_is_kept_once_it_is(gateway, kept):
    await gateway.ask("content=Hello;no_usage")
    await asyncio.wait_for(afterwards.over(), 30)
    assert [row.answer for row in kept()] == ["Hello"]


@pytest.mark.parametrize(("scripts", "error"), [(["status=500", "status=500"], NobodyAnswered), ([], NothingToTry)])
async def test_of_a_failure_the_request_alone(gateway, kept, scripts, error):
    with pytest.raises(error):
        await gateway.ask(*scripts, messages=MESSAGES)
    (row,) = kept()
    assert ("My key is [secret]" in row.request, row.answer) == (True, "")


async def test_a_writer_that_fails_costs_no_usage_row(gateway, kept, caplog):
    caplog.set_level("CRITICAL", logger="analytics.bodies")
    gateway.bodies._queue = None
    await gateway.ask("ok")
    assert (gateway.row.outcome, gateway.bodies.dropped) == ("ok", 1)
