"""The official OpenAI client, as shipped, against a live server: what it gets, and which of its errors it raises."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionChunk

from tests.process.gateway_process import Gateway
from tests.upstream.answers import words
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process

SLASHES_AND_COLONS = "vendor/family:latest"


def options(gateway: Gateway, key: str = "main") -> dict[str, Any]:
    return {"base_url": f"{gateway.url}/v1", "api_key": gateway.installation.keys[key], "max_retries": 0, "timeout": 20}


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(**options(gateway)) as made:
        yield made


@pytest_asyncio.fixture
async def async_client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(**options(gateway)) as made:
        yield made


def says(text: str, *, script: str = "") -> Any:
    """Messages of one user turn, with what the upstream shall do in front."""
    return [{"role": "user", "content": f"#!{script}\n{text}" if script else text}]


def joined(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def usages(chunks: list[ChatCompletionChunk]) -> list[int]:
    """Tokens of the chunks that carry a usage, with `None` for none."""
    return [chunk.usage.total_tokens for chunk in chunks if chunk.usage is not None]


class TestAnswers:
    def test_a_whole_answer(self, client: openai.OpenAI) -> None:
        answer = client.chat.completions.create(model="cheap", messages=says("Hello"))
        assert answer.choices[0].message.content == "You said: Hello"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (1, 3)

    async def test_a_whole_answer_asynchronously(self, async_client: openai.AsyncOpenAI) -> None:
        answer = await async_client.chat.completions.create(model="cheap", messages=says("Hello"))
        assert answer.choices[0].message.content == "You said: Hello"

    def test_a_streams_words_are_the_upstreams(self, client: openai.OpenAI) -> None:
        with client.chat.completions.create(
            model="cheap", messages=says("", script="chunks=62"), stream=True
        ) as stream:
            chunks = list(stream)
        assert joined(chunks) == words(62)
        assert [choice.finish_reason for choice in chunks[-1].choices] == ["stop"]

    async def test_a_streams_words_arrive_one_by_one(self, async_client: openai.AsyncOpenAI) -> None:
        messages = says("", script="chunks=20;delay_ms=5")
        stream = await async_client.chat.completions.create(model="cheap", messages=messages, stream=True)
        async with stream:
            chunks = [chunk async for chunk in stream]
        assert joined(chunks) == words(20)
        assert len(chunks) >= 20

    def test_the_helper_that_accumulates_a_stream(self, client: openai.OpenAI) -> None:
        with client.chat.completions.stream(model="cheap", messages=says("", script="chunks=9")) as stream:
            assert stream.get_final_completion().choices[0].message.content == words(9)

    def test_usage_comes_at_the_end_of_a_stream_that_asks(self, client: openai.OpenAI) -> None:
        with client.chat.completions.create(
            model="cheap",
            messages=says("", script="chunks=5"),
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            chunks = list(stream)
        assert usages(chunks) == [6]
        assert chunks[-1].usage is not None
        assert chunks[-1].choices == []

    def test_no_usage_comes_where_nobody_asked(self, client: openai.OpenAI) -> None:
        with client.chat.completions.create(model="cheap", messages=says("", script="chunks=5"), stream=True) as stream:
            chunks = list(stream)
        assert usages(chunks) == []
        assert all(chunk.choices for chunk in chunks)

    def test_the_raw_response_shows_what_was_decided(self, client: openai.OpenAI) -> None:
        raw = client.chat.completions.with_raw_response.create(model="cheap", messages=says("Hello"))
        shown = {name.lower(): value for name, value in raw.headers.items() if name.lower().startswith("x-gateway-")}
        assert uuid.UUID(shown.pop("x-gateway-request-id")).version == 7
        assert float(shown.pop("x-gateway-cost-usd")) > 0
        shown.pop("x-gateway-score", None)
        assert shown == {
            "x-gateway-provider": "upstream",
            "x-gateway-model": "cheap",
            "x-gateway-layer": "L1",
            "x-gateway-attempts": "1",
        }
        assert raw.parse().choices[0].message.content == "You said: Hello"

    def test_a_raw_stream_has_the_headers_before_its_words(self, client: openai.OpenAI) -> None:
        with client.chat.completions.with_streaming_response.create(
            model="cheap", messages=says("", script="chunks=5"), stream=True
        ) as raw:
            assert raw.headers["X-Gateway-Model"] == "cheap"
            assert "X-Gateway-Cost-USD" not in raw.headers
            text = "".join(raw.iter_text())
        assert ": X-Gateway-Cost-USD: 0.0000" in text
        assert text.endswith("data: [DONE]\n\n")

    def test_auto_is_decided_by_the_gateway(self, client: openai.OpenAI) -> None:
        raw = client.chat.completions.with_raw_response.create(model="auto", messages=says("Hi"))
        assert raw.headers["X-Gateway-Layer"] == "L0"
        assert float(raw.headers["X-Gateway-Score"]) < 0.25

    def test_fields_the_gateway_does_not_know_reach_the_upstream(
        self, client: openai.OpenAI, upstream: RunningUpstream
    ) -> None:
        nonce = uuid.uuid4().hex
        client.chat.completions.create(
            model="cheap", messages=says(nonce), temperature=0, seed=7, extra_body={"of_tomorrow": {"a": [1.50, None]}}
        )
        [sent] = [request.json for request in upstream.requests() if nonce in (request.body or "")]
        assert (sent["temperature"], sent["seed"], sent["of_tomorrow"]) == (0, 7, {"a": [1.5, None]})


class TestErrors:
    def test_an_unknown_key(self, gateway: Gateway) -> None:
        with (
            openai.OpenAI(**options(gateway) | {"api_key": "agw_unknown"}) as stranger,
            pytest.raises(openai.AuthenticationError) as raised,
        ):
            stranger.chat.completions.create(model="cheap", messages=says("Hello"))
        assert raised.value.code == "invalid_api_key"

    async def test_an_unknown_key_asynchronously(self, gateway: Gateway) -> None:
        async with openai.AsyncOpenAI(**options(gateway) | {"api_key": "agw_unknown"}) as stranger:
            with pytest.raises(openai.AuthenticationError):
                await stranger.chat.completions.create(model="cheap", messages=says("Hello"))

    def test_an_unknown_model_comes_with_near_names(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError, match="Did you mean premium") as raised:
            client.chat.completions.create(model="premum", messages=says("Hello"))
        assert (raised.value.code, raised.value.param) == ("model_not_found", "model")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("model", 1),
            ("messages", "Hello"),
            ("messages", []),
            ("max_tokens", "many"),
            ("stream", "yes"),
            ("tools", 3),
        ],
    )
    def test_a_wrong_type_is_named(self, client: openai.OpenAI, field: str, value: Any) -> None:
        body: dict[str, Any] = {"model": "cheap", "messages": says("Hello"), field: value}
        with pytest.raises(openai.BadRequestError) as raised:
            client.post("/chat/completions", body=body, cast_to=object)
        assert raised.value.type == "invalid_request_error"
        assert raised.value.param == field

    def test_a_layer_that_does_not_exist(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError, match="the layers are L0, L1, L2, L3"):
            client.chat.completions.create(model="auto:L9", messages=says("Hello"))

    def test_the_only_model_is_rate_limited(self, client: openai.OpenAI) -> None:
        """For longer than the request may take: there is no use in waiting here."""
        with pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(
                model="limited?status=429;retry_after=7",
                messages=says("Hello"),
                extra_headers={"X-Gateway-Timeout-Ms": "2000"},
            )
        assert raised.value.response.headers["Retry-After"] == "7"

    def test_the_only_model_fails(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.InternalServerError) as raised:
            client.chat.completions.create(model="failing?status=500", messages=says("Hello"))
        assert raised.value.status_code == 502
        assert [step["outcome"] for step in trail_of(raised.value)] == ["server_error", "server_error"]

    def test_the_only_model_is_silent_until_the_deadline(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.InternalServerError) as raised:
            client.chat.completions.create(
                model="silent?stall=headers", messages=says("Hello"), extra_headers={"X-Gateway-Timeout-Ms": "300"}
            )
        assert (raised.value.status_code, raised.value.code) == (504, "deadline_exceeded")

    def test_a_failing_stream_is_an_error_before_it_is_a_stream(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="failing?status=500", messages=says("Hello"), stream=True)

    @pytest.mark.parametrize(
        ("wanted", "error", "code"),
        [
            ({"model": "premium"}, openai.NotFoundError, "model_not_found"),
            (
                {"model": "auto", "extra_headers": {"X-Gateway-Layer": "=L3"}},
                openai.PermissionDeniedError,
                "model_not_allowed",
            ),
        ],
    )
    def test_a_layer_the_key_may_not_use(
        self, gateway: Gateway, wanted: dict[str, Any], error: type[openai.APIStatusError], code: str
    ) -> None:
        with openai.OpenAI(**options(gateway, key="fenced")) as fenced, pytest.raises(error) as raised:
            fenced.chat.completions.create(messages=says("Hello"), **wanted)
        assert raised.value.code == code

    def test_the_vendors_refusal_is_passed_on(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.UnprocessableEntityError, match="Scripted failure 422"):
            client.chat.completions.create(model="cheap", messages=says("Hello", script="status=422"))

    def test_a_stream_that_breaks_after_content(self, client: openai.OpenAI) -> None:
        received = []
        stream = client.chat.completions.create(model="breaks?chunks=8;cut=mid", messages=says("Hello"), stream=True)
        with stream, pytest.raises(openai.APIError, match="The provider failed"):
            for chunk in stream:
                received.append(chunk)
        assert joined(received) == "w0 w1 w2 w3"

    async def test_a_stream_that_breaks_after_content_asynchronously(self, async_client: openai.AsyncOpenAI) -> None:
        stream = await async_client.chat.completions.create(
            model="breaks?chunks=8;cut=mid", messages=says("Hello"), stream=True
        )
        async with stream:
            with pytest.raises(openai.APIError):
                async for _ in stream:
                    pass


def trail_of(error: openai.APIStatusError) -> list[dict[str, Any]]:
    assert isinstance(error.body, dict)
    trail: list[dict[str, Any]] = error.body["gateway"]["trail"]
    return trail


class TestModels:
    def test_every_model_is_listed(self, client: openai.OpenAI) -> None:
        listed = {model.id: model.owned_by for model in client.models.list()}
        assert {"free", "cheap", "premium", SLASHES_AND_COLONS} <= set(listed)
        assert set(listed.values()) == {"upstream"}

    @pytest.mark.parametrize("name", [SLASHES_AND_COLONS, f"upstream/{SLASHES_AND_COLONS}", "flaky?status=503"])
    def test_one_is_found_by_an_id_with_any_characters(self, client: openai.OpenAI, name: str) -> None:
        assert client.models.retrieve(name).id == name

    async def test_one_is_found_asynchronously(self, async_client: openai.AsyncOpenAI) -> None:
        assert (await async_client.models.retrieve(SLASHES_AND_COLONS)).id == SLASHES_AND_COLONS
        assert "cheap" in [model.id async for model in async_client.models.list()]

    @pytest.mark.parametrize("name", [SLASHES_AND_COLONS, f"upstream/{SLASHES_AND_COLONS}"])
    def test_it_answers_by_the_same_id(self, client: openai.OpenAI, name: str) -> None:
        raw = client.chat.completions.with_raw_response.create(model=name, messages=says("Hello"))
        assert raw.headers["X-Gateway-Model"] == SLASHES_AND_COLONS

    def test_an_unknown_one_is_not_found(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError, match="Did you mean"):
            client.models.retrieve("vendor/family:lates")

    def test_a_fenced_key_is_shown_what_it_may_use(self, gateway: Gateway) -> None:
        with openai.OpenAI(**options(gateway, key="fenced")) as fenced:
            listed = {model.id for model in fenced.models.list()}
        assert "cheap" in listed
        assert "premium" not in listed


class TestFallOver:
    """L1 holds a model that always answers 503 before one that works, L2 only models that fail, L3 one that works."""

    @pytest.mark.parametrize("stream", [False, True])
    def test_the_next_model_of_the_layer_takes_over(
        self, gateway: Gateway, client: openai.OpenAI, stream: bool
    ) -> None:
        with client.chat.completions.with_streaming_response.create(
            model="auto:L1",
            messages=says("Hello"),
            stream=stream,
            extra_headers={"X-Session-Id": (nonce := new_nonce())},
        ) as raw:
            assert "said" in "".join(raw.iter_text())
        assert (raw.headers["X-Gateway-Model"], raw.headers["X-Gateway-Layer"]) == ("cheap", "L1")
        assert_agree(gateway, nonce, raw.headers["X-Gateway-Attempts"])
        steps = gateway.installation.row_of(nonce).trail
        assert [(step["model"], step["outcome"]) for step in steps] == [
            ("flaky?status=503", "server_error"),
            ("flaky?status=503", "server_error"),
            ("cheap", "ok"),
        ]

    def test_the_next_layer_takes_over_when_one_is_exhausted(self, gateway: Gateway, client: openai.OpenAI) -> None:
        raw = client.chat.completions.with_raw_response.create(
            model="auto:L2", messages=says("Hello"), extra_headers={"X-Session-Id": (nonce := new_nonce())}
        )
        assert (raw.headers["X-Gateway-Model"], raw.headers["X-Gateway-Layer"]) == ("premium", "L3")
        assert_agree(gateway, nonce, raw.headers["X-Gateway-Attempts"])
        steps = gateway.installation.row_of(nonce).trail
        assert [(step["layer"], step["outcome"]) for step in steps] == [
            ("L2", "server_error"),
            ("L2", "server_error"),
            ("L2", "unreachable"),
            ("L2", "unreachable"),
            ("L3", "ok"),
        ]

    def test_a_fence_keeps_the_next_layer_out(self, gateway: Gateway, client: openai.OpenAI) -> None:
        headers = {"X-Session-Id": (nonce := new_nonce()), "X-Gateway-Layer": "=L2"}
        with pytest.raises(openai.InternalServerError) as raised:
            client.chat.completions.create(model="auto", messages=says("Hello"), extra_headers=headers)
        assert raised.value.status_code == 502
        assert len(trail_of(raised.value)) == 4
        assert_agree(gateway, nonce, raised.value.response.headers["X-Gateway-Attempts"])

    def test_a_list_of_models_falls_over_in_its_order(self, gateway: Gateway, client: openai.OpenAI) -> None:
        raw = client.chat.completions.with_raw_response.create(
            model="failing?status=500", messages=says("Hello"), extra_body={"models": ["premium", "cheap"]}
        )
        assert raw.headers["X-Gateway-Model"] == "premium"


def new_nonce() -> str:
    return uuid.uuid4().hex


def assert_agree(gateway: Gateway, nonce: str, attempts: str) -> None:
    """The header, the row's count and the row's trail say the same."""
    row = gateway.installation.row_of(nonce)
    assert int(attempts) == row.attempts == len(row.trail)
