"""Usage that the provider did not tell is counted; what a client left is read to its end where the policy says so."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from analytics.types import Opened
from gateway.api import bodies
from providers import tokens
from routing import afterwards, counting, need
from routing.streaming import leave
from routing.types import WhenClientLeaves
from tests.unit.routing.test_plan import POLICY
from tests.unit.routing.use_case import STOPS_SOON, answering, budget, come_round, event, says
from tests.upstream.log import Ending

SAID = "The quick brown fox jumps over the lazy dog."
SAID_TOKENS, ASKED_TOKENS = 10, 9
"""By OpenAI's o200k: of that text, and of the usual request's with what stands around it."""
PER_TOKEN = Decimal("0.001")
SCRIPT = "content=The%20quick%20brown%20fox%20jumps%20over%20the%20lazy%20dog.;no_usage"
FINISH = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
USAGE = event(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 70})
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def gateway(gateway):
    gateway.hold(budget("100"))
    return gateway


def figures(row):
    return (row.cost_source, row.input_tokens, row.output_tokens)


async def leaves_amid(gateway, *scripts, **options):
    """A client that leaves once it has a frame; it is told nothing more."""
    has_frame = asyncio.Event()

    async def read():
        stream = await gateway.ask(*scripts, stream=True, **options)
        async for _ in stream.frames():
            has_frame.set()

    task = asyncio.create_task(read())
    await has_frame.wait()
    leave(task)
    with pytest.raises(asyncio.CancelledError):
        await task


class TestWithoutUsage:
    async def test_a_whole_answer_is_counted(self, gateway):
        completed = await gateway.ask(SCRIPT)
        row = await gateway.assert_settled()
        assert figures(row) == ("counted", ASKED_TOKENS, SAID_TOKENS)
        assert row.cost_usd == completed.bill.usd == (ASKED_TOKENS + SAID_TOKENS) * PER_TOKEN

    async def test_a_stream_is_counted_before_its_end_is_told(self, gateway):
        stream, _ = await gateway.relay(SCRIPT)
        assert stream.bill.usd == (ASKED_TOKENS + SAID_TOKENS) * PER_TOKEN
        assert figures(await gateway.assert_settled()) == ("counted", ASKED_TOKENS, SAID_TOKENS)

    async def test_a_stream_that_breaks_is_counted(self, gateway):
        async with answering(says(SAID)) as url:
            stream, _ = await gateway.relay("ok", url=url)
        row = await gateway.assert_settled()
        assert (row.outcome, stream.bill.usd, *figures(row)) == (
            "error",
            row.cost_usd,
            "counted",
            ASKED_TOKENS,
            SAID_TOKENS,
        )

    async def test_tool_calls_and_thoughts_are_counted(self, gateway):
        call = {"index": 0, "id": "c", "function": {"name": "quick brown fox", "arguments": " jumps over"}}
        parts = [{"reasoning": "The "}, {"tool_calls": [call]}, {"content": " the lazy dog."}]
        frames = [event(choices=[{"index": 0, "delta": delta}]) for delta in parts]
        async with answering(*frames, FINISH, DONE) as url:
            await gateway.relay("ok", url=url)
        assert abs(gateway.row.output_tokens - SAID_TOKENS) <= 1
        assert gateway.row.cost_source == "counted"

    async def test_input_that_was_told_stays_as_it_was_told(self, gateway):
        started = {"id": "m", "model": "m", "usage": {"input_tokens": 100, "cache_read_input_tokens": 20}}
        delta = {"type": "text_delta", "text": SAID}
        events = [
            {"type": "message_start", "message": started},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": delta},
        ]
        async with answering(*(event(**one) for one in events)) as url:
            await gateway.relay(gateway.candidate("m", url=url, dialect="anthropic", max_output_tokens=100))
        row = await gateway.assert_settled()
        assert (*figures(row), row.cached_input_tokens) == ("counted", 100, SAID_TOKENS, 20)

    async def test_a_file_counts_as_the_model_declares(self, gateway):
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4000}}
        parts = [{"type": "text", "text": "one two three"}, image]
        seeing = gateway.candidate(SCRIPT, max_input_tokens_per_file=1_000, capabilities=frozenset({"vision"}))
        await gateway.ask(seeing, messages=[{"role": "user", "content": parts}])
        assert figures(gateway.row) == ("counted", 1_000 + ASKED_TOKENS, SAID_TOKENS)

    async def test_half_a_pair_of_surrogates_is_counted_too(self, gateway):
        async with answering(b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n', FINISH, DONE) as url:
            await gateway.relay("ok", url=url)
        assert gateway.row.cost_source in ("counted", "estimate")

    async def test_without_anything_said_it_is_an_estimate(self, gateway):
        async with answering(event(choices=[{"index": 0, "delta": {"audio": {"id": "a"}}}]), FINISH, DONE) as url:
            await gateway.relay("ok", url=url)
        assert gateway.row.cost_source == "estimate"

    @pytest.mark.parametrize("stream", [True, False])
    async def test_where_tokens_cannot_be_counted_it_is_an_estimate(self, gateway, monkeypatch, stream):
        monkeypatch.setattr(tokens.COUNTER, "_program", ("/nowhere/python",))
        tokens.COUNTER.close()
        await (gateway.relay(SCRIPT) if stream else gateway.ask(SCRIPT))
        row = await gateway.assert_settled()
        assert (row.outcome, row.cost_source, row.cost_usd > 0) == ("ok", "estimate", True)
        monkeypatch.undo()
        tokens.COUNTER._not_before = 0.0

    async def test_budgets_count_no_less_than_without_counting(self, gateway, monkeypatch):
        await gateway.relay(SCRIPT, max_tokens=50)
        counted = (await gateway.assert_settled()).budget_usd
        monkeypatch.setattr(counting, "is_wanted", lambda usage: False)
        stream, _ = await gateway.relay(SCRIPT, max_tokens=50)
        assert counted >= stream.bill.counted_usd > 0


class TestAClientThatLeaves:
    async def test_is_charged_for_what_was_written_until_then(self, gateway):
        async with answering(says(SAID), asyncio.Event()) as url:
            await leaves_amid(gateway, "ok", url=url)
        row = await gateway.assert_settled()
        assert (row.outcome, row.status, *figures(row)) == ("cancelled", 499, "counted", ASKED_TOKENS, SAID_TOKENS)

    async def test_while_it_waits_for_the_cost_was_answered(self, gateway, monkeypatch):
        is_counting, may_count, real = asyncio.Event(), asyncio.Event(), counting.count

        async def slowly(*args, **options):
            is_counting.set()
            await may_count.wait()
            return await real(*args, **options)

        monkeypatch.setattr(counting, "count", slowly)
        for ask in (gateway.ask, gateway.relay):
            is_counting.clear(), may_count.clear()
            task = asyncio.create_task(ask(SCRIPT))
            await is_counting.wait()
            leave(task)
            with pytest.raises(asyncio.CancelledError):
                await task
            may_count.set()
            await come_round()
        rows = [line for line in gateway.lines() if hasattr(line, "outcome")]
        assert [(row.outcome, *figures(row)) for row in rows] == [("ok", "counted", ASKED_TOKENS, SAID_TOKENS)] * 2


class TestDraining:
    @pytest.fixture
    def gateway(self, gateway):
        gateway.policy = replace(POLICY, when_client_leaves=WhenClientLeaves.DRAIN)
        return gateway

    async def test_reads_on_for_the_providers_own_figures(self, gateway):
        goes_on = asyncio.Event()
        async with answering(says(SAID), goes_on, says(" More."), FINISH, USAGE, DONE) as url:
            await leaves_amid(gateway, "ok", url=url)
            assert isinstance(gateway.lines()[-1], Opened)
            goes_on.set()
            row = await gateway.assert_settled()
        assert (row.outcome, row.status, row.finish_reason) == ("cancelled", 499, "stop")
        assert figures(row) == ("price", 7, 70)
        assert row.budget_usd == row.cost_usd == 77 * PER_TOKEN

    async def test_is_not_for_those_who_stay(self, gateway):
        stream, _ = await gateway.relay("chunks=4")
        assert (await gateway.assert_settled()).outcome == "ok"
        assert stream.bill is not None

    async def test_counts_all_that_was_written_where_no_usage_comes(self, gateway):
        goes_on = asyncio.Event()
        async with answering(
            says("The quick brown fox"), goes_on, says(" jumps over the lazy dog."), FINISH, DONE
        ) as url:
            await leaves_amid(gateway, "ok", url=url)
            goes_on.set()
            row = await gateway.assert_settled()
        assert (row.outcome, *figures(row)) == ("cancelled", "counted", ASKED_TOKENS, SAID_TOKENS)

    async def test_ends_with_a_provider_that_falls_silent(self, gateway):
        async with answering(says(SAID), asyncio.Event()) as url:
            await leaves_amid(gateway, "ok", url=url, timeouts=STOPS_SOON)
            row = await gateway.assert_settled()
        assert (row.outcome, *figures(row)) == ("cancelled", "counted", ASKED_TOKENS, SAID_TOKENS)

    async def test_ends_at_the_requests_deadline(self, gateway):
        gateway.policy = replace(gateway.policy, deadline_s=0.3)
        async with answering(says(SAID), asyncio.Event()) as url:
            await leaves_amid(gateway, "ok", url=url)
            assert (await gateway.assert_settled()).cost_source == "counted"

    async def test_ends_with_the_process_and_is_settled_by_what_was_written(self, gateway):
        async with answering(says(SAID), asyncio.Event()) as url:
            await leaves_amid(gateway, "ok", url=url)
            try:
                await afterwards.stop(within_s=5.0)
            finally:
                afterwards.resume()
            row = await gateway.assert_settled()
        assert (row.outcome, *figures(row)) == ("cancelled", "counted", ASKED_TOKENS, SAID_TOKENS)

    async def test_is_not_begun_when_we_cut_the_request_ourselves(self, gateway):
        stream = await gateway.ask("chunks=4;stall=mid", stream=True)
        async with aclosing(stream.frames()) as frames:
            await anext(frames)
        await come_round()
        assert await gateway.end() is Ending.CLIENT_LEFT


class TestAfterwards:
    async def test_what_is_cut_before_it_began_is_settled(self):
        settled = []
        afterwards.start(asyncio.sleep(60), then=lambda: settled.append("cut"), is_cut=True)
        try:
            await afterwards.stop(within_s=1.0)
            afterwards.start(asyncio.sleep(60), then=lambda: settled.append("late"))
        finally:
            afterwards.resume()
        assert settled == ["cut", "late"]

    async def test_what_takes_too_long_at_the_stop_is_settled(self):
        settled = []
        afterwards.start(asyncio.sleep(60), then=lambda: settled.append("slow"))
        try:
            await afterwards.stop(within_s=0.01)
        finally:
            afterwards.resume()
        assert settled == ["slow"]

    def test_without_a_loop_it_settles_at_once(self):
        settled = []
        afterwards.start(asyncio.sleep(60), then=lambda: settled.append("now"))
        assert settled == ["now"]


def test_all_that_the_model_reads_is_counted_but_media():
    image = "data:image/png;base64," + "A" * 100
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": image}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "a cat"},
    ]
    tools = [{"type": "function", "function": {"name": "look"}}]
    body = {"model": "auto", "messages": messages, "tools": tools, "response_format": {"type": "json_object"}}
    text = "\n".join(need.texts(bodies.chat_request(msgspec.json.encode(body))))
    assert all(part in text for part in ("Be brief.", "See", '"arguments":"{}"', "a cat", '[{"type"', "json_object"))
    assert "AAAA" not in text
