"""The official Python SDK's own conveniences over both dialects: typed answers, stream events, tools, exceptions.

What a plain request does, whichever dialect answers it, stands in `tests/process/test_openai_sdk.py`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel, Field

from tests.process.clients.rows import BREAKS, CHAT, LIMITED, MESSAGES, MODEL, UNICODE
from tests.process.gateway_process import Gateway
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process


class Mood(StrEnum):
    CALM = "calm"
    WILD = "wild"


class Place(BaseModel):
    name: str
    altitude_m: float


class Trip(BaseModel):
    """Nested, listed, optional and of a fixed set: what a schema made of a type looks like."""

    title: str
    mood: Mood
    places: list[Place]
    note: str | None


class get_weather(BaseModel):
    """Weather at a place."""

    city: str = Field(description="Its name")
    days: int


class get_time(BaseModel):
    """Time at a place."""

    city: str


MESSAGES_MODEL = f"{MESSAGES}/{MODEL}"
WEATHER, TIME = openai.pydantic_function_tool(get_weather), openai.pydantic_function_tool(get_time)


def options(gateway: Gateway) -> dict[str, Any]:
    key = gateway.installation.keys["main"]
    return {"base_url": f"{gateway.url}/v1", "api_key": key, "max_retries": 0, "timeout": 20}


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(**options(gateway)) as made:
        yield made


@pytest_asyncio.fixture
async def async_client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(**options(gateway)) as made:
        yield made


@pytest.fixture
def model(provider: str) -> str:
    return f"{provider}/{MODEL}"


def says(text: str, *, script: str = "") -> Any:
    """Messages of one user turn, with what the upstream shall do in front."""
    return [{"role": "user", "content": f"#!{script}\n{text}" if script else text}]


def joined(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


class TestTypedAnswers:
    def test_an_answer_is_an_instance_of_its_type(self, client: openai.OpenAI, model: str) -> None:
        answer = client.chat.completions.parse(model=model, messages=says("A trip"), response_format=Trip)
        trip = answer.choices[0].message.parsed
        assert isinstance(trip, Trip)
        assert isinstance(trip.places[0], Place)

    async def test_asynchronously_too(self, async_client: openai.AsyncOpenAI, model: str) -> None:
        answer = await async_client.chat.completions.parse(model=model, messages=says("Hi"), response_format=Trip)
        assert isinstance(answer.choices[0].message.parsed, Trip)

    def test_a_stream_ends_in_an_instance(self, client: openai.OpenAI, model: str) -> None:
        with client.chat.completions.stream(model=model, messages=says("A trip"), response_format=Trip) as stream:
            kinds = [event.type for event in stream]
            trip = stream.get_final_completion().choices[0].message.parsed
        assert isinstance(trip, Trip)
        assert kinds.count("content.delta") > 1
        assert kinds.count("content.done") == 1

    @pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the SDK's own, about its own type
    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_conversation_goes_on_after_one(self, client: openai.OpenAI, model: str, streamed: bool) -> None:
        """The SDK sends back all it made of the answer, the instance too."""
        messages = says("A trip")
        if streamed:
            with client.chat.completions.stream(model=model, messages=messages, response_format=Trip) as stream:
                message = stream.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.parse(model=model, messages=messages, response_format=Trip)
            message = message.choices[0].message
        reply = client.chat.completions.create(model=model, messages=[*messages, message, *says("Thanks")])
        assert reply.choices[0].message.content == "You said: Thanks"

    def test_an_answer_cut_by_its_limit_is_an_error(self, client: openai.OpenAI, model: str) -> None:
        with pytest.raises(openai.LengthFinishReasonError):
            client.chat.completions.parse(
                model=model, messages=says("A trip"), response_format=Trip, max_completion_tokens=2
            )

    def test_a_refusal_is_told_as_one(self, client: openai.OpenAI, provider: str) -> None:
        """OpenAI finishes a refusal with `stop`. Anthropic's is told as a content filter's, which the SDK raises."""
        messages = says("A trip", script="refusal=I%20cannot")
        if provider == MESSAGES:
            with pytest.raises(openai.ContentFilterFinishReasonError):
                client.chat.completions.parse(model=f"{provider}/{MODEL}", messages=messages, response_format=Trip)
        answer = client.chat.completions.create(model=f"{provider}/{MODEL}", messages=messages)
        assert answer.choices[0].message.refusal == "I cannot"


class TestTools:
    def test_arguments_are_an_instance_of_the_tools_type(self, client: openai.OpenAI, model: str) -> None:
        answer = client.chat.completions.parse(
            model=model, messages=says("get_weather of 'Oslo' for 3 days"), tools=[WEATHER]
        )
        [call] = answer.choices[0].message.tool_calls or []
        assert call.function.parsed_arguments == get_weather(city="Oslo", days=3)
        assert answer.choices[0].finish_reason == "tool_calls"

    def test_a_stream_tells_a_calls_arguments_as_they_come(self, client: openai.OpenAI, model: str) -> None:
        messages = says("get_weather of 'Oslo' for 3 days")
        with client.chat.completions.stream(model=model, messages=messages, tools=[WEATHER]) as stream:
            events = list(stream)
        deltas = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
        [done] = [event for event in events if event.type == "tool_calls.function.arguments.done"]
        assert "".join(event.arguments_delta for event in deltas) == done.arguments
        assert done.parsed_arguments == get_weather(city="Oslo", days=3)

    @pytest.mark.parametrize("streamed", [False, True])
    def test_several_tools_are_called_at_once(self, client: openai.OpenAI, model: str, streamed: bool) -> None:
        calls = called(client, model, streamed=streamed, tools=[WEATHER, TIME])
        assert [call.function.name for call in calls] == ["get_weather", "get_time"]
        assert len({call.id for call in calls}) == 2

    @pytest.mark.parametrize("streamed", [False, True])
    def test_one_tool_at_a_time_where_asked_for(self, client: openai.OpenAI, model: str, streamed: bool) -> None:
        calls = called(client, model, streamed=streamed, tools=[WEATHER, TIME], parallel_tool_calls=False)
        assert [call.function.name for call in calls] == ["get_weather"]

    @pytest.mark.parametrize(
        ("choice", "names"),
        [
            ("none", []),
            ("required", ["get_weather"]),
            ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
        ],
    )
    def test_which_tool_is_called_can_be_chosen(
        self, client: openai.OpenAI, model: str, choice: Any, names: list[str]
    ) -> None:
        answer = client.chat.completions.create(
            model=model, messages=says("Hello"), tools=[WEATHER, TIME], tool_choice=choice
        )
        assert [call.function.name for call in function_calls(answer)] == names

    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_conversation_goes_on_after_a_tools_result(
        self, client: openai.OpenAI, model: str, streamed: bool
    ) -> None:
        """The SDK's own message is sent back as it came, with a result for each of its calls."""
        messages = says("get_weather and get_time of 'Oslo'")
        message = answered(client, model, streamed=streamed, messages=messages, tools=[WEATHER, TIME]).message
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} says {UNICODE}"}
            for call in message.tool_calls
        ]
        reply = client.chat.completions.create(
            model=model, messages=[*messages, message, *results], tools=[WEATHER, TIME]
        )
        told = reply.choices[0].message.content or ""
        assert f"get_weather says {UNICODE}" in told
        assert f"get_time says {UNICODE}" in told

    @pytest.mark.parametrize("streamed", [False, True])
    def test_thoughts_go_back_with_the_calls_they_led_to(
        self, client: openai.OpenAI, upstream: RunningUpstream, streamed: bool
    ) -> None:
        """Anthropic wants them signed as it gave them: the SDK must have been able to put them together."""
        wanted = {"tools": [TIME], "extra_body": {"reasoning_effort": "low"}}
        messages = says(f"get_time of '{uuid.uuid4().hex}'", script="tool=get_time;reasoning=First%20I%20think")
        message = answered(client, MESSAGES_MODEL, streamed=streamed, messages=messages, **wanted).message
        [call] = message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "Noon"}
        client.chat.completions.create(model=MESSAGES_MODEL, messages=[*messages, message, result], **wanted)
        [told] = [
            request.json["messages"][1]["content"]
            for request in upstream.requests()
            if f'"tool_use_id":"{call.id}"' in (request.body or "")
        ]
        assert [block["type"] for block in told] == ["thinking", "tool_use"]
        assert told[0]["thinking"] == "First I think"
        assert told[0]["signature"]


