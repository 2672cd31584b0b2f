"""Models that quickstart finds come with what their server says of them, if it says so at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from gateway import adoption, describing, discovery
from gateway.discovery import Finding, FoundModel, State
from providers.models import Model, Provider
from routing.models import Layer
from tests.unit.gateway.list_server import ListServer, running

pytestmark = pytest.mark.django_db


@pytest.fixture
def server() -> Iterator[ListServer]:
    with running() as made:
        yield made


@pytest.fixture(autouse=True)
def only_our_own_rows() -> None:
    Provider.objects.all().delete()
    Layer.objects.get_or_create(position=0, defaults={"name": "L0", "from_score": 0.0})


def local(slug: str, server: ListServer) -> None:
    Provider.objects.create(
        slug=slug, name=slug, base_url=server.url, is_local=True, needs_credential=False, enabled=False
    )


def found(slug: str, *names: str) -> Finding:
    models = tuple(FoundModel(name, None) for name in names)
    return Finding(slug, slug, True, State.FOUND, models=models)


def test_ollamas_models_get_their_window_and_capabilities(server):
    local("ollama", server)
    server.lists("gemma3:4b")
    shown = {"capabilities": ["completion", "vision", "tools"], "model_info": {"gemma3.context_length": 131072}}
    server.says("/api/show gemma3:4b", shown)
    adoption.adopt(discovery.look(), actor="tests")
    row = Model.objects.get()
    assert (row.context_tokens, row.vision, row.tools, row.json_schema) == (131072, True, True, True)
    assert not row.audio


def test_lm_studios_models_do_too(server):
    local("lmstudio", server)
    listed = {"id": "qwen3-8b", "type": "llm", "max_context_length": 32768, "capabilities": ["tool_use"]}
    server.lists(listed, path="/api/v0/models")
    adoption.adopt([found("lmstudio", "qwen3-8b")], actor="tests")
    row = Model.objects.get()
    assert (row.context_tokens, row.tools) == (32768, True)


def test_a_server_that_tells_nothing_in_time_loses_no_model(server, monkeypatch):
    monkeypatch.setattr(describing, "WITHIN_S", 0.1)
    local("ollama", server)
    server.silent.clear()
    started_at = time.monotonic()
    adoption.adopt([found("ollama", "gemma3")], actor="tests")
    assert time.monotonic() - started_at < 5
    assert (Model.objects.get().context_tokens, Model.objects.get().tools) == (None, False)


def test_a_list_that_cannot_be_read_loses_no_model(server):
    local("ollama", server)
    server.says("/api/show gemma3", {"model_info": {"gemma3.context_length": "long"}})
    adoption.adopt([found("ollama", "gemma3")], actor="tests")
    assert Model.objects.get().context_tokens is None


def test_nobody_is_asked_about_models_that_have_a_row(server):
    local("ollama", server)
    Model.objects.create(provider=Provider.objects.get(), name="gemma3")
    adoption.adopt([found("ollama", "gemma3")], actor="tests")
    assert server.seen == []
