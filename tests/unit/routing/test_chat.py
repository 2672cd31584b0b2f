"""The use case, with a real provider process on loopback: answered, failed, cancelled, cut; settled each time."""

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from analytics import ids
from analytics.spool import Reader, Spool
from analytics.types import Opened, UsageRow
from gateway.api import bodies, errors
from providers import door
from providers.dialects import openai_stream
from providers.types import Timeouts
from routing import attempts, chat
from routing.chat import CLIENT_LEFT, NobodyAnswered, NothingToTry, NotRecordable
from routing.types import UnknownPrice, Wishes
from tests.unit.analytics.spools import full_disk
from tests.unit.routing.test_plan import ACME, ANYONE, POLICY, candidate, model, snapshot
from tests.upstream import process
from tests.upstream.log import Ending

STOPS_SOON = Timeouts(connect_s=0.1, headers_s=0.05, first_content_s=0.05, between_frames_s=0.15)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory):
    with process.running(log=tmp_path_factory.mktemp("upstream") / "log.jsonl") as running:
        yield running


@pytest.fixture(autouse=True)
async def open_door():
    async with door.opened():
        yield


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(attempts, "BACKOFF_S", 0.001)


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path)
    yield spool
    spool.close()


class Gateway:
    """The use case with everything it needs. Models are named by their scripts and cost 0.001 USD a token."""

    def __init__(self, vendor, spool):
        self.vendor = vendor
        self.spool = spool
        self.policy = POLICY
        self.marker = str(ids.new())
        self._seen_before = len(vendor.requests())

    def ask(self, *scripts, stream=False, url=None, timeouts=None, wishes=None, usd="0.001", **fields):
        provider = replace(ACME, base_url=url or self.vendor.url, timeouts=timeouts or ACME.timeouts)
        config = snapshot(
            *(candidate(model(script, provider=provider, usd=usd), "L0") for script in scripts), policy=self.policy
        )
        messages = [{"role": "user", "content": "one two three"}]
        body = {"model": "auto", "messages": messages, "stream": stream, "marker": self.marker} | fields
        return (chat.stream if stream else chat.complete)(
            bodies.chat_request(msgspec.json.encode(body)),
            wishes=wishes or Wishes(layer="L0"),
            caller=ANYONE,
            snapshot=config,
            request_id=ids.new(),
            spool=self.spool,
        )

    async def relay(self, *scripts, **options):
        """A stream read to its end, and everything it relayed."""
        streaming = await self.ask(*scripts, stream=True, **options)
        return streaming, b"".join([frames async for frames in streaming.frames()])

    def seen(self):
        """What the provider saw of this test's requests."""
        return [request for request in self.vendor.requests() if self.marker in (request.body or "")]

    async def arrived(self):
        """Waits until the provider has seen one of them."""
        await asyncio.to_thread(self.vendor.requests, at_least=self._seen_before + 1)

    async def end(self):
        """How the first of them ended, at the provider."""
        return (await asyncio.to_thread(self.vendor.end_of, self.seen()[0])).how

    def lines(self):
        batch = Reader(self.spool.folder).next_batch()
        return batch.lines if batch else ()

    @property
    def row(self):
        (row,) = [line for line in self.lines() if isinstance(line, UsageRow)]
        return row

    @property
    def opened(self):
        return [line for line in self.lines() if isinstance(line, Opened)]


@pytest.fixture
def gateway(vendor, spool):
    return Gateway(vendor, spool)


