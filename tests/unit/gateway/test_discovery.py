import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from rich.console import Console

from analytics.models import AuditEntry
from gateway import adoption, discovery
from gateway.adoption import Embedded
from gateway.discovery import State
from providers import embedded
from providers.models import Credential, Model, Provider
from routing.models import Candidate, Layer

pytestmark = pytest.mark.django_db

ENV_VAR = "TEST_DISCOVERY_API_KEY"
KEY = "sk-test-1234567890abcdef"
ACTOR = "test"


@dataclass
class Vendor:
    """A real HTTP server on loopback that answers every GET the same way."""

    url: str = ""
    status: int = 200
    body: bytes = b'{"object": "list", "data": []}'
    location: str = ""
    silent: threading.Event | None = None
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def lists(self, *entries: dict[str, object] | str) -> None:
        data = [entry if isinstance(entry, dict) else {"id": entry} for entry in entries]
        self.body = json.dumps({"object": "list", "data": data}).encode()


@contextmanager
def running(vendor: Vendor) -> Iterator[Vendor]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            vendor.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            if vendor.silent is not None:
                vendor.silent.wait(10)
            self.send_response(vendor.status)
            if vendor.location:
                self.send_header("Location", vendor.location)
            self.send_header("Content-Length", str(len(vendor.body)))
            self.end_headers()
            self.wfile.write(vendor.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that gave up are part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    vendor.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield vendor
    finally:
        if vendor.silent is not None:
            vendor.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with running(Vendor()) as started:
        yield started


@pytest.fixture(autouse=True)
def only_our_own_rows(monkeypatch) -> Layer:
    """The cheapest layer; nothing is asked but what a test adds."""
    monkeypatch.delenv(ENV_VAR, raising=False)
    Provider.objects.all().delete()
    return Layer.objects.get_or_create(position=0, defaults={"name": "L0", "from_score": 0.0})[0]


def provider(slug: str, *, url: str, enabled: bool = False, dialect: str = "openai") -> Provider:
    """Marked local, as all servers of these tests are at 127.0.0.1."""
    return Provider.objects.create(slug=slug, name=slug, dialect=dialect, base_url=url, enabled=enabled, is_local=True)


def with_key(slug: str, monkeypatch, *, url: str, dialect: str = "openai") -> Provider:
    row = provider(slug, url=url, enabled=True, dialect=dialect)
    Credential.objects.create(provider=row, env_var=ENV_VAR)
    monkeypatch.setenv(ENV_VAR, KEY)
    return row


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def look_and_adopt() -> list[discovery.Finding]:
    findings = discovery.look()
    adoption.adopt(findings, actor=ACTOR)
    return findings


def embedded_is(installed: bool, monkeypatch) -> None:
    monkeypatch.setattr(embedded, "is_installed", lambda: installed)


@pytest.fixture
def embedded_row(only_our_own_rows) -> Provider:
    row = provider("embedded", url="http://127.0.0.1:3009/v1")
    Candidate.objects.create(layer=only_our_own_rows, model=Model.objects.create(provider=row, name="smollm2"))
    return row


@pytest.fixture
def higher() -> Layer:
    return Layer.objects.get_or_create(position=1, defaults={"name": "L1", "from_score": 0.25})[0]


def test_a_local_server_is_enabled_with_its_models_free_of_charge_in_the_first_layer(vendor, only_our_own_rows):
    vendor.lists("llama3.2:3b", {"id": "Qwen/Qwen3-8B", "max_model_len": 32768})
    row = provider("ollama", url=vendor.url)

    look_and_adopt()

    row.refresh_from_db()
    assert row.enabled
    assert dict(row.models.values_list("name", "context_tokens")) == {"llama3.2:3b": None, "Qwen/Qwen3-8B": 32768}
    assert Candidate.objects.filter(layer=only_our_own_rows, model__provider=row, enabled=True).count() == 2
    for model in row.models.all():
        assert sorted(model.prices.values_list("unit", "usd_per_unit")) == [("input", 0), ("output", 0)]


@pytest.mark.parametrize(
    "name", ["nomic-embed-text:latest", "text-embedding-3", "bge-m3", "all-minilm", "x/bge-reranker"]
)
def test_models_that_do_not_chat_are_left_out(vendor, name):
    vendor.lists(name, "gemma3")
    provider("lmstudio", url=vendor.url)
    look_and_adopt()
    assert [model.name for model in Model.objects.all()] == ["gemma3"]


def test_a_second_look_changes_nothing(vendor):
    vendor.lists("gemma3")
    provider("ollama", url=vendor.url)
    look_and_adopt()
    before = (Model.objects.count(), Candidate.objects.count(), AuditEntry.objects.count())
    look_and_adopt()
    assert (Model.objects.count(), Candidate.objects.count(), AuditEntry.objects.count()) == before


def test_a_provider_that_was_switched_off_stays_off(vendor):
    vendor.lists("gemma3")
    row = provider("ollama", url=vendor.url)
    look_and_adopt()
    Provider.objects.update(enabled=False)
    vendor.lists("gemma3", "llama3")

    look_and_adopt()

    row.refresh_from_db()
    assert not row.enabled
    assert row.models.count() == 1


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"[]", b"[" * 100_000, b'{"data": "no"}', b'{"data": [1]}', b"\xff\xfe"]
)
def test_another_program_at_the_port_is_not_taken_for_a_model_server(vendor, body):
    vendor.body = body
    provider("vllm", url=vendor.url)
    (finding,) = look_and_adopt()
    assert (finding.state, finding.detail) == (State.NOT_RUNNING, "another program listens there")
    assert not Provider.objects.get(slug="vllm").enabled


