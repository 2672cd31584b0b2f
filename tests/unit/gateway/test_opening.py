"""A stream whose first content lets itself be waited for: begun early, kept alive by comments, and ended as it ends."""

import asyncio
import time
from dataclasses import replace

import msgspec
import pytest

from analytics import keys
from analytics.spool import Reader
from analytics.types import UsageRow
from gateway.api.opening import WAITING
from gateway.short_way import ShortWay
from gateway.urls import short_way_views
from providers.types import Timeouts
from routing import afterwards, runtime, snapshot
from tests.unit.routing import test_plan as plans
from tests.unit.routing.use_case import parts_of

SECRET = "agw_tests-only"
SOON_S = 0.05
FIRST_CONTENT_S = 0.3
STALLS = Timeouts(connect_s=2.0, headers_s=2.0, first_content_s=FIRST_CONTENT_S, between_frames_s=5.0)


@pytest.fixture
def ask(vendor, open_door, spool, monkeypatch, settings):
    """Asks models with these names, in order, as a client that stays; returns the messages it was sent."""
    settings.COMMIT_AFTER_S = SOON_S
    monkeypatch.setattr(runtime, "_current", parts_of(spool))

    async def asked(*names, stream=True, sent=None, **policy):
        provider = replace(plans.ACME, base_url=vendor.url, timeouts=STALLS)
        ranked = enumerate(plans.model(name, provider=provider) for name in names)
        models = [plans.candidate(model, "L0", priority=number) for number, model in ranked]
        config = plans.snapshot(*models, policy=replace(plans.POLICY, **policy))
        config = replace(config, loaded_at=time.monotonic(), callers={keys.digest(SECRET): plans.ANYONE})
        monkeypatch.setattr(snapshot, "_current", config)
        told = [] if sent is None else sent
        await ShortWay(short_way_views).handle(SCOPE, receiving(stream), sending(told))
        return told

    return asked


SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/v1/chat/completions",
    "query_string": b"",
    "headers": [(b"authorization", f"Bearer {SECRET}".encode()), (b"x-gateway-layer", b"L0")],
}


def receiving(stream):
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    messages = [{"type": "http.request", "body": msgspec.json.encode(body), "more_body": False}]

    async def receive():
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    return receive


def sending(told):
    async def send(message):
        told.append(message)

    return send


class Sent(list):
    """The messages, and that there is one."""

    def __init__(self):
        super().__init__()
        self.has_begun = asyncio.Event()

    def append(self, message):
        super().append(message)
        self.has_begun.set()


def headers_of(sent):
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def body_of(sent):
    return b"".join(message.get("body", b"") for message in sent[1:])


async def row_of(spool):
    await afterwards.over()
    (row,) = [line for line in Reader(spool.folder).next_batch().lines if isinstance(line, UsageRow)]
    return row


async def test_one_whose_content_comes_in_time_begins_with_it(ask, settings):
    settings.COMMIT_AFTER_S = 5.0
    sent = await ask("content=Hi")
    assert headers_of(sent)["x-gateway-model"] == "content=Hi"
    assert WAITING not in body_of(sent)


async def test_one_that_is_silent_begins_with_comments_and_goes_on_with_the_next_model(ask, spool):
    sent = await ask("stall=first", "content=Hi", max_attempts=6)
    assert [message["type"] for message in sent].count("http.response.start") == 1
    assert (sent[0]["status"], headers_of(sent)["content-type"]) == (200, "text/event-stream; charset=utf-8")
    before, content = body_of(sent).split(b"data: ", 1)
    assert before.count(WAITING) >= FIRST_CONTENT_S / SOON_S / 3
    assert content.endswith(b"data: [DONE]\n\n")
    assert not sent[-1].get("more_body")
    row = await row_of(spool)
    assert (row.outcome, row.status, row.model) == ("ok", 200, "content=Hi")


async def test_what_its_headers_could_not_say_is_said_in_a_comment(ask):
    sent = await ask("stall=first", "content=Hi")
    assert set(headers_of(sent)) == {"content-type", "cache-control", "x-accel-buffering", "x-gateway-request-id"}
    lines = body_of(sent).split(b"\n")
    assert b": X-Gateway-Model: content=Hi" in lines
    assert b": X-Gateway-Attempts: 3" in lines
    assert not any(line.startswith(b": X-Gateway-Request-Id") for line in lines)


async def test_only_the_last_failure_is_an_event(ask, spool):
    sent = await ask("stall=first", "status=401", max_attempts=6)
    *_, last = body_of(sent).removesuffix(b"\n\n").split(b"\n\n")
    error = msgspec.json.decode(last.removeprefix(b"data: "))["error"]
    assert error["code"] == "provider_credentials"
    assert [step["outcome"] for step in error["gateway"]["trail"]] == ["timeout", "timeout", "credentials"]
    assert b"[DONE]" not in body_of(sent)
    row = await row_of(spool)
    assert (row.outcome, row.status, row.error_kind) == ("error", 200, "credentials")


async def test_a_whole_answer_never_begins_early(ask, spool):
    sent = await ask("stall=headers", stream=False, deadline_s=0.3, max_attempts=1)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 504
    assert (await row_of(spool)).status == 504


async def test_a_server_that_stops_says_so_in_the_stream_that_has_begun(ask, spool):
    sent = Sent()
    task = asyncio.create_task(ask("stall=first", sent=sent, max_attempts=1))
    await asyncio.wait_for(sent.has_begun.wait(), 5)
    task.cancel()
    await task
    assert [message["type"] for message in sent].count("http.response.start") == 1
    assert b'"code":"stopping"' in sent[-1]["body"]
    row = await row_of(spool)
    assert (row.outcome, row.status) == ("interrupted", 503)


async def test_nothing_is_left_running(ask):
    before = asyncio.all_tasks()
    await ask("stall=first", "content=Hi")
    await asyncio.sleep(0)
    assert {
        task for task in asyncio.all_tasks() - before if task.get_coro().__qualname__.startswith("Opening")
    } == set()
