"""`manage.py prices`, called as the command line calls it, beside a list of our own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from providers.models import Model, Price
from tests.unit.list_of_prices import listed, standing_in, tiered
from tests.unit.routing.test_price_sync import entries, model

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    """Two models; of the first the list says something else, the second is as listed."""
    first = model("m1", input="1", output="5")
    model("m2", input="1", output="6")
    with standing_in(m1=listed(input_mtok="1.5", output_mtok="5"), m2=listed(input_mtok="1", output_mtok="6")):
        yield first


@pytest.fixture
def at_a_terminal(monkeypatch):
    """Somebody who answers; what they were asked is in the list that comes back."""
    asked: list[str] = []

    def answering(answer: str) -> list[str]:
        for stream in ("stdin", "stdout"):
            monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
        monkeypatch.setattr("gateway.confirming.is_confirmed", lambda question: asked.append(question) or answer == "y")
        return asked

    return answering


def inputs(row: Model) -> list[Decimal]:
    """Its prices of input per million, the oldest first."""
    return [price.usd_per_unit.scaleb(6) for price in row.prices.filter(unit="input").order_by("valid_from")]


class TestSync:
    def test_it_shows_what_differs_and_refuses_to_write_where_nobody_can_be_asked(self, run, acme):
        status, out, err = run("prices", "sync")
        assert [line.split() for line in out.splitlines()[:2]] == [
            ["model", "unit", "per", "old", "new", "change"],
            ["acme/m1", "input", "million", "1", "1.5", "+50.0", "%"],
        ]
        assert (status, "--yes writes without asking" in err, inputs(acme)) == (3, True, [1])

    @pytest.mark.parametrize(("answer", "status", "prices"), [("y", 0, [1, Decimal("1.5")]), ("", 3, [1])])
    def test_it_asks_at_a_terminal(self, run, acme, at_a_terminal, answer, status, prices):
        asked = at_a_terminal(answer)
        assert run("prices", "sync")[0] == status
        assert (asked, inputs(acme)) == (["Apply 1 change?"], prices)

    def test_it_writes_with_yes_and_then_nothing_differs(self, run, acme):
        status, out, _ = run("prices", "sync", "--yes")
        assert (status, out.splitlines()[-1]) == (0, "1 price changed, from now on.")
        assert entries().get().actor == "command line"
        status, out, _ = run("prices", "sync")
        assert (status, out.startswith("No price differs from genai-prices")) == (0, True)

    def test_a_dry_run_only_shows_at_a_terminal_too(self, run, acme, at_a_terminal):
        asked = at_a_terminal("y")
        assert run("prices", "sync", "--dry-run", "--yes")[0] == 3
        assert (asked, inputs(acme)) == ([], [1])

    @pytest.mark.parametrize(
        ("words", "is_changed"),
        [
            (("--model", "m1"), True),
            (("--model", "acme/*"), True),
            (("--model", "m2"), False),
            (("--except", "*1"), False),
            (("--except", "m2"), True),
            (("--provider", "acme"), True),
        ],
    )
    def test_models_are_chosen_by_patterns(self, run, acme, words, is_changed):
        run("prices", "sync", "--yes", *words)
        assert (len(inputs(acme)) == 2) is is_changed

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("--model", "m9*"), "No model matches 'm9*'"),
            (("--except", "zzz"), "No model matches 'zzz'"),
            (("--provider", "nobody"), "There is no provider 'nobody'; there is acme."),
        ],
    )
    def test_what_names_nothing_is_refused(self, run, acme, words, says):
        status, _, err = run("prices", "sync", "--yes", *words)
        assert (status, says in err, inputs(acme)) == (1, True, [1])

    def test_models_it_does_not_know_are_counted_and_named_where_wanted(self, run, acme):
        model("other", input="1")
        model("mine", slug="home", is_local=True)
        assert "1 model without a list price: it is not known there.\n" in run("prices", "sync", "--dry-run")[1]
        out = run("prices", "sync", "--dry-run", "-v", "2")[1]
        assert "1 model without a list price: it is not known there (acme/other)." in out
        assert "1 model left alone: of local providers (home/mine)." in out

    def test_json_says_all_of_it_and_never_asks(self, run, acme, at_a_terminal):
        asked = at_a_terminal("y")
        model("other", input="1")
        status, out, _ = run("prices", "sync", "--json")
        told = json.loads(out)
        assert (status, asked, told["applied"]) == (3, [], False)
        assert told["changes"] == [
            {
                "model": "acme/m1",
                "unit": "input",
                "from_tokens": 0,
                "per": "million",
                "before": "1",
                "after": "1.5",
                "percent": 50.0,
            }
        ]
        assert told["unlisted"] == [{"model": "acme/other", "why": "it is not known there"}]
        assert told["same"] == ["acme/m2"]
        assert json.loads(run("prices", "sync", "--json", "--yes")[1])["applied"] is True

    def test_a_price_there_was_none_of_and_a_tier_that_ends_are_told_as_that(self, run):
        model("m", input="1")
        with standing_in(m=listed(input_mtok=tiered("1", (99, "2")), output_mtok="3")):
            assert run("prices", "sync", "--yes")[1].count(" new") == 3  # the heading as well
        with standing_in(m=listed(input_mtok="1", output_mtok="3")):
            assert "tier ends" in run("prices", "sync", "--yes")[1]


class TestSet:
    def test_it_is_per_million_tokens_or_for_one(self, run, acme):
        status, out, _ = run("prices", "set", "acme/m1", "input", "0.25")
        assert (status, out) == (0, "The price of acme/m1 for input is 0.25 USD per million from now on.\n")
        run("prices", "set", "m1", "web_search", "0.01")
        assert inputs(acme)[-1] == Decimal("0.25")
        assert acme.prices.get(unit="web_search").usd_per_unit == Decimal("0.01")
        assert entries().filter(target="acme/m1").count() == 2

    def test_it_says_so_where_that_is_the_price_already(self, run, acme):
        assert "is 1 USD per million already" in run("prices", "set", "acme/m1", "input", "1.00")[1]
        assert len(inputs(acme)) == 1

    def test_json_shows_the_unit_as_it_holds_now(self, run, acme):
        out = run("prices", "set", "acme/m1", "input", "2", "--from-tokens", "200001", "--json")[1]
        assert [(price["from_tokens"], price["usd"]) for price in json.loads(out)] == [(0, "1"), (200001, "2")]

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("m", "input", "1"), "No model is 'm' yet. Did you mean"),
            (("m*", "input", "1"), "No model is 'm*' yet"),
            (("m1", "banana", "1"), "There is no unit 'banana'; there is input, cached_input"),
            (("m1", "input", "cheap"), "'cheap' is no price: write USD, such as 0.15."),
            (("m1", "input", "-1"), "'-1' is no price"),
            (("m1", "input", "NaN"), "'NaN' is no price"),
            (("m1", "input", "0.123456789"), "cannot be kept exactly"),
            (("m1", "input", "1", "--from-tokens", "-5"), "--from-tokens -5: write how many input tokens"),
            (("m1", "image", "1", "--from-tokens", "5"), "no price of image below 5 tokens"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, run, acme, words, says):
        status, _, err = run("prices", "set", *words)
        assert (status, says in err) == (1, True), err
        assert (Price.objects.count(), entries().count()) == (4, 0)

    def test_a_name_that_several_providers_have_is_to_be_told_apart(self, run, acme):
        model("m1", slug="other")
        assert "say which, as in acme/m1 or other/m1" in run("prices", "set", "m1", "input", "1")[2]


class TestList:
    @pytest.fixture(autouse=True)
    def changed(self, acme):
        since = datetime(2026, 5, 1, tzinfo=UTC)
        Price.objects.create(model=acme, unit="input", usd_per_unit=Decimal("0.000003"), valid_from=since)

    def listed(self, run, *words):
        return json.loads(run("prices", "list", "--model", "m1", "--json", *words)[1])

    def test_it_shows_what_holds_and_since_when(self, run):
        out = run("prices", "list", "--provider", "acme", "--model", "m1")[1]
        assert [line.split() for line in out.splitlines()[1:]] == [
            ["acme/m1", "input", "3", "million", "2026-05-01", "00:00"],
            ["acme/m1", "output", "5", "million", "always"],
        ]

    def test_of_another_day(self, run):
        assert [price["usd"] for price in self.listed(run, "--at", "2026-04-30")] == ["1", "5"]
        assert [price["usd"] for price in self.listed(run, "--at", "2026-05-01T00:00Z")] == ["3", "5"]

    def test_with_all_that_ever_held(self, run):
        found = self.listed(run, "--history")
        assert [(price["usd"], price["in_force"]) for price in found] == [("1", False), ("3", True), ("5", True)]
        assert found[1]["valid_from"] == "2026-05-01T00:00:00Z"

    def test_a_day_that_is_none_is_refused(self, run):
        assert "--at 'tomorrow': write a date or a time" in run("prices", "list", "--at", "tomorrow")[2]

    def test_a_tier_above_an_older_price_shows_both(self, run, acme):
        since = datetime(2026, 6, 1, tzinfo=UTC)
        Price.objects.create(
            model=acme, unit="input", usd_per_unit=Decimal("0.000004"), from_tokens=9, valid_from=since
        )
        found = [(price["from_tokens"], price["usd"]) for price in self.listed(run) if price["unit"] == "input"]
        assert found == [(0, "3"), (9, "4")]