def test_nobody_at_the_port_is_not_running():
    provider("llamacpp", url=f"http://127.0.0.1:{closed_port()}/v1")
    assert [finding.state for finding in discovery.look()] == [State.NOT_RUNNING]


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(discovery, "TIMEOUT_S", 0.1)
    with running(Vendor(silent=threading.Event())) as silent:
        provider("ollama", url=silent.url)
        (finding,) = discovery.look()
    assert (finding.state, finding.detail) == (State.NOT_RUNNING, "no answer within 0.1 s")


def test_a_key_in_the_environment_is_tried(vendor, monkeypatch):
    with_key("groq", monkeypatch, url=vendor.url)
    assert [finding.state for finding in discovery.look()] == [State.FOUND]
    path, headers = vendor.seen[0]
    assert (path, headers["authorization"]) == ("/v1/models", f"Bearer {KEY}")


def test_a_vendor_that_lists_models_to_anyone_is_asked_about_the_key(vendor, monkeypatch):
    with_key("openrouter", monkeypatch, url=vendor.url)
    discovery.look()
    assert vendor.seen[0][0] == "/v1/key"


def test_anthropic_gets_its_own_header(vendor, monkeypatch):
    with_key("anthropic", monkeypatch, url=vendor.url, dialect="anthropic")
    discovery.look()
    assert vendor.seen[0][1]["x-api-key"] == KEY
    assert "authorization" not in vendor.seen[0][1]


def test_a_provider_without_a_key_is_not_asked(vendor, monkeypatch):
    with_key("groq", monkeypatch, url=vendor.url)
    monkeypatch.delenv(ENV_VAR)
    assert discovery.look() == []
    assert vendor.seen == []


@pytest.mark.parametrize(
    ("status", "state"), [(401, State.KEY_REFUSED), (403, State.KEY_REFUSED), (500, State.UNREACHABLE)]
)
def test_a_refused_key_is_told_from_trouble(vendor, monkeypatch, status, state):
    vendor.status = status
    with_key("groq", monkeypatch, url=vendor.url)
    assert [finding.state for finding in discovery.look()] == [state]


def test_the_key_does_not_follow_a_redirect(vendor, monkeypatch):
    with running(Vendor()) as elsewhere:
        vendor.status, vendor.location = 302, elsewhere.url
        with_key("groq", monkeypatch, url=vendor.url)
        assert [finding.state for finding in discovery.look()] == [State.UNREACHABLE]
        assert elsewhere.seen == []


