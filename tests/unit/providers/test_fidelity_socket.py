"""Whole requests and answers over a real socket: what arrives on the other side is what was sent, byte for byte."""

import base64

import msgspec
import pytest

from gateway.api import bodies
from providers import chat
from tests.unit.providers.test_openai_dialect import model
from tests.wire import fidelity, replay
from tests.wire.replay import Reply

THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Hi"}]
MESSAGES = {
    "text": {"content": "Hi"},
    "a list of parts": {"content": THINKING},
    "reasoning": {"content": None, "reasoning": "Hm", "reasoning_details": [{"type": "reasoning.summary", "index": 0}]},
    "reasoning_content": {"content": "", "reasoning_content": "Hm"},
    "a refusal": {"content": None, "refusal": "No."},
    "annotations": {"content": "Hi", "annotations": [{"type": "url_citation", "url_citation": {"start_index": 0}}]},
    "audio": {"content": None, "audio": {"id": "audio_1", "data": "UklGRg==", "expires_at": 1, "transcript": "Hi"}},
    "parallel tool calls": {"content": None, "tool_calls": [{"id": id, "function": {"name": id}} for id in "abc"]},
    "an old function call": {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
}
USAGE = b'{"prompt_tokens":9,"completion_tokens":2,"vendors":{"own":[1.0,null]}}'


@pytest.fixture(scope="module")
def provider():
    with replay.running() as running:
        yield running


@pytest.fixture(autouse=True)
def way_out(open_door):
    """Every test calls a provider."""


def question(*fields, messages=b'[{"role":"user","content":"Hi"}]'):
    return b'{"model":"auto","messages":' + messages + b"".join(b"," + field for field in fields) + b"}"


def answer(message):
    choice = {"index": 0, "message": {"role": "assistant"} | message, "logprobs": None, "finish_reason": "stop"}
    return b'{"id":"x", "vendors":{"own":1.0}, "choices":[' + msgspec.json.encode(choice) + b'],"usage":' + USAGE + b"}"


async def relayed(provider, body, *, reply):
    """What the client gets for `body` and what the provider got."""
    provider.reply = reply
    request, target = bodies.chat_request(body), model(base_url=f"{provider.url}/v1", is_local=True)
    if request.is_stream:
        with await chat.stream(request, model=target) as stream:
            received = b"".join([frames async for frames in stream])
    else:
        received = (await chat.complete(request, model=target)).body
    return received, provider.received[-1].body


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
class TestAnswers:
    async def test_a_whole_one_arrives_as_it_was_sent(self, provider, message):
        body = answer(message)
        assert (await relayed(provider, question(), reply=Reply(body=body)))[0] == body

    @pytest.mark.parametrize("piece", [1, 7, None])
    async def test_a_stream_arrives_as_it_was_sent(self, provider, message, piece):
        events = [
            {"choices": [{"index": 0, "delta": message, "finish_reason": None}], "obfuscation": "x"},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "service_tier": "default"},
        ]
        stream = b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events)
        reply = Reply(body=stream + b"data: [DONE]\n\n", content_type="text/event-stream", piece=piece)
        assert (await relayed(provider, question(b'"stream":true'), reply=reply))[0] == stream


class TestRequests:
    # The client library would rather read a file in pieces: the body is in memory anyway.
    @pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
    async def test_300_tools_and_50_images_arrive_as_they_were_sent(self, provider):
        schema = b'{"type":"object", "properties":{"n":{"type":"number","maximum":1.0,"multipleOf":1E-2}}}'
        tools = b", ".join(
            b'{"type":"function","function":{"name":"tool_%d","strict":null,"parameters":%b}}' % (number, schema)
            for number in range(300)
        )
        image = base64.b64encode(bytes(range(256)) * 64)
        images = b",".join(
            b'{"type":"image_url","image_url":{"url":"data:image\\/png;base64,%b","detail":"low","x":%d.0}}'
            % (image, n)
            for n in range(50)
        )
        messages = b'[ {"role":"user","content":[' + images + b'],"name":"caf\\u00e9"} ]'
        sent = question(b'"tools":[' + tools + b"]", b'"parallel_tool_calls":true', messages=messages)
        _, received = await relayed(provider, sent, reply=Reply(body=answer({"content": "Hi"})))
        assert fidelity.edits(sent, received).keys() == {"model"}

    async def test_fields_that_nobody_knows_arrive_as_they_were_sent(self, provider):
        odd = b'"x_vendor":{ "deep":[[[{"n":-0.0,"n":1e400}]]] },"top_k":0,"safe_prompt":false,"transforms":[ ]'
        sent = question(odd, b'"messages_extra":null')
        _, received = await relayed(provider, sent, reply=Reply(body=answer({"content": "Hi"})))
        assert fidelity.edits(sent, received).keys() == {"model"}
        assert odd in received


async def test_a_frame_of_a_megabyte_arrives_as_it_was_sent(provider):
    frame = b'data: {"choices":[{"delta":{"content":"' + "é".encode() * 500_000 + b'"},"finish_reason":"stop"}]}\n\n'
    reply = Reply(body=frame, content_type="text/event-stream", piece=4099)
    assert (await relayed(provider, question(b'"stream":true'), reply=reply))[0] == frame
