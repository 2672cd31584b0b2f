"""How long, and for how much, a call waits: each limit alone, with all others far away, over real connections."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from gateway.api import bodies
from providers import chat, door
from providers.types import FailureKind, ProviderError, Timeouts
from tests.unit.routing.test_plan import ACME, model
from tests.unit.routing.use_case import answering, event, says
from tests.upstream.log import Ending

pytestmark = pytest.mark.usefixtures("open_door")

FINISH = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
PATIENT = Timeouts(connect_s=60.0, headers_s=60.0, first_content_s=60.0, between_frames_s=60.0)
HEADERS_SOON = replace(PATIENT, connect_s=0.05, headers_s=0.1)
CONTENT_SOON = replace(PATIENT, first_content_s=0.1)


def asked(*, stream):
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    return bodies.chat_request(msgspec.json.encode(body))


async def ask(script, *, url, stream=True, timeouts=PATIENT):
    called = model(script, provider=replace(ACME, base_url=url, timeouts=timeouts))
    async with asyncio.timeout(20):
        return await (chat.stream if stream else chat.complete)(asked(stream=stream), model=called)


async def failed(script, **options):
    with pytest.raises(ProviderError) as caught:
        await ask(script, **options)
    return caught.value


async def test_a_stream_given_up_before_its_content_is_cut(vendor):
    """Whoever was cancelled may still hold its traceback, and so the response: only closing it frees the provider."""
    seen = len(vendor.requests())
    asking = asyncio.create_task(ask("stall=first", url=vendor.url))
    await asyncio.to_thread(vendor.requests, at_least=seen + 1)
    await asyncio.wait([asking], timeout=0.1)  # its headers come, no content
    asking.cancel()
    with pytest.raises(asyncio.CancelledError) as held:
        await asking
    assert (await asyncio.to_thread(vendor.end_of, vendor.requests()[-1])).how is Ending.CLIENT_LEFT
    assert held.value.__traceback__


class TestHeaders:
    @pytest.mark.parametrize("stream", [True, False])
    async def test_that_do_not_come_are_waited_for_within_their_own_limit(self, vendor, stream):
        error = await failed("stall=headers", url=vendor.url, stream=stream, timeouts=HEADERS_SOON)
        assert (error.kind, error.message) == (FailureKind.TIMEOUT, "sent no headers for 0.1 s")
        assert (await asyncio.to_thread(vendor.end_of, vendor.requests()[-1])).how is Ending.CLIENT_LEFT

    async def test_that_came_in_time_leave_the_rest_its_own(self):
        go_on = asyncio.Event()
        async with answering(go_on, says("Hi")) as url:
            asking = asyncio.create_task(ask("ok", url=url, timeouts=replace(HEADERS_SOON, headers_s=0.5)))
            done, _ = await asyncio.wait([asking], timeout=0.7)  # longer than headers may take
            assert not done
            go_on.set()
            (await asking).close()


class TestBeforeContent:
    ROLE = event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}], padding="x" * 60_000)

    async def test_no_more_is_held_than_the_limit(self, monkeypatch):
        monkeypatch.setattr(chat, "MAX_HELD_BYTES", door.MIB)
        async with answering(*[self.ROLE] * 20, says("Hi"), FINISH) as url:
            error = await failed("ok", url=url)
        assert (error.kind, error.message) == (FailureKind.BAD_ANSWER, "sent more than 1 MiB without content")

    async def test_as_much_as_the_limit_is_relayed(self, monkeypatch):
        monkeypatch.setattr(chat, "MAX_HELD_BYTES", len(self.ROLE) * 20)
        async with answering(*[self.ROLE] * 20, says("Hi"), FINISH) as url:
            with await ask("ok", url=url) as opened:
                assert b"".join([frames async for frames in opened]) == self.ROLE * 20 + says("Hi") + FINISH


class TestFirstContent:
    async def test_that_does_not_come_is_waited_for_within_its_own_limit(self, vendor):
        error = await failed("stall=first", url=vendor.url, timeouts=CONTENT_SOON)
        assert (error.kind, error.message) == (FailureKind.TIMEOUT, "sent no content for 0.1 s")
        assert (await asyncio.to_thread(vendor.end_of, vendor.requests()[-1])).how is Ending.CLIENT_LEFT

    async def test_is_not_waited_for_in_a_whole_answer(self):
        """Its headers may come long before its body."""
        body = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
        go_on = asyncio.Event()
        async with answering(go_on, body, content_type="application/json") as url:
            asking = asyncio.create_task(ask("ok", url=url, stream=False, timeouts=CONTENT_SOON))
            done, _ = await asyncio.wait([asking], timeout=0.3)
            assert not done
            go_on.set()
            assert (await asking).body == body
