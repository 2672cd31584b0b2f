"""Every recorded stream through a running gateway, cut in three ways: chunk by chunk, put together, and as OpenAI's own
client puts it together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import openai
import pytest

from tests.wire import spec
from tests.wire.anthropic import as_openai, assembled, leaves, meaning, mutations, sameness
from tests.wire.anthropic.exchanges import Wire
from tests.wire.recordings import Recording

pytestmark = [pytest.mark.wire, pytest.mark.usefixtures("specification")]

Json = dict[str, Any]


@pytest.fixture
def client(wire: Wire) -> Iterator[openai.OpenAI]:
    key = wire.gateway.installation.keys["main"]
    with openai.OpenAI(base_url=f"{wire.gateway.url}/v1", api_key=key, max_retries=0, timeout=20) as made:
        yield made


def completion_of(wire: Wire, streamed: Recording, *, step: int) -> Json:
    return assembled.openai(assembled.chunks(wire.exchange(streamed, step=step).text))


def problems(recorded: assembled.AnthropicMessage, ours: Json) -> list[str]:
    """What differs, and what was lost."""
    theirs = meaning.of_anthropic(recorded.body, inputs=recorded.inputs)
    return theirs.differences(meaning.of_openai(ours)) + leaves.lost(recorded.body, ours)


def test_every_chunk_is_schema_valid(wire: Wire, streamed: Recording, step: int) -> None:
    exchange = wire.exchange(streamed, step=step)
    assert exchange.status == 200
    assert exchange.headers["Content-Type"].startswith("text/event-stream")
    for chunk in assembled.chunks(exchange.text):
        assert spec.errors("CreateChatCompletionStreamResponse", chunk) == [], chunk


def test_put_together_it_says_the_same(wire: Wire, streamed: Recording, step: int) -> None:
    recorded = assembled.anthropic(streamed.answer.decode())
    assert problems(recorded, completion_of(wire, streamed, step=step)) == []


def test_a_change_on_the_way_would_be_seen(wire: Wire, streamed: Recording) -> None:
    random, recorded = Random(streamed.id), assembled.anthropic(streamed.answer.decode())
    ours = completion_of(wire, streamed, step=0)
    for _ in range(20):
        done, other = mutations.leaf(recorded.body, random=random, spare=lambda path: path in (("type",), ("role",)))
        assert problems(assembled.AnthropicMessage(other, recorded.inputs), ours), done


def test_the_text_comes_in_the_vendors_pieces(wire: Wire, streamed: Recording, step: int) -> None:
    """Nothing is held back, joined or cut anew."""
    said = [chunk["choices"][0]["delta"].get("content") for chunk in _with_choices(wire, streamed, step=step)]
    events = [json.loads(payload) for payload in assembled.payloads(streamed.answer.decode())]
    wanted = [event["delta"]["text"] for event in events if event.get("delta", {}).get("type") == "text_delta"]
    assert [piece for piece in said if piece] == [piece for piece in wanted if piece]


def _with_choices(wire: Wire, streamed: Recording, *, step: int) -> list[Json]:
    return [chunk for chunk in assembled.chunks(wire.exchange(streamed, step=step).text) if chunk["choices"]]


def test_openais_client_puts_it_together(wire: Wire, client: openai.OpenAI, streamed: Recording) -> None:
    body = as_openai.convert(streamed.asked)
    asked = {"model": wire.model(streamed), "messages": body["messages"]}
    # By `extra_body`, since the helper refuses tools that are not strict, which the API takes.
    with client.chat.completions.stream(**asked, extra_body=body | asked) as stream:
        for _ in stream:
            pass
        completion: Json = stream.get_final_completion().to_dict()
    recorded = assembled.anthropic(streamed.answer.decode())
    # It keeps the first chunk's extra fields of a choice, and of the later ones the finish reason alone.
    completion["choices"][0]["native_finish_reason"] = recorded.body["stop_reason"]
    assert problems(recorded, completion) == []


def test_it_says_the_same_when_it_is_sent_back(wire: Wire, streamed: Recording) -> None:
    """With the numbers that a stream gives to the entries of its lists: they are no part of a block."""
    recorded = assembled.anthropic(streamed.answer.decode()).body["content"]
    assert sameness.content_differences(recorded, sent_back(wire, streamed)) == []


def test_a_client_that_keeps_openais_fields_alone_can_go_on(wire: Wire, streamed: Recording) -> None:
    recorded = assembled.anthropic(streamed.answer.decode()).body["content"]
    wanted = [{"type": "text", "text": "".join(block["text"] for block in recorded if block["type"] == "text")}]
    wanted += [block for block in recorded if block["type"] == "tool_use"]
    received = sent_back(wire, streamed, keep=("role", "content", "tool_calls"))
    assert sameness.content_differences(wanted, received) == []


def sent_back(wire: Wire, streamed: Recording, *, keep: Sequence[str] = ()) -> list[Json]:
    """The answer's content as it reaches the upstream in the next turn, when its client keeps these fields, or all."""
    message = completion_of(wire, streamed, step=0)["choices"][0]["message"]
    history = as_openai.convert(streamed.asked)
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "Done."} for call in message.get("tool_calls", ())
    ]
    kept = {name: value for name, value in message.items() if not keep or name in keep}
    history["messages"] += [kept, *(results or [{"role": "user", "content": "Go on."}])]
    received: Json = wire.send(history, to=streamed).received_body["messages"][-2]
    assert received["role"] == "assistant"
    return list(received["content"])
