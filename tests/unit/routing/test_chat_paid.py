"""What a provider told of its usage before it failed is paid for, whoever answers in the end."""

import asyncio
from decimal import Decimal

import msgspec
import pytest

from routing.chat import NobodyAnswered
from tests.unit.routing.use_case import STOPS_SOON, answering, event

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "cost": 1.0}
ROLE = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}], "usage": USAGE}
BROKEN = event(error={"message": "no", "code": 500})


async def refused(gateway, *writes, stream, **options):
    kind = "text/event-stream" if stream else "application/json"
    async with answering(*writes, content_type=kind) as url:
        with pytest.raises(NobodyAnswered):
            await gateway.ask("ok", stream=stream, url=url, **options)
    return gateway.row


class TestAStreamThatFailsBeforeContent:
    async def test_costs_what_it_told_once_for_each_attempt(self, gateway):
        row = await refused(gateway, event(**ROLE), BROKEN, stream=True)
        assert (row.attempts, row.cost_usd, row.cost_source) == (2, Decimal(2), "provider")
        assert (row.input_tokens, row.output_tokens) == (6, 4)

    async def test_costs_it_when_it_falls_silent_too(self, gateway):
        row = await refused(gateway, event(**ROLE), asyncio.Event(), stream=True, timeouts=STOPS_SOON)
        assert (row.error_kind, row.cost_usd, row.cost_source) == ("timeout", Decimal(2), "provider")

    async def test_costs_nothing_where_it_told_nothing(self, gateway):
        row = await refused(gateway, BROKEN, stream=True)
        assert (row.cost_usd, row.cost_source) == (0, "none")


class TestAWholeAnswerThatIsNone:
    @pytest.mark.parametrize(
        "answer",
        [
            {"choices": [], "usage": USAGE},
            {"error": {"message": "no", "code": 500}, "usage": USAGE},
            {"choices": [{"message": {"content": ""}}], "usage": USAGE | {"completion_tokens": 0}},
        ],
        ids=["no choices", "an error", "empty"],
    )
    async def test_costs_what_it_told(self, gateway, answer):
        row = await refused(gateway, event(**answer)[6:], stream=False)
        assert (row.attempts, row.cost_usd, row.cost_source) == (2, Decimal(2), "provider")


class TestAWholeAnswerToAStream:
    CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    MESSAGE = {"role": "assistant", "content": "Hi", "tool_calls": [CALL]}
    BODY = {"id": "a", "object": "chat.completion", "model": "m", "usage": USAGE} | {
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]
    }

    async def relayed(self, gateway, body=BODY, **fields):
        async with answering(msgspec.json.encode(body), content_type="application/json") as url:
            streaming, frames = await gateway.relay("ok", url=url, **fields)
        assert streaming.error is None
        return [msgspec.json.decode(one.removeprefix(b"data: ")) for one in frames.split(b"\n\n") if one]

    async def test_is_relayed_as_one_and_bought_once(self, gateway):
        (chunk,) = await self.relayed(gateway)
        assert chunk == {"id": "a", "object": "chat.completion.chunk", "model": "m"} | {
            "choices": [
                {
                    "index": 0,
                    "delta": self.MESSAGE | {"tool_calls": [{"index": 0} | self.CALL]},
                    "finish_reason": "stop",
                }
            ]
        }
        row = gateway.row
        assert (row.outcome, row.attempts, row.cost_usd, row.finish_reason) == ("ok", 1, Decimal(1), "stop")

    async def test_tells_its_usage_to_a_client_that_asked_for_it(self, gateway):
        _, told = await self.relayed(gateway, stream_options={"include_usage": True})
        assert (told["choices"], told["usage"]) == ([], USAGE)
