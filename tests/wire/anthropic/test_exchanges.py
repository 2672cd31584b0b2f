"""Every recorded exchange through a running gateway: what reaches the upstream, and what comes out.

No recording is left out: server tools, MCP and compaction go as native parts, tools and content.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import msgspec
import pytest

from tests.process.gateway_process import eventually
from tests.wire import spec
from tests.wire.anthropic import as_openai, assembled, leaves, meaning, mutations, recordings, sameness
from tests.wire.anthropic.exchanges import CREDENTIAL, Exchange, Wire
from tests.wire.anthropic.recordings import COUNTS
from tests.wire.recordings import Recording

pytestmark = [pytest.mark.wire, pytest.mark.usefixtures("specification")]

Json = dict[str, Any]


def test_nothing_recorded_is_skipped(wire: Wire) -> None:
    assert len(recordings.load()) == sum(COUNTS.values()) == 167
    found = {"answers": recordings.answers(), "streams": recordings.streams(), "errors": recordings.errors()}
    assert {name: len(rows) for name, rows in found.items()} == COUNTS
    assert len({recording.id for recording in recordings.load()}) == 167
    assert Counter(recording.status for recording in recordings.errors()) == {400: 1, 404: 1}


class TestRequests:
    def test_it_reaches_the_upstream_as_recorded(self, wire: Wire, recording: Recording) -> None:
        exchange = wire.exchange(recording)
        assert sameness.differences(recording.asked, exchange.received_body) == []
        assert "X-Gateway-Warnings" not in exchange.headers, "something was left out"

    def test_a_change_on_the_way_would_be_seen(self, wire: Wire, recording: Recording) -> None:
        random, received = Random(recording.id), wire.exchange(recording).received_body
        for change in (mutations.leaf, mutations.structure) * 5:
            done, other = change(received, random=random)
            assert sameness.differences(recording.asked, other), done

    def test_all_carry_our_credential_and_nothing_of_the_clients(self, wire: Wire) -> None:
        for recording in recordings.load():
            headers = wire.exchange(recording).received.headers
            assert headers["x-api-key"] == CREDENTIAL
            assert headers["anthropic-version"] == "2023-06-01"
            assert headers["content-type"] == "application/json"
            assert not headers.keys() & {"authorization", "anthropic-beta", "x-session-id"}
            assert wire.gateway.installation.keys["main"] not in str(headers)

    def test_the_betas_a_client_asks_for_go_out(self, wire: Wire) -> None:
        """What is not in a recording is the headers that its server tools needed."""
        betas, recording = "mcp-client-2025-04-04,compact-2026-01-12", recordings.answers()[0]
        body = as_openai.convert(recording.asked)
        exchange = wire.send(body, to=recording, headers={"anthropic-beta": betas, "X-Session-Id": "betas"})
        assert exchange.received.headers["anthropic-beta"] == betas


class TestAnswers:
    def test_it_says_the_same_by_openais_schema(self, wire: Wire, answered: Recording) -> None:
        exchange = wire.exchange(answered)
        assert exchange.status == 200
        assert spec.errors("CreateChatCompletionResponse", completion_of(exchange)) == []
        assert problems(msgspec.json.decode(answered.answer), exchange, recorded=answered) == []

    def test_a_change_on_the_way_would_be_seen(self, wire: Wire, answered: Recording) -> None:
        random, exchange, body = Random(answered.id), wire.exchange(answered), msgspec.json.decode(answered.answer)
        for _ in range(10):
            done, other = mutations.leaf(body, random=random, spare=lambda path: path in (("type",), ("role",)))
            assert problems(other, exchange, recorded=answered), done

    def test_it_says_the_same_when_it_is_sent_back(self, wire: Wire, answered: Recording) -> None:
        """A client appends the message it got and goes on: the upstream gets back what it said, signatures and all."""
        message = completion_of(wire.exchange(answered))["choices"][0]["message"]
        again = goes_on(wire, answered, message=message).received_body["messages"][-2]
        assert again["role"] == "assistant"
        assert sameness.content_differences(msgspec.json.decode(answered.answer)["content"], again["content"]) == []

    def test_a_client_that_keeps_openais_fields_alone_can_go_on(self, wire: Wire, answered: Recording) -> None:
        """Without signatures there is no thinking to send back, so the upstream may not be asked to go on thinking
        in the midst of tool calls: it would refuse."""
        kept = {"role", "content", "tool_calls"}
        message = completion_of(wire.exchange(answered))["choices"][0]["message"]
        exchange = goes_on(wire, answered, message={name: message[name] for name in kept & message.keys()})
        blocks = msgspec.json.decode(answered.answer)["content"]
        text = "".join(block["text"] for block in blocks if block["type"] == "text")
        wanted = [{"type": "text", "text": text}] if text else []
        wanted += [block for block in blocks if block["type"] == "tool_use"]
        assert sameness.content_differences(wanted, exchange.received_body["messages"][-2]["content"]) == []
        thinking = answered.asked.get("thinking")
        if thinking and thinking["type"] == "enabled" and "tool_calls" in message:
            assert "thinking" not in exchange.received_body
            assert "thinking" in exchange.headers["X-Gateway-Warnings"]
        else:
            assert exchange.received_body.get("thinking") == thinking


def goes_on(wire: Wire, answered: Recording, *, message: Json) -> Exchange:
    """The recorded request with `message` in answer to it, and the next turn."""
    history = as_openai.convert(answered.asked)
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "Done."} for call in message.get("tool_calls", ())
    ]
    history["messages"] += [message, *(results or [{"role": "user", "content": "Go on."}])]
    return wire.send(history, to=answered)


def completion_of(exchange: Exchange) -> Json:
    decoded: Json = msgspec.json.decode(exchange.body)
    return decoded


def problems(vendors: Json, exchange: Exchange, *, recorded: Recording) -> list[str]:
    """What differs, and what was lost."""
    ours = completion_of(exchange)
    theirs = meaning.of_anthropic(vendors, inputs=meaning.inputs(recorded.answer))
    return theirs.differences(meaning.of_openai(ours)) + leaves.lost(vendors, ours)


class TestErrors:
    def test_it_is_told_with_status_and_message(self, wire: Wire, refused: Recording) -> None:
        """A vendor's 404 is the gateway's own fault to its client, as for every provider."""
        exchange, recorded = wire.exchange(refused), msgspec.json.decode(refused.answer)
        ours = msgspec.json.decode(exchange.body)
        assert spec.errors("ErrorResponse", ours) == []
        assert recorded["error"]["message"] in ours["error"]["message"]
        assert exchange.status == {400: 400, 404: 502}[refused.status]
        [step] = ours["error"]["gateway"]["trail"]
        assert step["status"] == refused.status
        if exchange.status == refused.status:
            assert ours["error"]["type"] == recorded["error"]["type"]
            assert ours["error"]["request_id"] == recorded["request_id"]


def test_the_ledger_has_the_recorded_tokens(wire: Wire) -> None:
    recorded = [recording for recording in recordings.load() if recording.status == 200]
    for recording in recorded:
        wire.exchange(recording)
    wanted = {wire.vendor.name(recording): _tokens(recording) for recording in recorded}
    columns = "input_tokens, cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens"
    statement = f"SELECT session, {columns}, reasoning_tokens FROM analytics_usagerecord WHERE session LIKE '%-0'"

    def rows() -> list[Json]:
        found = wire.gateway.installation.execute(statement)
        return found if wanted.keys() <= {row["session"] for row in found} else []

    found = {row.pop("session"): row for row in eventually(rows, what="a row for each recording")}
    assert {name: tuple(found[name].values()) for name in wanted} == wanted


def _tokens(recording: Recording) -> tuple[int, ...]:
    """Disjoint, in the columns' order."""
    answer = recording.answer
    body = assembled.anthropic(answer.decode()).body if recording.is_stream else msgspec.json.decode(answer)
    usage = body["usage"]
    written = usage["cache_creation_input_tokens"]
    an_hour = usage.get("cache_creation", {}).get("ephemeral_1h_input_tokens", 0)
    thinking = usage.get("output_tokens_details", {}).get("thinking_tokens", 0)
    cached = usage["cache_read_input_tokens"]
    return usage["input_tokens"], cached, written - an_hour, an_hour, usage["output_tokens"], thinking
