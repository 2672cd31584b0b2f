"""`manage.py models sync`, against real lists on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.core.management import call_command

from analytics.models import AuditEntry
from providers.models import Model, Price, Provider
from routing.models import Candidate
from tests.unit.gateway.list_server import ListServer, Reply, running

pytestmark = pytest.mark.django_db


@pytest.fixture
def server() -> Iterator[ListServer]:
    with running() as made:
        yield made


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs a sync as a script would, or with what somebody at a terminal answers."""

    def run(*words, answers=None):
        monkeypatch.setattr("sys.stdin.isatty", lambda: answers is not None, raising=False)
        monkeypatch.setattr("sys.stdout.isatty", lambda: answers is not None, raising=False)
        monkeypatch.setattr("gateway.confirming.answer", lambda: answers)
        status = 0
        try:
            call_command("models", "sync", *words)
        except SystemExit as ended:
            status = int(ended.code or 0)
        written = capsys.readouterr()
        return status, written.out, written.err

    return run


def provider(slug: str, server: ListServer, *models: str, **columns: object) -> Provider:
    columns = {"is_local": True, "needs_credential": False} | columns
    row = Provider.objects.create(slug=slug, name=slug, base_url=server.url, **columns)
    Model.objects.bulk_create(Model(provider=row, name=name, tools=True) for name in models)
    return row


def routed(name: str, **changes: object) -> dict[str, object]:
    """An entry of OpenRouter's list."""
    return {
        "id": name,
        "name": name.title(),
        "context_length": 1000,
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "top_provider": {"max_completion_tokens": 500},
        "supported_parameters": ["structured_outputs"],
        "pricing": {"prompt": "0.000001", "completion": "0.000002", "request": "0"},
    } | changes


@pytest.fixture
def router(server, layers) -> Provider:
    server.lists(routed("a/1"), routed("a/2"), routed("b/1"))
    return provider("openrouter", server, "a/1", "gone/1")


def prices(name: str) -> list[Decimal]:
    found = Price.objects.filter(model__name=name, unit="input").order_by("valid_from")
    return [price.usd_per_unit for price in found]


class TestShowing:
    def test_without_a_terminal_it_shows_and_writes_nothing(self, router, run):
        before = AuditEntry.objects.count()
        status, out, _ = run("openrouter")
        assert status == 3
        assert "context_tokens" in out
        assert Model.objects.get(name="a/1").context_tokens is None
        assert AuditEntry.objects.count() == before

    def test_models_that_are_gone_are_named_and_the_others_counted(self, router, run):
        out = run("openrouter")[1]
        assert "No longer offered, and left as they are: gone/1." in out
        assert "2 more are offered; add some: --add 'a/*'" in out
        assert Model.objects.get(name="gone/1").enabled

    def test_prices_that_differ_are_shown_and_kept(self, router, run):
        out = run("openrouter", "--yes")[1]
        assert "2 prices kept: prices follow with --prices." in out
        assert prices("a/1") == []

    def test_when_all_is_the_same_there_is_nothing_to_do(self, router, run):
        assert run("openrouter", "--yes", "--prices")[0] == 0
        status, out, _ = run("openrouter", "--prices")
        assert (status, "Nothing to change." in out) == (0, True)

    def test_as_json(self, router, run):
        status, out, _ = run("openrouter", "--json")
        told = json.loads(out)
        assert (status, told["applied"], told["no_longer_offered"], told["more_offered"]) == (3, False, ["gone/1"], 2)
        assert {"action": "update", "kind": "model", "target": "openrouter/a/1", "field": "context_tokens",
                "before": "", "after": "1000"} in told["changes"]  # fmt: skip


class TestOddEntries:
    @pytest.fixture(autouse=True)
    def odd(self, router, server):
        Model.objects.create(provider=router, name="a/2", context_tokens=7)
        server.lists(routed("a/1"), routed("a/2", context_length=1e9), routed("b/1", context_length=2**31))

    def test_they_are_named_and_the_others_go_on(self, run):
        status, out, _ = run("openrouter", "--yes")
        assert status == 0
        assert (
            "2 entries could not be read: a/2: expected `int | null`, got `float` at context_length; "
            "b/1: expected `int` <= 2147483647 at context_length."
        ) in out
        assert Model.objects.get(name="a/1").context_tokens == 1000
        assert Model.objects.get(name="a/2").context_tokens == 7

    def test_their_models_are_not_called_gone(self, run):
        assert json.loads(run("openrouter", "--json")[1])["no_longer_offered"] == ["gone/1"]

    def test_as_json(self, run):
        told = json.loads(run("openrouter", "--json")[1])["skipped"]
        assert [one["name"] for one in told] == ["a/2", "b/1"]

    def test_one_that_was_asked_for_is_told_with_why_it_is_not_there(self, run):
        status, _, err = run("openrouter", "--add", "b/*")
        assert (status, err.count("\n")) == (1, 1)
        assert "No model of openrouter fits 'b/*'. Not read: a/2: expected" in err