def answered(client: openai.OpenAI, model: str, *, streamed: bool, **wanted: Any) -> Any:
    """The choice, whole or put together by the SDK."""
    if not streamed:
        return client.chat.completions.create(model=model, **wanted).choices[0]
    with client.chat.completions.stream(model=model, **wanted) as stream:
        return stream.get_final_completion().choices[0]


def called(client: openai.OpenAI, model: str, *, streamed: bool, **wanted: Any) -> list[Any]:
    messages = says("get_weather and get_time of 'Oslo'")
    return list(answered(client, model, streamed=streamed, messages=messages, **wanted).message.tool_calls or ())


def function_calls(answer: Any) -> list[Any]:
    return list(answer.choices[0].message.tool_calls or ())


class TestUnicode:
    def test_in_an_answer(self, client: openai.OpenAI, model: str) -> None:
        answer = client.chat.completions.create(model=model, messages=says(UNICODE))
        assert answer.choices[0].message.content == f"You said: {UNICODE}"

    async def test_in_a_stream(self, async_client: openai.AsyncOpenAI, model: str) -> None:
        stream = await async_client.chat.completions.create(model=model, messages=says(UNICODE), stream=True)
        async with stream:
            assert joined([chunk async for chunk in stream]) == f"You said: {UNICODE}"

    @pytest.mark.parametrize("streamed", [False, True])
    def test_in_a_tools_arguments(self, client: openai.OpenAI, model: str, streamed: bool) -> None:
        wanted = {"messages": says(f"get_time of '{UNICODE}'"), "tools": [TIME]}
        [call] = answered(client, model, streamed=streamed, **wanted).message.tool_calls
        assert json.loads(call.function.arguments) == {"city": UNICODE}

    def test_in_a_system_message_and_a_schema(self, client: openai.OpenAI, model: str) -> None:
        schema = {"type": "object", "properties": {"città": {"type": "string", "enum": [UNICODE]}}}
        schema |= {"required": ["città"], "additionalProperties": False}
        answer = client.chat.completions.create(
            model=model,
            messages=[{"role": "system", "content": UNICODE}, *says("Where?")],
            response_format={"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}},
        )
        assert json.loads(answer.choices[0].message.content or "") == {"città": UNICODE}


class TestErrors:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("temperature", "hot"),
            ("top_p", "most"),
            ("stop", 5),
            ("tool_choice", "sometimes"),
            ("messages", [{"role": "wizard", "content": "Hello"}]),
            ("messages", [{"role": "user", "content": 5}]),
            ("messages", [{"role": "user"}]),
            ("tools", [{"type": "function"}]),
            ("response_format", {"type": "json_schema"}),
        ],
    )
    @pytest.mark.parametrize("stream", [False, True])
    def test_a_bad_field_is_a_bad_request(
        self, client: openai.OpenAI, provider: str, stream: bool, field: str, value: Any
    ) -> None:
        """Refused by the vendor or by the translation to its dialect: told by name either way."""
        tools = [WEATHER] if field == "tool_choice" else None
        body = {"model": f"{provider}/{MODEL}", "messages": says("Hello"), "stream": stream, field: value}
        with pytest.raises(openai.BadRequestError) as raised:
            client.post("/chat/completions", body=body | ({"tools": tools} if tools else {}), cast_to=object)
        assert raised.value.type == "invalid_request_error"
        assert field in f"{raised.value.param} {raised.value.message}"

    @pytest.mark.parametrize(
        ("field", "value"),
        [("logprobs", True), ("n", 2), ("response_format", {"type": "json_object"}), ("logit_bias", {"50256": -100})],
    )
    def test_what_the_dialect_cannot_say_is_refused_by_name(
        self, client: openai.OpenAI, field: str, value: Any
    ) -> None:
        with pytest.raises(openai.BadRequestError) as raised:
            client.chat.completions.create(model=MESSAGES_MODEL, messages=says("Hello"), extra_body={field: value})
        assert (raised.value.param, raised.value.code) == (field, "unsupported_parameter")

    @pytest.mark.parametrize(
        ("temperature", "code"),
        [("hot", "invalid_type"), (3, "decimal_above_max_value"), (-1, "decimal_below_min_value")],
    )
    def test_the_vendors_code_and_param_are_passed_on(self, client: openai.OpenAI, temperature: Any, code: str) -> None:
        with pytest.raises(openai.BadRequestError) as raised:
            client.chat.completions.create(
                model=f"{CHAT}/{MODEL}", messages=says("Hello"), extra_body={"temperature": temperature}
            )
        assert (raised.value.param, raised.value.code) == ("temperature", code)

    async def test_a_rate_limit_says_how_long_to_wait(self, async_client: openai.AsyncOpenAI, provider: str) -> None:
        with pytest.raises(openai.RateLimitError) as raised:
            await async_client.chat.completions.create(
                model=f"{provider}/{LIMITED}",
                messages=says("Hello"),
                extra_headers={"X-Gateway-Timeout-Ms": "500"},
            )
        assert raised.value.response.headers["Retry-After"] == "1"

    def test_a_stream_that_breaks_is_an_error_after_its_words(self, client: openai.OpenAI, provider: str) -> None:
        received = []
        stream = client.chat.completions.create(model=f"{provider}/{BREAKS}", messages=says("Hello"), stream=True)
        with stream, pytest.raises(openai.APIError, match="The provider failed"):
            for chunk in stream:
                received.append(chunk)
        assert joined(received) == "w0 w1 w2 w3"
