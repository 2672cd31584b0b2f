"""npm's `openai`, and `ai` over `@ai-sdk/openai-compatible`, against the gateway: the scripts of `tests/npm`."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.process.clients import node
from tests.process.clients.rows import BREAKS, LIMITED, MODEL, PROVIDERS, UNICODE
from tests.process.gateway_process import Gateway, Row, eventually

pytestmark = [pytest.mark.process, pytest.mark.timeout(node.INSTALL_S + node.RUN_S)]

PLACE = {"name": "text", "heights": [1], "note": "text"}
"""What the upstream makes of the schema that the scripts send."""
ECHO = f"You said: {UNICODE}"
WAITED_MS = 1000


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a script's cases gave, by name."""

    provider: str
    session: str
    cases: dict[str, Any] = field(repr=False)

    def value(self, case: str) -> Any:
        outcome = self.cases[case]
        assert "error" not in outcome, outcome
        return outcome["value"]

    def error(self, case: str) -> dict[str, Any]:
        outcome = self.cases[case]
        assert "error" in outcome, outcome
        error: dict[str, Any] = outcome["error"]
        return error


def outcomes(script: str, *, provider: str, gateway: Gateway, folder: Path) -> Outcomes:
    session = uuid.uuid4().hex
    given = {
        "baseURL": f"{gateway.url}/v1",
        "apiKey": gateway.installation.keys["main"],
        "model": f"{provider}/{MODEL}",
        "limited": f"{provider}/{LIMITED}",
        "breaks": f"{provider}/{BREAKS}",
        "text": UNICODE,
        "session": session,
    }
    return Outcomes(provider, session, node.run(script, given=given, folder=folder))