class TestWriting:
    def test_at_a_terminal_it_asks(self, router, run):
        assert run("openrouter", answers="n")[0] == 3
        assert Model.objects.get(name="a/1").context_tokens is None
        status, out, _ = run("openrouter", answers="y")
        assert (status, "changes made." in out) == (0, True)
        assert Model.objects.get(name="a/1").context_tokens == 1000

    def test_it_writes_what_the_list_says_and_an_audit_entry(self, router, run):
        assert run("openrouter", "--yes")[0] == 0
        row = Model.objects.get(name="a/1")
        assert (row.max_output_tokens, row.vision, row.json_schema, row.tools) == (500, True, True, False)
        assert row.title == ""
        entry = AuditEntry.objects.get(action="models.synced")
        assert (entry.target, entry.after["model openrouter/a/1 vision"]) == ("openrouter", "true")

    def test_with_prices_a_changed_one_holds_from_now_on(self, router, run):
        row = Model.objects.get(name="a/1")
        Price.objects.create(model=row, unit="input", usd_per_unit=Decimal("0.000005"))
        run("openrouter", "--yes", "--prices")
        assert prices("a/1") == [Decimal("0.000005"), Decimal("0.000001")]

    def test_added_models_come_with_their_prices_and_no_layer(self, router, run):
        run("openrouter", "--add", "a/*", "--yes")
        row = Model.objects.get(name="a/2")
        assert (row.title, prices("a/2"), row.candidates.count()) == ("A/2", [Decimal("0.000001")], 0)
        assert not Model.objects.filter(name="b/1").exists()

    def test_added_models_go_into_the_layer_that_is_named(self, router, run):
        run("openrouter", "--add", "a/2", "--add", "b/*", "--layer", "L1", "--yes")
        placed = Candidate.objects.filter(model__provider=router).values_list("model__name", "layer__name")
        assert sorted(placed) == [("a/2", "L1"), ("b/1", "L1")]


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("nobody",), "no provider 'nobody'"),
            (("openrouter", "--layer", "L1"), "name some with --add"),
            (("openrouter", "--add", "a/*", "--layer", "L9"), "no layer 'L9'; there is L0, L1, L2, L3"),
            (("openrouter", "--add", "zzz/*"), "No model of openrouter fits 'zzz/*'"),
        ],
    )
    def test_a_mistake_is_one_sentence(self, router, run, words, says):
        status, _, err = run(*words)
        assert (status, err.count("\n"), says in err) == (1, 1, True)

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(b"<html>hello</html>", 200, "text/html"),
            Reply(b" " * 5_000_000),
            Reply(b'{"data": [{"name": "a/1"}]}'),
            Reply(b'{"error": {"message": "No auth"}}', 401),
        ],
    )
    def test_a_bad_answer_is_one_sentence_and_nothing_is_written(self, router, server, run, reply):
        server.replies["/v1/models"] = reply
        status, out, err = run("openrouter", "--yes", "--prices", "--add", "*")
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert err.startswith("models: openrouter: ")
        assert len(err) < 500
        assert Model.objects.get(name="a/1").context_tokens is None

    def test_a_missing_key_is_told_before_anybody_is_asked(self, router, server, run):
        Provider.objects.filter(slug="openrouter").update(needs_credential=True)
        status, _, err = run("openrouter")
        assert (status, "it needs a key" in err, server.seen) == (1, True, [])


class TestEachKind:
    def test_ollama_is_asked_at_its_own_addresses(self, server, layers, run):
        provider("ollama", server, "gemma3")
        server.says("/api/tags", {"models": [{"name": "gemma3:latest"}, {"name": "llama3:8b"}]})
        shown = {"capabilities": ["completion", "vision"], "model_info": {"gemma3.context_length": 131072}}
        server.says("/api/show gemma3:latest", shown)
        server.says("/api/show llama3:8b", {"capabilities": ["completion", "tools"], "model_info": {}})
        assert run("ollama", "--add", "llama*", "--layer", "L0", "--yes")[0] == 0
        known, new = Model.objects.get(name="gemma3"), Model.objects.get(name="llama3:8b")
        assert (known.context_tokens, known.vision, known.tools, known.json_schema) == (131072, True, False, True)
        assert (new.tools, prices("llama3:8b")) == (True, [Decimal(0)])

    def test_one_ollama_model_that_cannot_be_shown_stops_it_all(self, server, run):
        provider("ollama", server, "a", "b")
        server.says("/api/tags", {"models": [{"name": "a"}, {"name": "b"}]})
        server.says("/api/show a", {"capabilities": ["completion"]})
        server.says("/api/show b", {"error": "model is broken"}, status=500)
        status, _, err = run("ollama", "--yes")
        assert (status, err.count("\n"), "HTTP 500" in err) == (1, 1, True)

    def test_lm_studio_is_asked_at_its_own_address_and_without_it_at_the_common_one(self, server, run):
        provider("lmstudio", server, "qwen3-8b")
        server.lists("qwen3-8b")
        assert run("lmstudio", "--yes")[0] == 0
        assert [seen.path for seen in server.seen] == ["/api/v0/models", "/v1/models"]
        server.lists({"id": "qwen3-8b", "type": "vlm", "max_context_length": 32768}, path="/api/v0/models")
        run("lmstudio", "--yes")
        row = Model.objects.get(name="qwen3-8b")
        assert (row.context_tokens, row.vision, row.tools) == (32768, True, True)

    def test_anthropics_aliases_follow_their_dated_entries(self, server, run):
        row = provider("anthropic", server, "claude-one-1", dialect="anthropic", is_local=True)
        entry = {"id": "claude-one-1-20260101", "display_name": "Claude One", "max_input_tokens": 200000}
        server.says("/v1/models?limit=1000", {"data": [entry], "has_more": False})
        assert run("anthropic", "--yes")[0] == 0
        model = row.models.get()
        assert (model.name, model.context_tokens, model.tools) == ("claude-one-1", 200000, True)
        assert server.seen[0].headers["anthropic-version"] == "2023-06-01"

    def test_openrouters_pages_are_all_read(self, router, server, run):
        server.says("/v1/models", {"data": [routed("a/1")], "links": {"next": "/v1/models?offset=500"}})
        server.lists(routed("a/2"), path="/v1/models?offset=500")
        assert "1 more is offered; add some: --add 'a/*'" in run("openrouter")[1]