def test_a_key_with_characters_no_key_has_is_not_sent(vendor, monkeypatch):
    with_key("groq", monkeypatch, url=vendor.url)
    monkeypatch.setenv(ENV_VAR, "sk-“quoted”")
    assert [finding.state for finding in discovery.look()] == [State.KEY_REFUSED]
    assert vendor.seen == []


def test_a_key_is_not_sent_to_a_private_address_unless_the_provider_is_marked_local(vendor, monkeypatch):
    with_key("groq", monkeypatch, url=vendor.url)
    Provider.objects.update(is_local=False)
    (finding,) = discovery.look()
    assert finding.state is State.UNREACHABLE
    assert finding.detail.endswith("mark the provider as local to allow it")
    assert vendor.seen == []


@pytest.mark.parametrize("status", [200, 401, 500])
def test_no_key_is_shown_or_logged(vendor, monkeypatch, caplog, capsys, status):
    vendor.status = status
    with_key("groq", monkeypatch, url=vendor.url)
    with caplog.at_level(logging.DEBUG):
        findings = look_and_adopt()
    Console().print(discovery.table(findings))
    assert KEY not in caplog.text + capsys.readouterr().out + repr(findings)


def test_the_embedded_model_is_not_needed_beside_a_free_one(vendor, monkeypatch, embedded_row):
    embedded_is(True, monkeypatch)
    vendor.lists("gemma3")
    provider("ollama", url=vendor.url)
    assert adoption.adopt(discovery.look(), actor=ACTOR) is Embedded.NOT_NEEDED
    assert adoption.place_embedded(actor="tests") is None


def test_the_embedded_model_fills_in_at_the_port_of_the_settings(monkeypatch, settings, embedded_row):
    settings.LOCAL_MODEL_PORT = 4567
    embedded_is(True, monkeypatch)
    assert adoption.adopt([], actor=ACTOR) is Embedded.ENABLED
    assert adoption.place_embedded(actor="tests") == 4567
    embedded_row.refresh_from_db()
    assert embedded_row.enabled
    assert embedded_row.base_url == "http://127.0.0.1:4567/v1"


def test_the_embedded_model_stays_off_once_somebody_switched_it_off(monkeypatch, embedded_row):
    embedded_is(True, monkeypatch)
    adoption.adopt([], actor=ACTOR)
    Provider.objects.update(enabled=False)
    assert adoption.adopt([], actor=ACTOR) is Embedded.SWITCHED_OFF
    assert adoption.place_embedded(actor="tests") is None


def test_the_embedded_model_is_not_enabled_where_it_is_not_installed(monkeypatch, embedded_row):
    embedded_is(False, monkeypatch)
    assert adoption.adopt([], actor=ACTOR) is Embedded.NOT_INSTALLED
    embedded_row.refresh_from_db()
    assert not embedded_row.enabled


def test_a_layer_without_anything_that_answers_gets_the_free_models_last(vendor, higher):
    vendor.lists("gemma3")
    provider("ollama", url=vendor.url)
    silent = Model.objects.create(provider=provider("groq", url="http://127.0.0.1:1/v1", enabled=True), name="dear")
    Candidate.objects.create(layer=higher, model=silent, priority=5)

    look_and_adopt()

    assert list(higher.candidates.values_list("model__name", "priority")) == [("dear", 5), ("gemma3", 99)]


def test_a_free_model_that_was_taken_out_of_a_layer_stays_out(vendor, higher):
    vendor.lists("gemma3")
    provider("ollama", url=vendor.url)
    look_and_adopt()
    higher.candidates.all().delete()
    look_and_adopt()
    assert higher.candidates.count() == 0


def test_a_layer_that_can_answer_is_left_alone(vendor, higher, monkeypatch):
    vendor.lists("gemma3")
    provider("ollama", url=vendor.url)
    dear = Model.objects.create(provider=with_key("groq", monkeypatch, url=vendor.url), name="dear")
    Candidate.objects.create(layer=higher, model=dear)
    look_and_adopt()
    assert [candidate.model for candidate in higher.candidates.all()] == [dear]
