"""Prices follow a list, and one set by hand, without a word of history being changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from analytics.models import AuditEntry, Severity
from providers.models import FIRST_DAY, Model, Price, Provider
from providers.price_book import Missing
from providers.types import Unit
from routing import price_sync
from routing.price_sync import PriceProblem
from tests.unit.list_of_prices import listed, standing_in, tiered

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def model(name: str = "m", *, slug: str = "acme", is_local: bool = False, **prices: str) -> Model:
    """With prices per million tokens from the first day on."""
    url = f"https://api.{slug}.test/v1"
    provider, _ = Provider.objects.get_or_create(slug=slug, defaults={"name": slug, "base_url": url})
    Provider.objects.filter(pk=provider.pk).update(is_local=is_local)
    row = Model.objects.create(provider=provider, name=name)
    for unit, usd in prices.items():
        Price.objects.create(model=row, unit=unit, usd_per_unit=Decimal(usd).scaleb(-6))
    return row


def held(row: Model) -> set[tuple[str, int, Decimal, datetime]]:
    """Prices per million."""
    rows = row.prices.values_list("unit", "from_tokens", "usd_per_unit", "valid_from")
    return {(unit, tokens, usd.scaleb(6).normalize(), since) for unit, tokens, usd, since in rows}


def entries():
    return AuditEntry.objects.filter(action="prices.changed")


def sync(**models):
    with standing_in(**models):
        return price_sync.sync(Model.objects.all(), actor="tests", now=NOW)


def compare(**models):
    with standing_in(**models):
        return price_sync.compare(Model.objects.all(), now=NOW)


TWO = listed(input_mtok="1", output_mtok="6")


class TestSync:
    def test_what_differs_becomes_a_new_price_from_now_on_and_the_old_one_stays(self):
        row = model(input="1", output="5")
        (change,) = sync(m=TWO).changes
        assert (change.model, change.step.what) == ("acme/m", "output")
        assert (change.step.before, change.step.after) == (Decimal("0.000005"), Decimal("0.000006"))
        assert held(row) == {("input", 0, 1, FIRST_DAY), ("output", 0, 5, FIRST_DAY), ("output", 0, 6, NOW)}

    def test_a_model_without_prices_gets_them_from_now_on(self):
        row = model()
        sync(m=TWO)
        assert held(row) == {("input", 0, 1, NOW), ("output", 0, 6, NOW)}

    def test_the_second_time_nothing_differs(self):
        row = model(input="1")
        prices = listed(input_mtok=tiered("0.041666666666666664", (200_000, "2")), output_mtok="6")
        assert sync(m=prices).changes
        before = held(row)
        with standing_in(m=prices):
            again = price_sync.sync(Model.objects.all(), actor="tests", now=NOW + timedelta(hours=1))
        assert (again.changes, again.same, held(row)) == ((), ("acme/m",), before)
        assert entries().count() == 1

    def test_nothing_is_written_but_what_was_shown(self):
        """Somebody set a price while somebody else read the list and thought about it."""
        row = model(input="1", output="5")
        shown = compare(m=TWO)
        price_sync.set_price(row, unit=Unit.INPUT, usd=Decimal("0.000009"), actor="tests")
        before = held(row)
        with standing_in(m=TWO), pytest.raises(PriceProblem, match="run it again"):
            price_sync.sync(Model.objects.all(), actor="tests", shown=shown)
        assert held(row) == before

    def test_the_tiers_of_a_unit_change_together(self):
        row = model(input="1")
        sync(m=listed(input_mtok=tiered("1", (100, "2"), (200, "3"))))
        assert {price[:3] for price in held(row) if price[3] == NOW} == {
            ("input", 0, 1),
            ("input", 101, 2),
            ("input", 201, 3),
        }

    def test_a_tier_that_is_listed_no_more_ends(self):
        row = model(input="1")
        sync(m=listed(input_mtok=tiered("1", (100, "2"))))
        with standing_in(m=listed(input_mtok="1")):
            found = price_sync.sync(Model.objects.all(), actor="tests", now=NOW + timedelta(hours=1))
        assert [(change.step.what, change.step.after) for change in found.changes] == [("input from 101 tokens", None)]
        assert ("input", 0, 1, NOW + timedelta(hours=1)) in held(row)

    def test_each_model_that_changed_leaves_an_entry_with_all_of_it(self):
        model(input="1", output="5")
        model("m2", input="1", output="6")
        sync(m=listed(input_mtok="2", output_mtok="6", web_searches_kcount="10"), m2=TWO)
        entry = entries().get(target="acme/m")
        assert (entry.actor, entry.severity) == ("tests", Severity.WARNING)
        assert entry.before == {"input": "1 USD per million", "output": "5 USD per million"}
        source = entry.after.pop("source")
        assert entry.after == {"input": "2 USD per million", "output": "6 USD per million", "web_search": "0.01 USD"}
        assert source.startswith("genai-prices ")

    def test_comparing_writes_nothing(self):
        row = model(input="1")
        assert len(compare(m=TWO).changes) == 1
        assert held(row) == {("input", 0, 1, FIRST_DAY)}
        assert not entries().exists()

    def test_a_price_announced_for_later_stays_announced(self):
        row = model(input="1")
        later = NOW + timedelta(days=9)
        Price.objects.create(model=row, unit="input", usd_per_unit=Decimal("0.000009"), valid_from=later)
        sync(m=listed(input_mtok="2"))
        assert held(row) == {("input", 0, 1, FIRST_DAY), ("input", 0, 2, NOW), ("input", 0, 9, later)}


class TestLeftAlone:
    def test_a_unit_that_is_not_listed_stays_and_is_said(self):
        row = model(input="1", output="6", image="3")
        found = sync(m=TWO)
        assert [(one.model, one.unit) for one in found.kept] == [("acme/m", Unit.IMAGE)]
        assert len(held(row)) == 3

    def test_models_of_local_providers_are_passed_over(self):
        model(input="1", is_local=True)
        found = compare(m=TWO)
        assert (found.local, found.changes, found.unlisted) == (("acme/m",), (), ())

    def test_one_that_is_free_here_and_without_a_price_there_is_free(self):
        model(input="0", output="0")
        assert compare(m=listed()).free == ("acme/m",)

    def test_one_that_was_free_and_is_listed_with_a_price_differs(self):
        model(input="0", output="0")
        assert len(compare(m=TWO).changes) == 2

    @pytest.mark.parametrize(
        ("name", "slug", "why"),
        [("other", "acme", Missing.MODEL), ("m", "nobody", Missing.PROVIDER), ("free", "acme", Missing.NO_PRICE)],
    )
    def test_one_that_the_list_does_not_know_keeps_its_prices_and_says_why(self, name, slug, why):
        row = model(name, slug=slug, input="1")
        found = sync(m=TWO, free=listed())
        assert [(one.model, one.why) for one in found.unlisted] == [(f"{slug}/{name}", why)]
        assert held(row) == {("input", 0, 1, FIRST_DAY)}


class TestByHand:
    def set_price(self, row, unit, usd, **given):
        return price_sync.set_price(row, unit=Unit(unit), usd=Decimal(usd).scaleb(-6), actor="tests", **given)

    def in_force(self, row):
        rows = row.prices.filter(valid_from__gt=FIRST_DAY).values_list("unit", "from_tokens", "usd_per_unit")
        return {(unit, tokens, usd.scaleb(6).normalize()) for unit, tokens, usd in rows}

    def test_a_price_holds_from_now_on_with_the_other_tiers_of_its_unit(self):
        row = model(input="1", output="5")
        Price.objects.create(model=row, unit="input", usd_per_unit=Decimal("0.000002"), from_tokens=100)
        self.set_price(row, "input", "1.5")
        assert self.in_force(row) == {("input", 0, Decimal("1.5")), ("input", 100, 2)}

    def test_a_tier_can_be_added(self):
        row = model(input="1")
        self.set_price(row, "input", "2", from_tokens=100)
        assert self.in_force(row) == {("input", 0, 1), ("input", 100, 2)}

    def test_a_tier_needs_a_price_below_it(self):
        with pytest.raises(PriceProblem, match="no price of output below 100 tokens"):
            self.set_price(model(input="1"), "output", "2", from_tokens=100)

    def test_where_the_newest_prices_begin_at_a_tier_the_older_one_below_holds_on(self):
        row = model(input="1")
        since = datetime(2026, 1, 1, tzinfo=UTC)
        Price.objects.create(model=row, unit="input", usd_per_unit=Decimal("0.000002"), from_tokens=9, valid_from=since)
        self.set_price(row, "input", "3", from_tokens=100)
        new = row.prices.filter(valid_from__gt=since).values_list("from_tokens", "usd_per_unit")
        assert {tokens: usd.scaleb(6) for tokens, usd in new} == {0: 1, 9: 2, 100: 3}

    def test_it_is_in_the_audit_trail_and_the_same_price_again_is_not(self):
        row = model(input="1")
        assert self.set_price(row, "input", "2")
        assert self.set_price(Model.objects.get(pk=row.pk), "input", "2") == ()
        entry = entries().get()
        assert (entry.before, entry.after) == (
            {"input": "1 USD per million"},
            {"input": "2 USD per million", "source": "by hand"},
        )
