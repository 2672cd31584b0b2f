"""The use case, with a real provider process on loopback: answered, failed, cancelled; settled each time.

Streams have a file of their own.
"""

import asyncio
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from analytics.types import Opened, UsageRow
from gateway.api import errors
from routing.chat import NobodyAnswered, NothingToTry, NotRecordable
from routing.streaming import leave
from routing.types import UnknownPrice, Wishes
from tests.unit.analytics.spools import full_disk
from tests.unit.routing.test_plan import POLICY
from tests.unit.routing.use_case import STOPS_SOON, answering
from tests.upstream.log import Ending


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

    async def test_without_usage_the_cost_is_counted_and_says_so(self, gateway):
        completed = await gateway.ask("no_usage")
        row = gateway.row
        assert (row.cost_source, row.cost_usd) == ("counted", completed.bill.usd)
        # "one two three" with what stands around a message and before the answer; "You said: one two three".
        assert (row.input_tokens, row.output_tokens) == (3 + 3 + 3, 6)

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

    async def test_the_layers_deadline_holds_where_it_has_one(self, gateway):
        gateway.bounds = {"L0": {"deadline_s": 0.1}}
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask("stall=headers", "ok", wishes=Wishes(layer="L0", timeout_s=60))
        assert (caught.value.is_deadline, gateway.row.status) == (True, 504)

    async def test_a_longer_one_of_the_layer_holds_before_the_policys(self, gateway):
        gateway.policy, gateway.bounds = replace(POLICY, deadline_s=0.001), {"L0": {"deadline_s": 30.0}}
        assert (await gateway.ask("ok")).attempts == 1

    async def test_no_more_attempts_than_the_layer_allows(self, gateway):
        gateway.bounds = {"L0": {"max_attempts": 2}}
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask("status=401", "status=404", "ok", wishes=Wishes(layer="L0", max_attempts=5))
        assert (len(caught.value.trail), gateway.row.attempts) == (2, 2)

    async def test_nor_than_the_caller_asks_for(self, gateway):
        with pytest.raises(NobodyAnswered):
            await gateway.ask("status=401", "ok", wishes=Wishes(layer="L0", max_attempts=1))
        assert gateway.row.attempts == 1

    async def test_a_model_that_asks_to_wait_is_waited_for_when_no_other_is_left(self, gateway):
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask("status=429;retry_after=0", "status=404")
        assert [step.outcome for step in caught.value.trail] == ["rate_limited", "not_found", "rate_limited"]

    async def test_the_client_hears_the_shortest_wait(self, gateway):
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask("status=429;retry_after=900", "status=429;retry_after=700")
        answer = errors.handle(caught.value, {})
        assert (answer.status_code, answer["Retry-After"], answer["X-Gateway-Attempts"]) == (429, "700", "2")


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
        leave(task)
        with pytest.raises(asyncio.CancelledError):
            await task
        row = gateway.row
        assert (row.outcome, row.status, row.attempts) == ("cancelled", 499, 1)
        assert (row.cost_source, row.cost_usd > 0) == ("estimate", True)
        assert await gateway.end() is Ending.CLIENT_LEFT
