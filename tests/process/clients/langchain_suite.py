"""LangChain's standard tests of a chat model, whole: `ChatOpenAI` against the gateway that the environment names.

Not collected with the other tests: `test_langchain` runs this file in a process of its own, once for each dialect,
because importing LangChain takes longer than all these tests. Every capability that the suite asks for is claimed, so
that nothing is skipped; what a dialect has not is an expected failure, with its reason.

What the suite would download is made here, and its stop watch, which wants a recording, runs once without one.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.integration_tests import chat_models as suite

from tests.process.clients.rows import CHAT, MESSAGES, MODEL, OTHER_MODEL

BASE_URL, API_KEY = "SUITE_BASE_URL", "SUITE_API_KEY"
"""Environment variables of this process."""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n%%EOF\n"
WAV = base64.b64decode("UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=")
FILES = {".png": PNG, ".pdf": PDF, ".wav": WAV}


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite gets its image, document and recording from here."""

    def get(url: str, **_options: Any) -> SimpleNamespace:
        return SimpleNamespace(content=FILES[url[url.rindex(".") :]])

    monkeypatch.setattr(suite, "httpx", SimpleNamespace(get=get))
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "nobody")


@pytest.fixture
def vcr() -> SimpleNamespace:
    """A recording without anything in it: the suite then streams once, unmeasured."""
    return SimpleNamespace(responses=[])


@pytest.fixture
def benchmark() -> Callable[[Callable[[], None]], None]:
    return lambda measured: measured()


class Standard(ChatModelIntegrationTests):
    """All capabilities; the provider is the subclass's."""

    provider = ""
    expected_failures: Mapping[str, str] = {}
    """Reasons by the test's name: it must raise OpenAI's error of a bad request."""

    @pytest.fixture(autouse=True)
    def expect_failure(self, request: pytest.FixtureRequest) -> None:
        if reason := self.expected_failures.get(request.node.name):
            request.applymarker(pytest.mark.xfail(reason=reason, raises=openai.BadRequestError))

    @property
    def chat_model_class(self) -> type[ChatOpenAI]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "base_url": os.environ[BASE_URL],
            "api_key": os.environ[API_KEY],
            "model": f"{self.provider}/{MODEL}",
            "stream_usage": True,
            "max_retries": 0,
        }

    @property
    def model_override_value(self) -> str:
        return OTHER_MODEL

    has_tool_calling = True
    has_tool_choice = True
    has_structured_output = True
    supports_json_mode = True
    supports_image_inputs = True
    supports_image_urls = True
    supports_image_tool_message = True
    supports_pdf_inputs = True
    supports_pdf_tool_message = True
    supports_audio_inputs = True
    supports_anthropic_inputs = True
    enable_vcr_tests = True
    supported_usage_metadata_details = {
        kind: ["reasoning_output", "cache_read_input", "cache_creation_input"] for kind in ("invoke", "stream")
    }

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._answer("reasoning=First%20I%20think", stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return self._answer("cached=12", stream=stream)

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        return self._answer("cache_write=5", stream=stream)

    def _answer(self, script: str, *, stream: bool) -> AIMessage:
        model = ChatOpenAI(**self.chat_model_params)
        prompt = f"#!{script}\nHello"
        if not stream:
            return model.invoke(prompt)
        full: AIMessageChunk | None = None
        for chunk in model.stream(prompt):
            assert isinstance(chunk, AIMessageChunk)
            full = chunk if full is None else full + chunk
        assert full is not None
        return full


class TestChat(Standard):
    provider = CHAT
    expected_failures = {"test_pdf_tool_message": "OpenAI's tool messages hold no files: the vendor refuses"}


class TestMessages(Standard):
    provider = MESSAGES
    expected_failures = {
        "test_json_mode": "Messages has no JSON mode: refused by name",
        "test_audio_inputs": "Messages takes no audio: refused",
    }


del Standard, ChatModelIntegrationTests  # pytest would run them too
