"""The short way as an ASGI server sees it: wherever its client leaves, the request is settled and its provider cut."""

import asyncio
import time
from dataclasses import replace

import msgspec
import pytest

from analytics import keys
from analytics.spool import Reader
from analytics.types import UsageRow
from gateway import short_way as short_way_module
from gateway.short_way import ShortWay
from gateway.urls import short_way_views
from routing import afterwards, runtime, snapshot
from tests.unit.routing import test_plan as plans
from tests.unit.routing.use_case import parts_of
from tests.upstream.log import Ending

CHAT = "/v1/chat/completions"
SECRET = "agw_tests-only"


@pytest.fixture
def short_way(vendor, open_door, spool, monkeypatch):
    """Over a configuration of one model, which answers the beginning of a stream and then holds the connection."""
    provider = replace(plans.ACME, base_url=vendor.url)
    config = plans.snapshot(plans.candidate(plans.model("chunks=4;stall=mid", provider=provider), "L0"))
    config = replace(config, loaded_at=time.monotonic(), callers={keys.digest(SECRET): plans.ANYONE})
    monkeypatch.setattr(snapshot, "_current", config)
    monkeypatch.setattr(runtime, "_current", parts_of(spool))
    return ShortWay(short_way_views)


class Client:
    """A client that asks for a stream and reads it until it is sent a message of the type `until`; then it leaves.

    As a server's flow control does, that message is never taken; or, with `error`, is refused with it.
    """

    def __init__(self, *, until, error=None, headers=()):
        self._until = until
        self._error = error
        self._headers = headers
        self._has_asked = False
        self._has_left = asyncio.Event()

    async def talk_to(self, short_way):
        headers = [(b"authorization", f"Bearer {SECRET}".encode()), *self._headers]
        scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b"", "headers": headers}
        await short_way.handle(scope, self._receive, self._send)

    async def _receive(self):
        if not self._has_asked:
            self._has_asked = True
            messages = [{"role": "user", "content": "one two three"}]
            body = {"model": "chunks=4;stall=mid", "messages": messages, "stream": True}
            return {"type": "http.request", "body": msgspec.json.encode(body), "more_body": False}
        await self._has_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        if message["type"] == self._until:
            self._has_left.set()
            if self._error:
                raise self._error
            await asyncio.Event().wait()


async def settled(spool):
    """The one row of the one request, once it is there."""
    await afterwards.over()
    (row,) = [line for line in Reader(spool.folder).next_batch().lines if isinstance(line, UsageRow)]
    return row


async def end_of_only_request(vendor, *, seen_before):
    (request,) = vendor.requests()[seen_before:]
    return (await asyncio.to_thread(vendor.end_of, request)).how


class TestAClientThatLeaves:
    """Settled at once: nothing here gives the event loop time to clean up by itself."""

    @pytest.mark.parametrize("message", ["http.response.start", "http.response.body"], ids=["headers", "frames"])
    async def test_while_it_is_sent_a_message(self, short_way, vendor, spool, message):
        seen_before = len(vendor.requests())
        await Client(until=message).talk_to(short_way)
        row = await settled(spool)
        assert (row.outcome, row.status, row.attempts) == ("cancelled", 499, 1)
        assert await end_of_only_request(vendor, seen_before=seen_before) is Ending.CLIENT_LEFT

    @pytest.mark.parametrize("message", ["http.response.start", "http.response.body"], ids=["headers", "frames"])
    async def test_and_whose_server_refuses_to_send_it_more(self, short_way, vendor, spool, message):
        seen_before = len(vendor.requests())
        with pytest.raises(BrokenPipeError):
            await Client(until=message, error=BrokenPipeError()).talk_to(short_way)
        row = await settled(spool)
        assert (row.outcome, row.status, row.attempts) == ("cancelled", 499, 1)
        assert await end_of_only_request(vendor, seen_before=seen_before) is Ending.CLIENT_LEFT

    async def test_leaves_a_task_in_which_deadlines_hold(self, short_way):
        """Whatever wraps the application: a cancellation that was dealt with does not count any more."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as deadline:
                await Client(until="http.response.start").talk_to(short_way)
                deadline.reschedule(0)
                await asyncio.Event().wait()


class UnreadClient(Client):
    """Which stays, and takes no message of the type `until`; its request's deadline is soon."""

    def __init__(self, *, until):
        super().__init__(until=until, headers=[(b"x-gateway-timeout-ms", b"200")])

    async def _send(self, message):
        if message["type"] == self._until:
            await asyncio.Event().wait()


class TestAClientThatDoesNotRead:
    @pytest.mark.parametrize("message", ["http.response.start", "http.response.body"], ids=["headers", "frames"])
    async def test_is_cut_with_its_provider_when_the_deadline_has_passed(
        self, short_way, vendor, spool, monkeypatch, message
    ):
        monkeypatch.setattr(short_way_module, "SAY_LATE_S", 0.05)
        seen_before = len(vendor.requests())
        async with asyncio.timeout(5):
            await UnreadClient(until=message).talk_to(short_way)
        row = await settled(spool)
        assert (row.outcome, row.status, row.error_kind) == ("cancelled", 499, "deadline")
        assert row.duration_ms >= 200
        assert await end_of_only_request(vendor, seen_before=seen_before) is Ending.CLIENT_LEFT

    async def test_leaves_a_task_in_which_deadlines_hold(self, short_way, monkeypatch):
        monkeypatch.setattr(short_way_module, "SAY_LATE_S", 0.05)
        await UnreadClient(until="http.response.body").talk_to(short_way)
        assert asyncio.current_task().cancelling() == 0


class TestTheServerStops:
    """The server cancels what is under way while its client takes nothing, and lets it say one last thing."""

    @pytest.mark.parametrize(
        ("message", "last_words"),
        [
            ("http.response.start", ["http.response.start", "http.response.body"]),
            ("http.response.body", ["http.response.body"]),
        ],
        ids=["headers", "frames"],
    )
    async def test_while_it_is_sent_a_message(self, short_way, vendor, spool, message, last_words):
        seen_before = len(vendor.requests())
        client = StoppedClient(until=message)
        await client.talk_to(short_way)
        row = await settled(spool)
        assert (row.outcome, row.status) == ("interrupted", 503)
        assert client.told == last_words
        assert await end_of_only_request(vendor, seen_before=seen_before) is Ending.CLIENT_LEFT

    async def test_and_waits_for_nobody_who_does_not_read(self, short_way, spool, monkeypatch):
        monkeypatch.setattr(short_way_module, "SAY_STOPPING_S", 0.01)
        async with asyncio.timeout(5):
            await StoppedClient(until="http.response.body", reads_on=False).talk_to(short_way)
        assert (await settled(spool)).outcome == "interrupted"


class StoppedClient(Client):
    """Whose server stops while it is sent a message of the type `until`."""

    def __init__(self, *, until, reads_on=True):
        super().__init__(until=until)
        self._reads_on = reads_on
        self._is_stopping = False
        self.told = []
        """What it was sent after that."""

    async def _send(self, message):
        if self._is_stopping:
            self.told.append(message["type"])
            if not self._reads_on:
                await asyncio.Event().wait()
        elif message["type"] == self._until:
            self._is_stopping = True
            asyncio.current_task().cancel("the server stops")
            await asyncio.Event().wait()