@asynccontextmanager
async def answering(*writes, content_type="text/event-stream"):
    """A provider that answers each request with these writes, each once the event before it is set; its base URL."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        for data in writes:
            if isinstance(data, asyncio.Event):
                await data.wait()
            else:
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        finally:
            for gate in writes:
                if isinstance(gate, asyncio.Event):
                    gate.set()


def event(**chunk):
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def says(text):
    return event(choices=[{"index": 0, "delta": {"content": text}}])


class TestComplete:
    async def test_an_answer_is_relayed_byte_for_byte_and_settled_at_its_price(self, gateway):
        completed = await gateway.ask("content=a%20b%20c%20d")
        answer = msgspec.json.decode(completed.answer.body)
        assert answer["choices"][0]["message"]["content"] == "a b c d"
        assert completed.bill.usd == Decimal("0.007")
        row = gateway.row
        assert (row.outcome, row.status, row.finish_reason, row.attempts) == ("ok", 200, "stop", 1)
        assert (row.input_tokens, row.cached_input_tokens, row.output_tokens) == (3, 0, 4)
        assert (row.cost_usd, row.cost_source, row.computed_cost_usd) == (Decimal("0.007"), "price", Decimal("0.007"))
        assert (row.model, row.layer, row.is_stream) == ("content=a%20b%20c%20d", "L0", False)

    async def test_what_the_provider_sees_is_the_body_and_no_header_of_the_client(self, gateway):
        await gateway.ask("ok", temperature=0)
        (seen,) = gateway.seen()
        assert (seen.json["model"], seen.json["temperature"]) == ("ok", 0)
        assert set(seen.headers) == {"host", "content-type", "content-length", "accept-encoding", "user-agent"}

    async def test_the_opened_line_precedes_the_settled_one(self, gateway):
        completed = await gateway.ask("ok")
        assert [type(line) for line in gateway.lines()] == [Opened, UsageRow]
        assert gateway.opened[0].id == gateway.row.id == completed.decision.request_id

    async def test_without_usage_the_cost_is_an_estimate_and_says_so(self, gateway):
        await gateway.ask("no_usage")
        assert gateway.row.cost_source == "estimate"
        assert gateway.row.cost_usd > 0

    async def test_a_model_that_fails_is_followed_by_the_next(self, gateway):
        completed = await gateway.ask("status=503", "ok")
        assert (completed.candidate.model.name, completed.attempts) == ("ok", 3)
        row = gateway.row
        assert (row.outcome, row.model, row.attempts, row.fell_back) == ("ok", "ok", 3, True)
        assert [step["outcome"] for step in msgspec.json.decode(row.trail)] == ["server_error", "server_error", "ok"]
        assert [line.model for line in gateway.opened] == ["status=503", "status=503", "ok"]

    @pytest.mark.parametrize(
        ("script", "kind"),
        [
            ("status=500", "server_error"),
            ("status=429", "rate_limited"),
            ("status=401", "credentials"),
            ("status=404", "not_found"),
            ("html", "bad_answer"),
            ("status=502;html", "server_error"),
            ("bad_json", "bad_answer"),
            ("empty", "bad_answer"),
            ("error_first", "bad_answer"),
            ("status=429;error_first", "rate_limited"),
            ("cut=headers", "unreachable"),
            ("cut=mid", "unreachable"),
        ],
    )
    async def test_each_way_to_fail_leads_to_the_next_model(self, gateway, script, kind):
        completed = await gateway.ask(script, "ok")
        assert completed.candidate.model.name == "ok"
        assert msgspec.json.decode(gateway.row.trail)[0]["outcome"] == kind

    @pytest.mark.parametrize("script", ["stall=headers", "stall=mid"])
    async def test_a_model_that_stalls_is_left(self, gateway, script):
        completed = await gateway.ask(script, "ok", timeouts=STOPS_SOON)
        assert completed.candidate.model.name == "ok"
        assert await gateway.end() is Ending.CLIENT_LEFT

    async def test_a_second_choice_of_null_is_a_bad_answer_and_no_crash(self, gateway):
        body = b'{"choices":[{"message":{"content":""}},null]}'
        async with answering(body, content_type="application/json") as url:
            with pytest.raises(NobodyAnswered):
                await gateway.ask("ok", url=url)
        assert (gateway.row.outcome, gateway.row.error_kind) == ("error", "bad_answer")

    @pytest.mark.parametrize("cost", [b"1e30", b"1e300"])
    async def test_a_reported_cost_beyond_all_sense_does_not_lose_the_row(self, gateway, cost):
        body = b'{"choices":[{"message":{"content":"Hi"}}],"usage":{"completion_tokens":1,"cost":' + cost + b"}}"
        async with answering(body, content_type="application/json") as url:
            completed = await gateway.ask("ok", url=url)
        assert completed.answer.body == body
        assert gateway.row.outcome == "ok"


class TestNobodyAnswered:
    async def test_it_settles_as_an_error_with_the_trail(self, gateway):
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask("status=401", "status=503")
        assert [step.outcome for step in caught.value.trail] == ["credentials", "server_error", "server_error"]
        row = gateway.row
        assert (row.outcome, row.error_kind, row.attempts, row.model) == ("error", "server_error", 3, "status=503")
        assert [step["status"] for step in msgspec.json.decode(row.trail)] == [401, 503, 503]
        assert (row.cost_usd, row.cost_source) == (0, "none")

    @pytest.mark.parametrize("script", ["status=400", "status=422", "status=429", "status=401", "status=503", "empty"])
    async def test_the_rows_status_is_the_one_the_client_gets(self, gateway, script):
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask(script)
        assert gateway.row.status == errors.handle(caught.value, {}).status_code

    async def test_a_provider_that_is_not_there_is_unreachable(self, gateway):
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask("ok", url="http://127.0.0.1:1/v1")
        assert caught.value.error.kind == "unreachable"

    async def test_the_callers_deadline_ends_it(self, gateway):
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask("stall=headers", "ok", wishes=Wishes(layer="L0", timeout_s=0.1))
        assert caught.value.is_deadline
        assert (gateway.row.status, gateway.row.error_kind) == (504, "timeout")

    async def test_a_caller_cannot_lengthen_the_policys_deadline(self, gateway):
        gateway.policy = replace(POLICY, deadline_s=0.1)
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask("stall=headers", wishes=Wishes(layer="L0", timeout_s=60))
        assert caught.value.is_deadline


class TestNotCalled:
    async def test_when_the_spool_cannot_be_written_the_provider_sees_nothing(self, gateway):
        with full_disk(), pytest.raises(NotRecordable):
            await gateway.ask("ok")
        assert gateway.seen() == []
        (row,) = gateway.spool.take_unwritten()
        assert (row.outcome, row.status, row.attempts, row.cost_usd) == ("error", 503, 0, 0)

    async def test_a_stream_neither(self, gateway):
        with full_disk(), pytest.raises(NotRecordable):
            await gateway.ask("ok", stream=True)
        assert gateway.seen() == []

    async def test_with_nothing_to_try_the_refusal_is_recorded(self, gateway):
        with pytest.raises(NothingToTry):
            await gateway.ask("ok", usd=None)
        row = gateway.row
        assert (row.outcome, row.error_kind, row.attempts, row.cost_source) == ("error", "nothing_to_try", 0, "none")
        assert msgspec.json.decode(row.decision)["dropped"][0][2] == "price unknown"
        assert (gateway.opened, gateway.seen()) == ([], [])

    async def test_that_rows_status_is_the_one_the_client_gets_too(self, gateway):
        with pytest.raises(NothingToTry) as caught:
            await gateway.ask("ok", wishes=Wishes(layer="L0", max_cost_usd=Decimal("1e-9")))
        assert gateway.row.status == errors.handle(caught.value, {}).status_code == 402

    async def test_unknown_prices_may_be_allowed_and_are_then_an_estimate(self, gateway):
        gateway.policy = replace(POLICY, unknown_price=UnknownPrice.ESTIMATE)
        await gateway.ask("content=a%20b", usd=None)
        row = gateway.row
        assert (row.cost_source, row.input_tokens, row.output_tokens) == ("estimate", 3, 2)


class TestCancelled:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_call_given_up_midway_is_settled_and_cut(self, gateway, stream):
        task = asyncio.create_task(gateway.ask("stall=headers", "ok", stream=stream))
        await gateway.arrived()
        task.cancel(CLIENT_LEFT)
        with pytest.raises(asyncio.CancelledError):
            await task
        row = gateway.row
        assert (row.outcome, row.status, row.attempts) == ("cancelled", 499, 1)
        assert (row.cost_source, row.cost_usd > 0) == ("estimate", True)
        assert await gateway.end() is Ending.CLIENT_LEFT


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
        row = gateway.row
        assert (row.outcome, row.status, row.cost_source) == ("cancelled", 499, "estimate")
        assert row.output_tokens >= 1
        assert await gateway.end() is Ending.CLIENT_LEFT

    async def test_closing_it_before_the_first_frame_settles_too(self, gateway):
        streaming = await gateway.ask("chunks=4;stall=mid", stream=True)
        streaming.close()
        assert gateway.row.outcome == "cancelled"

    async def test_closing_it_again_changes_nothing(self, gateway):
        streaming, _ = await gateway.relay("chunks=2")
        streaming.close()
        streaming.close()
        assert gateway.row.outcome == "ok"

    async def test_a_reader_that_is_cancelled_settles(self, gateway):
        task = asyncio.create_task(gateway.relay("chunks=4;stall=mid"))
        await gateway.arrived()
        task.cancel(CLIENT_LEFT)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gateway.row.outcome == "cancelled"

    async def test_one_that_we_cut_ourselves_was_not_cancelled_by_its_client(self, gateway):
        task = asyncio.create_task(gateway.relay("chunks=4;stall=mid"))
        await gateway.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
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
        streaming, _ = await gateway.relay("chunks=4;stall=mid", timeouts=replace(STOPS_SOON, headers_s=5.0))
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

    async def test_without_usage_the_relayed_text_is_estimated(self, gateway):
        await gateway.relay("content=" + "x" * 40 + ";no_usage")
        assert (gateway.row.cost_source, gateway.row.output_tokens) == ("estimate", 10)

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
        monkeypatch.setattr(openai_stream, "MAX_FRAME_BYTES", 2000)
        gateway.policy = replace(POLICY, max_attempts=3)
        async with answering(b"data: " + b"x" * 5000) as url:
            with pytest.raises(NobodyAnswered) as caught:
                await gateway.ask("a", "b", stream=True, url=url)
        assert {step.model for step in caught.value.trail} == {"a", "b"}