@pytest.fixture(scope="module", params=PROVIDERS)
def official(request: pytest.FixtureRequest, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return outcomes("openai.mjs", provider=request.param, gateway=gateway, folder=tmp_path_factory.mktemp("openai"))


@pytest.fixture(scope="module", params=PROVIDERS)
def ai(request: pytest.FixtureRequest, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return outcomes("ai.mjs", provider=request.param, gateway=gateway, folder=tmp_path_factory.mktemp("ai"))


def rate_limited_rows(gateway: Gateway, session: str) -> list[Row]:
    """Both requests of a client that came back once."""

    def both() -> list[Row]:
        rows = gateway.installation.rows(f"session = '{session}'")
        return rows if len(rows) == 2 else []

    return eventually(both, what="two requests of one client")


class TestOpenAI:
    def test_a_text(self, official: Outcomes) -> None:
        told = official.value("text")
        assert told["content"] == ECHO
        assert told["tokens"] > 0

    def test_a_stream(self, official: Outcomes) -> None:
        assert official.value("stream") == {"content": ECHO, "usages": 1, "finished": ["stop"]}

    @pytest.mark.parametrize("case", ["tools", "streamedTools"])
    def test_a_tools_arguments_are_parsed(self, official: Outcomes, case: str) -> None:
        assert official.value(case) == [{"city": UNICODE, "days": 3}]

    def test_it_runs_tools_until_there_is_an_answer(self, official: Outcomes) -> None:
        told = official.value("toolLoop")
        assert told == {"asked": [UNICODE], "content": f"The result is: fine in {UNICODE}"}

    @pytest.mark.parametrize("case", ["object", "streamedObject"])
    def test_an_answer_keeps_to_a_zod_schema(self, official: Outcomes, case: str) -> None:
        assert official.value(case) == PLACE

    @pytest.mark.parametrize(
        ("case", "kind", "code", "param"),
        [
            ("unknownKey", "AuthenticationError", "invalid_api_key", None),
            ("unknownModel", "NotFoundError", "model_not_found", "model"),
        ],
    )
    def test_what_the_gateway_refuses_has_its_class(
        self, official: Outcomes, case: str, kind: str, code: str, param: str | None
    ) -> None:
        error = official.error(case)
        assert (error["kind"], error["code"], error["param"]) == (kind, code, param)

    def test_what_the_vendor_refuses_is_a_bad_request(self, official: Outcomes) -> None:
        error = official.error("badRequest")
        assert (error["kind"], error["type"]) == ("BadRequestError", "invalid_request_error")
        assert "temperature" in f"{error['param']} {error['message']}"

    def test_it_comes_back_after_the_wait_it_was_told(self, official: Outcomes, gateway: Gateway) -> None:
        error = official.error("rateLimit")
        assert (error["kind"], error["headers"]["retry-after"]) == ("RateLimitError", "1")
        assert official.cases["rateLimit"]["ms"] >= WAITED_MS
        assert [row.status for row in rate_limited_rows(gateway, official.session)] == [429, 429]

    def test_a_stream_that_breaks_raises_after_its_words(self, official: Outcomes) -> None:
        error = official.error("midStream")
        assert (error["kind"], error["type"]) == ("APIError", "api_error")
        assert official.cases["midStream"]["partial"] == {"content": "w0 w1 w2 w3"}


class TestAi:
    def test_a_text(self, ai: Outcomes) -> None:
        told = ai.value("text")
        assert told["content"] == ECHO
        assert told["tokens"] > 0

    def test_a_stream(self, ai: Outcomes) -> None:
        told = ai.value("stream")
        assert (told["content"], told["finished"]) == (ECHO, "stop")
        assert told["tokens"] == ai.value("text")["tokens"]

    @pytest.mark.parametrize("case", ["toolLoop", "streamedToolLoop"])
    def test_it_runs_tools_until_there_is_an_answer(self, ai: Outcomes, case: str) -> None:
        assert ai.value(case) == {
            "asked": [{"city": UNICODE, "days": 3}],
            "content": f"The result is: fine in {UNICODE}",
            "steps": 2,
        }

    @pytest.mark.parametrize("case", ["object", "streamedObject"])
    def test_an_object_keeps_to_its_schema(self, ai: Outcomes, case: str) -> None:
        assert ai.value(case) == PLACE

    @pytest.mark.parametrize("case", ["reasoning", "streamedReasoning"])
    def test_thoughts_are_told_apart_from_the_answer(self, ai: Outcomes, case: str) -> None:
        assert ai.value(case) == {"reasoning": "First I think", "content": ECHO}

    @pytest.mark.parametrize(
        ("case", "status", "code"),
        [("unknownKey", 401, "invalid_api_key"), ("unknownModel", 404, "model_not_found")],
    )
    def test_what_the_gateway_refuses_is_not_tried_again(self, ai: Outcomes, case: str, status: int, code: str) -> None:
        error = ai.error(case)
        assert (error["kind"], error["statusCode"], error["isRetryable"]) == ("APICallError", status, False)
        assert json.loads(error["responseBody"])["error"]["code"] == code

    def test_what_the_vendor_refuses_is_not_tried_again(self, ai: Outcomes) -> None:
        error = ai.error("badRequest")
        assert (error["kind"], error["statusCode"], error["isRetryable"]) == ("APICallError", 400, False)
        assert "temperature" in error["responseBody"]

    def test_it_comes_back_after_the_wait_it_was_told(self, ai: Outcomes, gateway: Gateway) -> None:
        error = ai.error("rateLimit")
        assert (error["kind"], error["lastError"]["statusCode"]) == ("RetryError", 429)
        assert ai.cases["rateLimit"]["ms"] >= WAITED_MS
        assert [row.status for row in rate_limited_rows(gateway, ai.session)] == [429, 429]

    def test_a_stream_that_breaks_raises_after_its_words(self, ai: Outcomes) -> None:
        assert "The provider failed" in ai.error("midStream")["message"]
        assert ai.cases["midStream"]["partial"] == {"content": "w0 w1 w2 w3"}
