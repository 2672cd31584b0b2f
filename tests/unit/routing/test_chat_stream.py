"""A streamed answer, with a real provider process on loopback: relayed, broken, cancelled; settled each time."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from analytics.types import Opened
from providers.dialects import openai_stream, sse
from routing.chat import NobodyAnswered
from routing.streaming import leave, malformed_events
from tests.unit.routing.test_plan import POLICY
from tests.unit.routing.use_case import STOPS_SOON, answering, come_round, event, says
from tests.upstream.log import Ending


class TestStream:
    async def test_one_that_ends_is_settled_at_its_price(self, gateway):
        streaming, relayed = await gateway.relay("chunks=5")
        assert openai_stream.text_of(relayed) == "w0 w1 w2 w3 w4"
        assert b"[DONE]" not in relayed
        assert b'"usage":{' not in relayed
        assert (streaming.error, streaming.bill.usd) == (None, Decimal("0.008"))
        row = gateway.row
        assert (row.outcome, row.status, row.is_stream, row.finish_reason) == ("ok", 200, True, "stop")
        assert (row.input_tokens, row.output_tokens, row.cost_source) == (3, 5, "price")
        assert row.first_token_ms <= row.duration_ms

    async def test_usage_that_was_asked_for_is_relayed(self, gateway):
        _, relayed = await gateway.relay("chunks=2", stream_options={"include_usage": True})
        assert b'"completion_tokens":2' in relayed

    async def test_nothing_is_settled_before_the_end(self, gateway):
        streaming = await gateway.ask("chunks=3", stream=True)
        assert [type(line) for line in gateway.lines()] == [Opened]
        streaming.close()

    async def test_closing_it_settles_what_was_used_and_cuts_the_provider(self, gateway):
        streaming = await gateway.ask("chunks=4;stall=mid", stream=True)
        async with aclosing(streaming.frames()) as frames:
            await anext(frames)
        await come_round()
        row = gateway.row
        assert (row.outcome, row.status, row.cost_source) == ("cancelled", 499, "counted")
        assert row.output_tokens >= 1
        assert await gateway.end() is Ending.CLIENT_LEFT

    async def test_closing_it_before_the_first_frame_settles_too(self, gateway):
        streaming = await gateway.ask("chunks=4;stall=mid", stream=True)
        streaming.close()
        await come_round()
        assert gateway.row.outcome == "cancelled"

    async def test_closing_it_again_changes_nothing(self, gateway):
        streaming, _ = await gateway.relay("chunks=2")
        streaming.close()
        streaming.close()
        assert gateway.row.outcome == "ok"

    async def test_a_reader_that_is_cancelled_settles(self, gateway):
        task = asyncio.create_task(gateway.relay("chunks=4;stall=mid"))
        await gateway.arrived()
        leave(task)
        with pytest.raises(asyncio.CancelledError):
            await task
        await come_round()
        assert gateway.row.outcome == "cancelled"

    async def test_one_that_we_cut_ourselves_was_not_cancelled_by_its_client(self, gateway):
        task = asyncio.create_task(gateway.relay("chunks=4;stall=mid"))
        await gateway.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await come_round()
        assert (gateway.row.outcome, gateway.row.status) == ("interrupted", 503)

    @pytest.mark.parametrize(
        ("script", "kind"),
        [("chunks=4;cut=mid", {"unreachable", "broken_stream"}), ("chunks=4;no_finish", {"broken_stream"})],
    )
    async def test_one_that_breaks_is_settled_as_an_error(self, gateway, script, kind):
        streaming, relayed = await gateway.relay(script, "ok")
        assert openai_stream.text_of(relayed).startswith("w0 w1")
        assert streaming.error.kind in kind
        row = gateway.row
        assert (row.outcome, row.model, row.attempts) == ("error", script, 1)
        assert row.error_kind in kind
        assert row.output_tokens >= 1

    async def test_one_that_falls_silent_is_broken_off(self, gateway):
        streaming, _ = await gateway.relay(
            "chunks=4;stall=mid", timeouts=replace(STOPS_SOON, headers_s=5.0, first_content_s=5.0)
        )
        assert streaming.error.kind == "timeout"
        assert (gateway.row.outcome, gateway.row.error_kind) == ("error", "timeout")

    async def test_a_finish_without_done_is_no_error(self, gateway):
        streaming, _ = await gateway.relay("chunks=2;no_done")
        assert (streaming.error, gateway.row.outcome) == (None, "ok")

    @pytest.mark.parametrize(
        "script", ["status=503", "error_first", "cut=first", "empty", "html", "stall=first", "status=429;error_first"]
    )
    async def test_what_breaks_before_content_is_invisible(self, gateway, script):
        streaming, relayed = await gateway.relay(script, "chunks=2", timeouts=replace(STOPS_SOON, between_frames_s=5.0))
        assert (streaming.candidate.model.name, openai_stream.text_of(relayed)) == ("chunks=2", "w0 w1")
        row = gateway.row
        assert (row.outcome, row.model, row.output_tokens, row.fell_back) == ("ok", "chunks=2", 2, True)

    async def test_a_malformed_line_is_skipped(self, gateway):
        streaming, relayed = await gateway.relay("chunks=2;bad_json")
        assert (streaming.error, openai_stream.text_of(relayed)) == (None, "w0 w1")

    @pytest.mark.parametrize("script", ["chunks=4;bad_json", "chunks=4;bad_line"])
    async def test_and_counted_in_the_trail_and_for_the_process(self, gateway, script):
        before = malformed_events.count
        await gateway.relay(script)
        [step] = msgspec.json.decode(gateway.row.trail)
        assert (step["outcome"], step["malformed"], malformed_events.count) == ("ok", 1, before + 1)

    async def test_one_without_is_no_word_in_the_trail(self, gateway):
        await gateway.relay("chunks=4")
        assert b"malformed" not in bytes(gateway.row.trail)

    async def test_a_stream_of_such_lines_alone_says_so(self, gateway):
        async with answering(b'data: {"a\n\ndata: {"b\n\n') as url:
            with pytest.raises(NobodyAnswered, match="2 of its events could not be read"):
                await gateway.ask("ok", stream=True, url=url)

    async def test_the_trail_says_what_became_of_it_after_its_content(self, gateway):
        await gateway.relay("chunks=4;no_finish", "ok")
        [step] = msgspec.json.decode(gateway.row.trail)
        assert (step["outcome"], step["status"]) == ("broken_stream", 200)
        assert step["message"] == "its stream ended without a finish reason"

    @pytest.mark.parametrize(("ending", "model"), [({}, "b"), ({"finish_reason": "stop"}, "a")])
    async def test_one_without_content_is_an_answer_only_if_it_ends_as_one(self, gateway, ending, model):
        """Tokens were paid for, perhaps for thoughts that nobody sees."""
        usage = {"prompt_tokens": 3, "completion_tokens": 5}
        last = event(choices=[{"index": 0, "delta": {}} | ending], usage=usage)
        async with answering(last) as url:
            first = gateway.candidate("a", url=url)
            streaming, _ = await gateway.relay(first, "b")
        assert (streaming.candidate.model.name, streaming.error) == (model, None)

    async def test_without_usage_the_relayed_text_is_counted(self, gateway):
        await gateway.relay("content=" + "x" * 40 + ";no_usage")
        assert (gateway.row.cost_source, gateway.row.output_tokens) == ("counted", 5)

    async def test_content_that_arrives_together_with_an_error_is_relayed_first(self, gateway):
        broken = says("second") + event(error={"message": "overloaded", "code": 503})
        has_begun = asyncio.Event()
        async with answering(says("first "), has_begun, broken) as url:
            streaming = await gateway.ask("ok", stream=True, url=url)
            has_begun.set()
            relayed = b"".join([frames async for frames in streaming.frames()])
        assert streaming.error.kind == "server_error"
        assert openai_stream.text_of(relayed) == "first second"

    async def test_that_error_is_told_at_once_though_the_provider_holds_the_connection(self, gateway):
        broken = says("second") + event(error={"message": "overloaded", "code": 503})
        has_begun, never = asyncio.Event(), asyncio.Event()
        async with answering(says("first "), has_begun, broken, never) as url:
            streaming = await gateway.ask("ok", stream=True, url=url)
            has_begun.set()
            async with asyncio.timeout(2):
                [frames async for frames in streaming.frames()]
        assert streaming.error.kind == "server_error"

    async def test_an_error_right_behind_the_role_is_seen_at_once_too(self, gateway):
        role = event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}])
        never = asyncio.Event()
        async with answering(role + event(error={"message": "no", "code": 400}), never) as url:
            with pytest.raises(NobodyAnswered) as caught:
                async with asyncio.timeout(2):
                    await gateway.ask("ok", stream=True, url=url)
        assert caught.value.error.kind == "rejected"

    async def test_an_absurd_frame_before_content_leads_to_the_next_model(self, gateway, monkeypatch):
        monkeypatch.setattr(sse, "MAX_FRAME_BYTES", 2000)
        gateway.policy = replace(POLICY, max_attempts=3)
        async with answering(b"data: " + b"x" * 5000) as url:
            with pytest.raises(NobodyAnswered) as caught:
                await gateway.ask("a", "b", stream=True, url=url)
        assert {step.model for step in caught.value.trail} == {"a", "b"}
