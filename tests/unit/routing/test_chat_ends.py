"""How a chat ends when something goes wrong late, or two things at once: what the client gets and what is recorded."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from providers import chat as provider_chat
from providers.dialects import openai_stream
from routing.attempts import Clock
from routing.chat import NobodyAnswered
from routing.streaming import leave
from tests.unit.routing.test_plan import POLICY
from tests.unit.routing.use_case import STOPS_SOON, answering, come_round, event, says
from tests.upstream.log import Ending

FINISH = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
SECRET = "sk-never-to-be-told"


class TestAfterTheFinishReason:
    async def test_a_connection_that_falls_silent_has_answered(self, gateway):
        async with answering(says("all"), FINISH, asyncio.Event()) as url:
            streaming, relayed = await gateway.relay("ok", url=url, timeouts=STOPS_SOON)
        assert (streaming.error, openai_stream.text_of(relayed)) == (None, "all")
        assert (gateway.row.outcome, gateway.row.finish_reason) == ("ok", "stop")

    async def test_so_has_one_whose_deadline_passes(self, gateway):
        async with answering(says("all"), FINISH, asyncio.Event()) as url:
            gateway.policy = replace(POLICY, deadline_s=0.2)
            streaming, _ = await gateway.relay("ok", url=url)
        assert (streaming.error, gateway.row.outcome) == (None, "ok")

    async def test_an_error_object_is_still_one(self, gateway):
        async with answering(says("all"), FINISH, event(error={"message": "no", "code": 500})) as url:
            streaming, _ = await gateway.relay("ok", url=url)
        assert (streaming.error.kind, gateway.row.outcome) == ("server_error", "error")

    async def test_a_reader_that_leaves_before_the_end_was_not_answered(self, gateway):
        async with answering(says("all"), FINISH, asyncio.Event()) as url:
            streaming = await gateway.ask("ok", stream=True, url=url)
            async with aclosing(streaming.frames()) as frames:
                text = await anext(frames)
                while b"finish_reason" not in text:
                    text += await anext(frames)
        await come_round()
        assert (gateway.row.outcome, gateway.row.status) == ("cancelled", 499)


class TestASilence:
    @pytest.mark.parametrize(
        ("deadline_s", "told"), [(30.0, "nothing came for 0.15 s"), (0.1, "the request's deadline passed")]
    )
    async def test_is_told_for_what_it_was(self, gateway, deadline_s, told):
        gateway.policy = replace(POLICY, deadline_s=deadline_s)
        streaming, _ = await gateway.relay("chunks=4;stall=mid", timeouts=STOPS_SOON)
        assert streaming.error.message == told


class TestAReaderTooSlowForItsDeadline:
    async def test_gets_no_more_of_what_is_here_already(self, gateway):
        """Nothing has to be waited for then, so that no deadline of a wait would end it."""
        streaming = await gateway.ask("chunks=20000", stream=True)
        relayed = []
        async for frames in streaming.frames():
            relayed.append(frames)
            streaming._entry.clock = Clock(deadline_s=0.0)
        assert len(relayed) == 1
        assert streaming.error.message == "the request's deadline passed"
        assert (gateway.row.outcome, gateway.row.error_kind) == ("error", "timeout")
        assert await gateway.end() is Ending.CLIENT_LEFT


class TestTheGatewaysOwnFailure:
    async def test_in_a_stream_is_an_error_with_what_was_used(self, gateway, monkeypatch, caplog):
        streaming = await gateway.ask("chunks=4;delay_ms=20", stream=True)
        monkeypatch.setattr(openai_stream.EventReader, "feed", lambda *_: 1 / 0)
        [frames async for frames in streaming.frames()]
        row = gateway.row
        assert (row.outcome, row.error_kind, row.output_tokens) == ("error", "broken_stream", 2)
        assert streaming.error.message == "the gateway failed (ZeroDivisionError)"
        assert "A stream broke in the gateway itself" in caplog.text

    async def test_before_an_answer_is_recorded(self, gateway, monkeypatch):
        monkeypatch.setattr(provider_chat, "_send", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await gateway.ask("ok")
        assert (gateway.row.outcome, gateway.row.status, gateway.row.error_kind) == ("error", 500, "internal")


class TestTwoAtOnce:
    async def test_a_client_that_leaves_as_its_deadline_passes_has_left(self, gateway):
        task = asyncio.create_task(gateway.ask("stall=headers"))
        await gateway.arrived()
        task.cancel()  # as a deadline does
        leave(task)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (gateway.row.outcome, gateway.row.status) == ("cancelled", 499)


class TestACredentialThatTheVendorRepeats:
    ERROR = {"message": f"Incorrect API key provided: {SECRET}", "code": 401, "hint": [SECRET]}

    @pytest.mark.parametrize("stream", [False, True])
    async def test_is_not_told_of_an_error_in_a_200(self, gateway, stream):
        async with answering(event(error=self.ERROR) if stream else event(error=self.ERROR)[6:]) as url:
            with pytest.raises(NobodyAnswered) as caught:
                await gateway.ask("ok", stream=stream, url=url, credential=SECRET)
        self.assert_untold(gateway, caught.value)

    async def test_nor_of_one_behind_content(self, gateway):
        async with answering(says("some"), event(error=self.ERROR)) as url:
            streaming, _ = await gateway.relay("ok", url=url, credential=SECRET)
        self.assert_untold(gateway, streaming)

    def assert_untold(self, gateway, failed):
        assert SECRET not in str(failed) + failed.error.message + repr(failed.error.body) + repr(failed.error.args)
        assert SECRET not in gateway.row.error_message + bytes(gateway.row.trail).decode()
        assert "Incorrect API key provided: ..." in failed.error.message
