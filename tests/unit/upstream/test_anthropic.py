"""The scripted upstream in Anthropic's dialect: messages as JSON and as events. Pure: no server."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import msgspec
import pytest

from tests.upstream.anthropic import BROKEN_EVENT, answer_to, read_request, usage
from tests.upstream.script import Script

WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK = {"name": "clock", "input_schema": {"type": "object"}}
ASK = "What is the weather in 'Bern'?"


def body(model: str = "claude", *, message: Any = "Hello you", **options: Any) -> bytes:
    messages = [{"role": "user", "content": message}]
    return msgspec.json.encode({"model": model, "max_tokens": 2000, "messages": messages} | options)


def answered(*words: str, **options: Any) -> dict[str, Any]:
    return msgspec.json.decode(answer_to(body(*words, **options)).body)


def events(*words: str, **options: Any) -> list[dict[str, Any]]:
    stream = answer_to(body(*words, stream=True, **options)).body.decode()
    frames = stream.removesuffix("\n\n").split("\n\n")
    return [msgspec.json.decode(frame.partition("\ndata: ")[2]) for frame in frames]


def names(found: list[dict[str, Any]]) -> list[str]:
    """The events' types, equal neighbours once."""
    return [kind for kind, _ in groupby(event["type"] for event in found)]


def blocks_of(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks a stream tells, put together."""
    blocks: list[dict[str, Any]] = []
    for event in found:
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"] | {"json": ""})
        if event["type"] == "content_block_delta":
            delta = event["delta"]
            for key, into in (("text",) * 2, ("thinking",) * 2, ("signature",) * 2, ("partial_json", "json")):
                blocks[event["index"]][into] = blocks[event["index"]].get(into, "") + delta.get(key, "")
    for block in blocks:
        text = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = msgspec.json.decode(text or "{}")
    return [{key: value for key, value in block.items() if value != ""} for block in blocks]


class TestJson:
    def test_it_repeats_the_message_without_its_script(self) -> None:
        found = answered(message=[{"type": "text", "text": "#!cached=2\nHello you"}])
        assert found["content"] == [{"type": "text", "text": "You said: Hello you"}]
        assert (found["stop_reason"], found["usage"]["cache_read_input_tokens"]) == ("end_turn", 2)

    def test_its_usage_can_be_predicted(self) -> None:
        request = body("chunks=7")
        found = msgspec.json.decode(answer_to(request).body)["usage"]
        assert found == usage(read_request(request), Script(chunks=7))
        assert (found["input_tokens"], found["output_tokens"]) == (2, 7)

    def test_all_text_counts_as_prompt(self) -> None:
        messages = [
            {"role": "user", "content": ASK},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "get_weather", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "It's sunny."}]},
        ]
        found = answered(messages=messages, system=[{"type": "text", "text": "Be brief."}])
        assert found["usage"]["input_tokens"] == 6 + 2 + 2

    def test_cached_tokens_stand_beside_the_fresh_ones(self) -> None:
        found = answered("cached=12;cache_write=5")["usage"]
        assert [count for key, count in found.items() if key.endswith("input_tokens")] == [0, 5, 12]
        assert found["cache_creation"] == {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 0}

    def test_a_limit_shortens_it(self) -> None:
        found = answered("chunks=7", max_tokens=3)
        assert (found["content"][0]["text"], found["stop_reason"], found["usage"]["output_tokens"]) == (
            "w0 w1 w2",
            "max_tokens",
            3,
        )

    def test_a_stop_sequence_is_told(self) -> None:
        found = answered("content=one%20two", stop_sequences=[" two"])
        assert (found["content"][0]["text"], found["stop_reason"], found["stop_sequence"]) == (
            "one",
            "stop_sequence",
            " two",
        )

    def test_empty_no_finish_and_no_usage(self) -> None:
        found = answered("empty")
        assert (found["content"], found["stop_reason"], found["usage"]["output_tokens"]) == ([], "end_turn", 0)
        found = answered("no_finish;no_usage")
        assert (found["stop_reason"], "usage" in found) == (None, False)

    def test_bad_json_does_not_parse(self) -> None:
        with pytest.raises(msgspec.DecodeError):
            answered("bad_json")

    def test_a_refusal_has_no_content(self) -> None:
        found = answered("refusal=I%20cannot")
        assert (found["content"], found["stop_reason"]) == ([], "refusal")
        assert found["stop_details"]["explanation"] == "I cannot"

    def test_html_is_a_page(self) -> None:
        assert answer_to(body("html")).content_type == "text/html; charset=utf-8"


class TestStream:
    def test_the_events_in_their_order(self) -> None:
        found = events("chunks=3")
        assert names(found) == [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
        assert [event["delta"]["text"] for event in found if event["type"] == "content_block_delta"] == [
            "w0",
            " w1",
            " w2",
        ]

    def test_usage_comes_first_in_part_and_last_in_whole(self) -> None:
        found = events("chunks=3;cached=1")
        assert found[0]["message"]["usage"]["output_tokens"] == 1
        assert found[-2]["usage"] == {
            "input_tokens": 1,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 1,
            "output_tokens": 3,
        }

    @pytest.mark.parametrize(
        "words", ["reasoning=I%20see;content=Wait%20now;tool=clock", "reasoning=Hm", "tool=clock", "empty"]
    )
    def test_it_tells_the_blocks_of_the_json_answer(self, words: str) -> None:
        assert blocks_of(events(words)) == answered(words)["content"]

    def test_no_finish_no_done_and_no_usage(self) -> None:
        assert names(events("no_finish;no_done"))[-1] == "content_block_stop"
        assert names(events("no_done"))[-1] == "message_delta"
        assert b'"usage"' not in answer_to(body("no_usage", stream=True)).body

    def test_bad_json_is_one_broken_line_before_the_content(self) -> None:
        frames = answer_to(body("bad_json;chunks=2", stream=True)).body.decode().removesuffix("\n\n").split("\n\n")
        assert [number for number, frame in enumerate(frames) if not frame.endswith("}")] == [3]


class TestTools:
    def test_a_call_by_the_message(self) -> None:
        found = answered(message=ASK, tools=[WEATHER, CLOCK])
        assert [(block["name"], block["input"]) for block in found["content"]] == [("get_weather", {"city": "Bern"})]
        assert found["stop_reason"] == "tool_use"

    @pytest.mark.parametrize(
        ("choice", "called"),
        [
            ({"type": "none"}, []),
            ({"type": "any"}, ["get_weather", "clock"]),
            ({"type": "any", "disable_parallel_tool_use": True}, ["get_weather"]),
            ({"type": "tool", "name": "clock"}, ["clock"]),
        ],
    )
    def test_the_choice_of_a_tool_is_kept_to(self, choice: dict[str, Any], called: list[str]) -> None:
        found = answered(message="get_weather and clock", tools=[WEATHER, CLOCK], tool_choice=choice)
        assert [block["name"] for block in found["content"] if block["type"] == "tool_use"] == called

    def test_input_comes_in_fragments_and_none_of_no_input(self) -> None:
        found = events(message="get_weather 'Bern' and clock", tools=[WEATHER, CLOCK])
        told = [
            (event["index"], event["delta"]["partial_json"]) for event in found if "delta" in event and "index" in event
        ]
        assert told == [(0, ""), (0, '{"city":'), (0, ' "Bern"}'), (1, "")]

    def test_after_the_result_the_answer_holds_it(self) -> None:
        call = answered(message=ASK, tools=[WEATHER])["content"]
        result = {"type": "tool_result", "tool_use_id": call[0]["id"], "content": "It's sunny."}
        messages = [{"role": "user", "content": ASK}, {"role": "assistant", "content": call}]
        found = answered(messages=[*messages, {"role": "user", "content": [result]}], tools=[WEATHER])
        assert "It's sunny." in found["content"][0]["text"]

    def test_text_behind_a_result_is_a_new_question(self) -> None:
        call = answered(message=ASK, tools=[WEATHER])["content"]
        result = {"type": "tool_result", "tool_use_id": call[0]["id"], "content": "It's sunny."}
        asked = {"role": "user", "content": [result, {"type": "text", "text": "And the clock?"}]}
        messages = [{"role": "user", "content": ASK}, {"role": "assistant", "content": call}, asked]
        assert answered(messages=messages, tools=[WEATHER, CLOCK])["content"][0]["name"] == "clock"


class TestFormatAndThoughts:
    def test_content_follows_the_schema(self) -> None:
        schema = {"type": "object", "properties": {"population": {"type": "integer"}}, "additionalProperties": False}
        found = answered(output_config={"format": {"type": "json_schema", "schema": schema}})
        assert msgspec.json.decode(found["content"][0]["text"]) == {"population": 1}

    def test_thinking_has_a_signed_block_before_the_text(self) -> None:
        found = answered(thinking={"type": "enabled", "budget_tokens": 1024})
        assert [block["type"] for block in found["content"]] == ["thinking", "text"]
        assert found["content"][0]["signature"]
        assert found["usage"]["output_tokens_details"] == {"thinking_tokens": 3}

    def test_a_script_says_what_is_thought(self) -> None:
        assert answered("reasoning=I%20see")["content"][0]["thinking"] == "I see"


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (503, "api_error"),
            (529, "overloaded_error"),
        ],
    )
    def test_a_status_has_its_type(self, status: int, kind: str) -> None:
        answer = answer_to(body(f"status={status};retry_after=2"))
        error = msgspec.json.decode(answer.body)
        assert (answer.status, error["type"], error["error"]["type"]) == (status, "error", kind)
        assert dict(answer.headers)["request-id"] == error["request_id"]

    def test_error_first_is_a_200_and_a_streams_only_event(self) -> None:
        assert answered("status=529;error_first")["error"]["type"] == "overloaded_error"
        answer = answer_to(body("error_first", stream=True))
        assert (answer.status, answer.body.startswith(b"event: error\ndata: {"), answer.body.count(b"event:")) == (
            200,
            True,
            1,
        )

    def test_a_request_without_a_version_or_a_key_is_refused(self) -> None:
        assert answer_to(body(), version=None).status == 400
        assert answer_to(body(), has_key=False).status == 401

    def test_a_mistaken_script_gets_400_that_names_it(self) -> None:
        assert "status cannot be '50x'" in answered("status=50x")["error"]["message"]


class TestWhatGoesWrong:
    def test_a_whole_message_though_a_stream_was_asked_for(self) -> None:
        assert not answer_to(body("whole", stream=True)).is_stream

    def test_an_error_amid_the_content_ends_it(self) -> None:
        frames = answer_to(body("chunks=4;status=529;error_mid", stream=True)).body.split(b"\n\n")
        assert frames[-2].startswith(b"event: error\n")
        assert b"overloaded_error" in frames[-2]
        assert sum(frame.startswith(b"event: content_block_delta") for frame in frames) == 2

    def test_a_stream_of_its_end_alone(self) -> None:
        assert answer_to(body("only_done", stream=True)).body.startswith(b"event: message_stop\n")

    def test_a_broken_line_amid_the_content(self) -> None:
        assert answer_to(body("chunks=4;bad_line", stream=True)).content[2] == BROKEN_EVENT
