"""What the scripted upstream says by schema and by tools, and the words beyond them, in OpenAI's dialect."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.upstream.answers import DONE, answer_to

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
JOKE = {
    "type": "object",
    "properties": {"setup": {"type": "string"}, "rating": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
    "required": ["setup", "rating"],
    "additionalProperties": False,
}
JOKE_FORMAT = {"type": "json_schema", "json_schema": {"name": "joke", "schema": JOKE}}


def body(model: str = "m", *, message: str = "Hello", **options: Any) -> bytes:
    return msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": message}]} | options)


def answered(*words: str, **options: Any) -> dict[str, Any]:
    return msgspec.json.decode(answer_to(body(*words, **options)).body)


def choice(*words: str, **options: Any) -> tuple[dict[str, Any], str]:
    found = answered(*words, **options)["choices"][0]
    return found["message"], found["finish_reason"]


def deltas(*words: str, **options: Any) -> list[dict[str, Any]]:
    stream = answer_to(body(*words, stream=True, **options)).body.removesuffix(DONE).decode()
    chunks = [msgspec.json.decode(frame.removeprefix("data: ")) for frame in stream.strip().split("\n\n")]
    return [chunk["choices"][0]["delta"] for chunk in chunks]


def called(message: dict[str, Any]) -> list[tuple[str, Any]]:
    calls = [call["function"] for call in message.get("tool_calls", [])]
    return [(call["name"], msgspec.json.decode(call["arguments"])) for call in calls]


class TestTools:
    ASK = "What is the weather in 'Bern'?"

    def test_a_call_has_no_content_and_its_own_reason(self) -> None:
        message, reason = choice(message=self.ASK, tools=[WEATHER, CLOCK])
        assert (called(message), message["content"], reason) == (
            [("get_weather", {"city": "Bern"})],
            None,
            "tool_calls",
        )

    def test_a_stream_has_the_arguments_in_fragments(self) -> None:
        found = deltas(message="get_weather in 'Bern', and the clock", tools=[WEATHER, CLOCK])
        assert (found[0]["role"], found[0]["tool_calls"][0]["function"]) == (
            "assistant",
            {"name": "get_weather", "arguments": ""},
        )
        arguments = {0: "", 1: ""}
        fragments = [call for delta in found for call in delta.get("tool_calls", [])]
        for call in fragments:
            arguments[call["index"]] += call["function"]["arguments"]
        assert {index: msgspec.json.decode(text) for index, text in arguments.items()} == {0: {"city": "Bern"}, 1: {}}
        assert len(fragments) == 2 + 2 + 1  # two names, the city in two, the empty object in one

    @pytest.mark.parametrize(
        ("tool_choice", "names"),
        [
            ("none", []),
            ("required", ["get_weather"]),
            ({"type": "function", "function": {"name": "clock"}}, ["clock"]),
            ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [CLOCK]}}, ["clock"]),
            ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [CLOCK]}}, []),
        ],
    )
    def test_the_choice_of_a_tool_is_kept_to(self, tool_choice: Any, names: list[str]) -> None:
        message, _ = choice(message=self.ASK, tools=[WEATHER, CLOCK], tool_choice=tool_choice)
        assert [name for name, _ in called(message)] == names

    def test_parallel_calls_can_be_switched_off(self) -> None:
        both = {"message": "clock and get_weather", "tools": [WEATHER, CLOCK]}
        assert [name for name, _ in called(choice(**both)[0])] == ["clock", "get_weather"]
        assert [name for name, _ in called(choice(**both, parallel_tool_calls=False)[0])] == ["clock"]

    def test_after_the_result_the_answer_holds_it(self) -> None:
        asked, _ = choice(message=self.ASK, tools=[WEATHER])
        messages = [{"role": "user", "content": self.ASK}, asked]
        messages += [{"role": "tool", "tool_call_id": asked["tool_calls"][0]["id"], "content": "It's sunny."}]
        message, reason = choice(tools=[WEATHER], messages=messages)
        assert ("It's sunny." in message["content"], called(message), reason) == (True, [], "stop")

    def test_an_answer_that_was_begun_is_not_a_question(self) -> None:
        begun = [{"role": "user", "content": self.ASK}, {"role": "assistant", "content": "It is"}]
        assert called(choice(tools=[WEATHER], messages=begun)[0]) == []

    def test_calls_of_two_turns_have_two_ids(self) -> None:
        first, _ = choice(message=self.ASK, tools=[WEATHER], tool_choice="required")
        messages = [{"role": "user", "content": self.ASK}, first, {"role": "tool", "content": "It's sunny."}]
        second, _ = choice(tools=[WEATHER], tool_choice="required", messages=messages)
        assert first["tool_calls"][0]["id"] != second["tool_calls"][0]["id"]

    def test_a_call_that_does_not_fit_is_left_out(self) -> None:
        found = answered(message=self.ASK, tools=[WEATHER], max_tokens=2)
        assert (found["choices"][0]["finish_reason"], found["usage"]["completion_tokens"]) == ("length", 0)


class TestFormats:
    def test_content_follows_the_schema(self) -> None:
        message, _ = choice(response_format=JOKE_FORMAT)
        assert msgspec.json.decode(message["content"]) == {"setup": "text", "rating": 1}

    def test_a_stream_has_it_in_several_chunks(self) -> None:
        contents = [delta["content"] for delta in deltas(response_format=JOKE_FORMAT) if delta.get("content")]
        assert msgspec.json.decode("".join(contents)) == {"setup": "text", "rating": 1}
        assert len(contents) == 4

    def test_a_mere_object_has_an_answer_or_the_quoted_keys(self) -> None:
        wanted = {"type": "json_object"}
        assert "answer" in msgspec.json.decode(choice(response_format=wanted)[0]["content"])
        keys = choice(message="JSON with 'setup' and 'punchline' keys", response_format=wanted)[0]["content"]
        assert msgspec.json.decode(keys) == {"setup": "text", "punchline": "text"}

    def test_a_script_with_content_wins(self) -> None:
        assert choice("content=mine", response_format=JOKE_FORMAT)[0]["content"] == "mine"


class TestWords:
    def test_a_tool_is_called_after_the_scripts_text(self) -> None:
        message, reason = choice("content=Wait.;tool=clock")
        assert (message["content"], called(message), reason) == ("Wait.", [("clock", {})], "tool_calls")
        assert [sorted(delta) for delta in deltas("content=Wait.;tool=clock")][1:3] == [["content"], ["tool_calls"]]

    def test_reasoning_comes_first_and_counts(self) -> None:
        found = answered("reasoning=Let%20me%20see;content=yes")
        assert found["choices"][0]["message"]["reasoning_content"] == "Let me see"
        assert found["usage"]["completion_tokens"] == 4
        assert found["usage"]["completion_tokens_details"]["reasoning_tokens"] == 3
        told = [next(iter(delta.items())) for delta in deltas("reasoning=I%20see;content=yes")[1:-1]]
        assert told == [("reasoning_content", "I"), ("reasoning_content", " see"), ("content", "yes")]

    def test_a_refusal_has_no_content(self) -> None:
        message, reason = choice("refusal=I%20cannot")
        assert (message["refusal"], message["content"], reason) == ("I cannot", None, "stop")
        assert [delta.get("refusal") for delta in deltas("refusal=I%20cannot")] == [None, "I", " cannot", None]

    def test_a_finish_reason_stands_as_told(self) -> None:
        assert choice("finish=content_filter")[1] == "content_filter"

    def test_cached_tokens_are_part_of_the_prompt(self) -> None:
        usage = answered("cached=12;cache_write=5")["usage"]
        assert usage["prompt_tokens"] == 17
        assert usage["prompt_tokens_details"] == {"cached_tokens": 12, "audio_tokens": 0, "cache_write_tokens": 5}

    def test_a_stop_sequence_ends_the_text(self) -> None:
        assert choice("content=one%20two%20three", stop=[" three", " two"])[0]["content"] == "one"
