"""What the scripted upstream's log says is billed, over real sockets: tests hold the gateway's money to it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import bodies
from routing import need
from routing.types import Wishes
from tests.upstream import openai_requests, process
from tests.upstream.log import Call, Ending
from tests.upstream.process import RunningUpstream

QUESTION = "Tell me more"
"""Three tokens."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUpstream]:
    log = tmp_path_factory.mktemp("upstream") / "log.jsonl"
    with process.running(log=log, log_bodies=False) as running:
        yield running


@contextmanager
def posted(
    server: RunningUpstream, model: str, *, path: str = "/v1/chat/completions", **fields: Any
) -> Iterator[http.client.HTTPResponse]:
    """The answer's beginning; whoever leaves hangs up."""
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]} | fields
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)) as connection:
        connection.request("POST", path, json.dumps(body), {"x-api-key": "k", "anthropic-version": "2023-06-01"})
        with connection.getresponse() as response:
            yield response


def last(server: RunningUpstream) -> Call:
    """The last call, once it has ended."""
    return server.calls(at_least=len(server.requests()))[-1]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("script", ["chunks=9", "chunks=9;no_usage", "chunks=9;delay_ms=0.1"])
def test_an_answer_that_was_read_is_billed_whole(server: RunningUpstream, stream: bool, path: str, script: str) -> None:
    before = time.time()
    with posted(server, f"m?{script}", path=path, stream=stream, max_tokens=5) as response:
        response.read()
    call = last(server)
    assert (call.model, call.prompt_tokens, call.completion_tokens) == (f"m?{script}", 3, 5)
    assert call.is_finished
    assert before <= call.at <= time.time()


def test_a_stream_whose_reader_left_is_billed_as_far_as_it_was_written(server: RunningUpstream) -> None:
    with posted(server, "chunks=10;stall=mid", stream=True) as response:
        while b"w4" not in response.readline():
            pass
    call = last(server)
    assert (call.prompt_tokens, call.completion_tokens) == (3, 5)
    assert (call.is_finished, call.answer and call.answer.how) == (False, Ending.CLIENT_LEFT)


def test_a_stream_that_was_left_before_its_content_is_billed_its_prompt(server: RunningUpstream) -> None:
    with posted(server, "chunks=10;stall=first", stream=True):
        pass
    call = last(server)
    assert (call.prompt_tokens, call.completion_tokens, call.is_finished) == (3, 0, False)


def test_json_whose_reader_left_is_billed_whole(server: RunningUpstream) -> None:
    with posted(server, "chunks=10;stall=mid"):
        pass
    call = last(server)
    assert (call.prompt_tokens, call.completion_tokens, call.is_finished) == (3, 10, False)


@pytest.mark.parametrize("script", ["status=503", "error_first", "html", "wrong=word", "empty"])
def test_what_was_not_said_costs_nothing(server: RunningUpstream, script: str) -> None:
    with posted(server, script) as response:
        response.read()
    assert last(server).completion_tokens == 0


def test_a_call_that_is_still_answered_is_told_as_such(server: RunningUpstream) -> None:
    with posted(server, "chunks=10;stall=first", stream=True):
        call = server.calls()[-1]
    assert (call.answer, call.is_finished, call.completion_tokens) == (None, False, 0)


TEXTS = st.text(max_size=40) | st.lists(st.text(st.characters(codec="ascii"), max_size=2), max_size=20).map(" ".join)
CONTENTS = TEXTS | st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXTS), max_size=4)
MESSAGES = st.builds(
    lambda role, content: {"role": role, "content": content}, st.sampled_from(["user", "system"]), CONTENTS
)


@given(messages=st.lists(MESSAGES, min_size=1, max_size=5))
def test_no_prompt_is_billed_above_the_gateways_upper_estimate(messages: list[dict[str, Any]]) -> None:
    body = msgspec.json.encode({"model": "m", "messages": messages})
    estimate = need.read(bodies.chat_request(body), wishes=Wishes(), layers=()).input_tokens
    assert openai_requests.read(body).prompt_tokens <= estimate
