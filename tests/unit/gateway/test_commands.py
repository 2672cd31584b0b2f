"""`models`, `providers` and `route`, called as the command line calls them."""

import json

import pytest

from providers import credentials
from providers.models import Credential, Provider

pytestmark = pytest.mark.django_db


class TestModels:
    def test_they_come_cheapest_layer_first(self, run, layers):
        out = run("models", "--json")[1]
        assert [(row["layer"], row["id"]) for row in json.loads(out)] == [(f"L{n}", f"m{n}") for n in range(4)]

    def test_one_layer_alone(self, run, layers):
        assert [row["id"] for row in json.loads(run("models", "--layer", "L2", "--json")[1])] == ["m2"]

    def test_without_models_it_says_where_they_come_from(self, run):
        assert "catalog load" in run("models")[1]


class TestProviders:
    def test_it_says_where_the_credential_is_and_never_what(self, run, monkeypatch):
        monkeypatch.setenv("SET_KEY", "sk-secret-of-the-environment")
        for slug in ("env", "unset", "stored", "none"):
            Provider.objects.create(slug=slug, name=slug, base_url="https://example.org/v1")
        add_credential("env", env_var="SET_KEY")
        add_credential("unset", env_var="UNSET_KEY")
        add_credential("stored", value="sk-secret-in-the-database")
        out = run("providers", "--json")[1]
        assert {row["slug"]: row["credential"] for row in json.loads(out)} == {
            "env": "SET_KEY",
            "unset": "UNSET_KEY is not set",
            "stored": "stored, ends in base",
            "none": "missing",
        }
        assert "secret" not in out

    def test_of_several_it_tells_the_one_that_is_used(self, run, monkeypatch):
        monkeypatch.setenv("SET_KEY", "sk-secret-of-the-environment")
        Provider.objects.create(slug="several", name="several", base_url="https://example.org/v1")
        add_credential("several", name="a", env_var="UNSET_KEY")
        add_credential("several", name="b", env_var="SET_KEY")
        assert [row["credential"] for row in json.loads(run("providers", "--json")[1])] == ["SET_KEY"]


def add_credential(slug, *, name="default", env_var="", value=""):
    row = Credential(provider=Provider.objects.get(slug=slug), name=name, env_var=env_var)
    if value:
        credentials.set_value(row, value)
    row.save()


class TestRoute:
    def test_it_shows_score_order_and_what_was_dropped(self, run, layers, no_stdin):
        shown = json.loads(run("route", "hi", "--json")[1])
        assert (shown["entry"], [row["model"] for row in shown["attempts"]]) == ("L0", ["m0", "m1", "m2", "m3"])

    def test_a_fence_drops_the_rest(self, run, layers, no_stdin):
        shown = json.loads(run("route", "hi", "--layer", "=L2", "--json")[1])
        assert [row["model"] for row in shown["attempts"]] == ["m2"]
        assert {row["reason"] for row in shown["dropped"]} == {"below the entry layer", "outside the fenced layer"}

    def test_in_words(self, run, layers, no_stdin):
        out = run("route", "hi")[1]
        assert "enters at L0" in out
        assert "greeting" in out
        assert "May take 6 attempts and 600 s in all." in out

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ((), "There is no prompt"),
            (("hi", "--layer", "L9"), "There is no layer 'L9'; the layers are L0, L1, L2, L3"),
            (("hi", "--model", "m9"), "The model 'm9' does not exist"),
            (("hi", "--max-tokens", "0"), "max_tokens must be at least 1"),
        ],
    )
    def test_a_mistake_is_one_sentence(self, run, layers, no_stdin, words, says):
        status, _, err = run("route", *words)
        assert (status, err.count("\n")) == (1, 1)
        assert says in err


@pytest.fixture
def no_stdin(monkeypatch):
    """A terminal nobody types into."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
