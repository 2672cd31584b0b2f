from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics import cost
from analytics.models import AuditEntry
from providers import credentials
from providers import rows as snapshot_rows
from providers.models import ConfigVersion, Credential, Model, Price, Provider
from providers.types import Usage
from routing import catalog, catalog_rows
from routing.catalog import Catalog, CatalogError
from routing.catalog_rows import Action, Change
from routing.models import Candidate, Layer, Policy

pytestmark = pytest.mark.django_db

ACTOR = "test"
TEXT = """\
version = 1
[policy]
default_layer = "L1"

[[layers]]
name = "L0"
title = "Free"
from_score = 0.0
[[layers]]
name = "L1"
title = "Cheap"
from_score = 0.25

[[providers]]
slug = "acme"
name = "Acme"
dialect = "openai"
base_url = "https://api.acme.example/v1"
credential_env = "ACME_API_KEY"
  [[providers.models]]
  name = "acme/large:v1"
  title = "Large"
  layer = "L1"
  priority = 1
  context_tokens = 1000
  capabilities = ["tools"]
  prices = { input = "2", output = "10" }
    [[providers.models.price_tiers]]
    from_tokens = 200001
    prices = { input = "4" }
"""


def parse(*replacements: tuple[str, str]) -> Catalog:
    text = TEXT
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return catalog.parse(text, source="catalog.toml")


def load(*replacements: tuple[str, str]) -> catalog_rows.Diff:
    return catalog_rows.load(parse(*replacements), actor=ACTOR)


def versions() -> dict[str, int]:
    return dict(ConfigVersion.objects.values_list("group", "version"))


def usd_of(usage: Usage, *, at: datetime | None = None) -> Decimal | None:
    """What the usage costs at the model's prices, as the ledger would compute it."""
    (model,) = snapshot_rows.models_by_id().values()
    return cost.compute(usage, model.prices, at=at or timezone.now()).usd


class TestFirstLoad:
    def test_makes_every_row(self):
        load()
        model = Model.objects.get()
        assert (model.provider.slug, model.name, model.context_tokens) == ("acme", "acme/large:v1", 1000)
        assert (model.tools, model.vision) == (True, False)
        assert Candidate.objects.values_list("layer__name", "priority").get() == ("L1", 1)
        assert list(Layer.objects.values_list("name", "position")) == [("L0", 0), ("L1", 1)]
        assert Policy.objects.get().default_layer.name == "L1"

    def test_holds_the_name_of_the_variable_as_the_credential(self):
        load()
        assert Credential.objects.values_list("provider__slug", "env_var", "encrypted_value").get() == (
            "acme",
            "ACME_API_KEY",
            "",
        )

    def test_prices_usage_to_the_last_digit(self):
        load()
        assert usd_of(Usage(input_tokens=7, output_tokens=3)) == Decimal("0.000044")
        assert usd_of(Usage(input_tokens=200_001)) == Decimal("0.800004")

    def test_what_the_file_leaves_out_takes_the_tables_default(self):
        load()
        provider = Provider.objects.get()
        assert (provider.enabled, provider.needs_credential, provider.is_local) == (True, True, False)

    @pytest.mark.parametrize("stops", [True, False])
    def test_says_whether_a_provider_stops_when_it_is_left(self, stops):
        load(('slug = "acme"', f'slug = "acme"\nstops_when_left = {str(stops).lower()}'))
        (model,) = snapshot_rows.models_by_id().values()
        assert model.provider.stops_when_left is stops

    def test_says_how_many_calls_a_provider_takes_at_once(self):
        load(('slug = "acme"', 'slug = "acme"\nmax_concurrent = 8\nmax_queued = 5'))
        (model,) = snapshot_rows.models_by_id().values()
        assert (model.provider.max_concurrent, model.provider.max_queued) == (8, 5)

    def test_leaves_one_audit_entry(self):
        load()
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.actor) == ("catalog.loaded", ACTOR)
        assert entry.after["created"] == {
            "layer": 2,
            "policy": 1,
            "provider": 1,
            "credential": 1,
            "model": 1,
            "price": 3,
            "candidate": 1,
        }

    def test_the_shipped_catalog_loads(self):
        shipped = catalog.read(catalog.SHIPPED)
        catalog_rows.load(shipped, actor=ACTOR)
        assert Provider.objects.count() == len(shipped.providers)
        assert catalog_rows.diff(shipped).changes == ()


class TestSecondLoad:
    def test_writes_nothing(self):
        load()
        before = versions()
        with CaptureQueriesContext(connection) as queries:
            assert load().changes == ()
        written = [query["sql"] for query in queries if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
        assert (written, versions()) == ([], before)
        assert AuditEntry.objects.count() == 1

    def test_asks_a_fixed_number_of_queries(self, django_assert_max_num_queries):
        shipped = catalog.read(catalog.SHIPPED)
        catalog_rows.load(shipped, actor=ACTOR)
        with django_assert_max_num_queries(9):
            catalog_rows.diff(shipped)

    def test_updates_facts(self):
        load()
        load(('"Large"', '"Larger"'), ("1000", "2000"), ('["tools"]', '["vision"]'), ('"Acme"', '"ACME"'))
        model = Model.objects.get()
        assert (model.title, model.context_tokens, model.tools, model.vision) == ("Larger", 2000, False, True)
        assert Provider.objects.get().name == "ACME"

    def test_the_audit_entry_says_from_what_to_what(self):
        load()
        load(('"Large"', '"Larger"'))
        entry = AuditEntry.objects.first()
        assert entry is not None
        assert entry.before == {"model acme/acme/large:v1 title": "Large"}
        assert entry.after == {"model acme/acme/large:v1 title": "Larger", "created": {}}

    def test_leaves_alone_what_the_file_does_not_say(self):
        load()
        load(('  title = "Large"\n', ""), ("  context_tokens = 1000\n", ""), ('  capabilities = ["tools"]\n', ""))
        model = Model.objects.get()
        assert (model.title, model.context_tokens, model.tools) == ("Large", 1000, True)

    def test_leaves_alone_rows_that_the_file_does_not_name(self):
        load()
        other = Provider.objects.create(slug="mine", name="Mine", dialect="openai", base_url="http://127.0.0.1/v1")
        extra = Model.objects.create(provider=Provider.objects.get(slug="acme"), name="extra")
        Candidate.objects.create(model=extra, layer=Layer.objects.get(name="L0"))
        assert load().changes == ()
        assert Provider.objects.contains(other)
        assert Candidate.objects.count() == 2


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        (Provider, "enabled", False),
        (Provider, "base_url", "https://proxy.example/v1"),
        (Provider, "is_local", True),
        (Provider, "needs_credential", False),
        (Provider, "stops_when_left", False),
        (Provider, "extra_body", {"top_p": 0.5}),
        (Provider, "connect_timeout_s", 1.5),
        (Provider, "max_concurrent", 8),
        (Provider, "max_queued", 0),
        (Model, "enabled", False),
        (Candidate, "enabled", False),
        (Candidate, "priority", 7),
        (Candidate, "weight", 2.5),
        (Candidate, "relative_cost", Decimal("0.25")),
        (Layer, "enabled", False),
        (Layer, "max_attempts", 3),
        (Layer, "deadline_s", 12.5),
        (Policy, "balancing", "least_outstanding"),
        (Policy, "max_attempts", 2),
        (Policy, "when_client_leaves", "drain"),
        (Policy, "deadline_s", 30.0),
    ],
)
def test_what_an_operator_decided_is_kept(table, name: str, value: object):
    load()
    table.objects.update(**{name: value})
    assert load().to_write == ()
    assert all(getattr(row, name) == value for row in table.objects.all())


class TestKept:
    def test_a_difference_that_is_kept_is_shown(self):
        load()
        Provider.objects.update(base_url="https://proxy.example/v1")
        assert catalog_rows.diff(parse()).changes == (
            Change(
                Action.KEEP, "provider", "acme", "base_url", "https://proxy.example/v1", "https://api.acme.example/v1"
            ),
        )

    def test_a_stored_credential_is_not_replaced(self):
        load()
        credential = Credential.objects.get()
        credentials.set_value(credential, "sk-0123456789abcdef")
        credential.save()
        shown = str(load().changes)
        assert Credential.objects.get().encrypted_value == credential.encrypted_value
        assert "sk-0123456789abcdef" not in shown
        assert credential.encrypted_value not in shown

    def test_a_model_moved_to_another_layer_stays_there(self):
        load()
        Candidate.objects.update(layer=Layer.objects.get(name="L0"))
        assert [(change.action, change.before, change.after) for change in load().changes] == [
            (Action.KEEP, "L0", "L1")
        ]
        assert Candidate.objects.get().layer.name == "L0"

    def test_a_model_outside_every_layer_takes_the_files_place(self):
        load(('  layer = "L1"\n  priority = 1\n', ""))
        assert not Candidate.objects.exists()
        load()
        assert Candidate.objects.get().layer.name == "L1"

    def test_thresholds_and_the_order_of_layers_are_the_operators(self):
        load()
        Layer.objects.filter(name="L1").update(position=5, from_score=0.4)
        load()
        assert list(Layer.objects.values_list("name", "position", "from_score")) == [("L0", 0, 0.0), ("L1", 5, 0.4)]


def test_a_new_layer_comes_after_the_one_before_it_in_the_file():
    load()
    Layer.objects.create(name="top", position=2, from_score=0.9)
    between = ('[[layers]]\nname = "L1"', '[[layers]]\nname = "L0b"\nfrom_score = 0.1\n[[layers]]\nname = "L1"')
    load(between)
    assert list(Layer.objects.values_list("name", "position")) == [("L0", 0), ("L0b", 1), ("L1", 2), ("top", 3)]
    assert load(between).changes == ()


class TestPrices:
    def test_a_changed_price_holds_from_now_on_and_history_stays(self):
        load()
        then = timezone.now()
        load(('output = "10"', 'output = "12"'))
        assert usd_of(Usage(output_tokens=1_000_000)) == 12
        assert usd_of(Usage(output_tokens=1_000_000), at=then) == 10

    def test_tiers_survive_a_change_of_the_base_price(self):
        load()
        load(('input = "2"', 'input = "1"'))
        assert usd_of(Usage(input_tokens=200_000)) == Decimal("0.2")
        assert usd_of(Usage(input_tokens=200_001)) == Decimal("0.800004")

    def test_a_tier_left_out_no_longer_holds(self):
        load()
        tier = TEXT[TEXT.index("    [[providers.models.price_tiers]]") :]
        assert [change.before for change in load((tier, "")).to_write] == ["4 USD per million"]
        assert usd_of(Usage(input_tokens=200_001)) == Decimal("0.400002")

    def test_a_price_left_out_stays_in_force(self):
        load()
        load((', output = "10"', ""))
        assert usd_of(Usage(output_tokens=1_000_000)) == 10

    def test_a_price_announced_for_a_day_waits_for_it(self):
        day = (timezone.now() + timedelta(days=30)).astimezone(UTC).date()
        tier = f'[[providers.models.price_tiers]]\n    valid_from = {day}\n    prices = {{ output = "20" }}\n'
        announced = ('    prices = { input = "4" }\n', f'    prices = {{ input = "4" }}\n    {tier}')
        load()
        assert [change.target for change in load(announced).to_write] == [f"acme/acme/large:v1 output from {day}"]
        assert load(announced).changes == ()
        assert usd_of(Usage(output_tokens=1_000_000)) == 10
        assert usd_of(Usage(output_tokens=1_000_000), at=timezone.now() + timedelta(days=31)) == 20

    def test_an_announced_price_can_still_be_corrected(self):
        day = (timezone.now() + timedelta(days=30)).astimezone(UTC).date()
        tier = f'[[providers.models.price_tiers]]\n    valid_from = {day}\n    prices = {{ output = "20" }}\n'
        announced = ('    prices = { input = "4" }\n', f'    prices = {{ input = "4" }}\n    {tier}')
        load(announced)
        (change,) = load(announced, ('output = "20"', 'output = "18"')).to_write
        assert (change.before, change.after) == ("20 USD per million", "18 USD per million")
        assert Price.objects.filter(unit="output").count() == 2

    def test_a_price_that_has_changed_twice_is_compared_with_the_last(self):
        load()
        load(('output = "10"', 'output = "12"'))
        load()
        assert usd_of(Usage(output_tokens=1_000_000)) == 10
        assert load().changes == ()


def test_a_load_that_fails_leaves_nothing(monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(catalog_rows.audit, "record", fail)
    with pytest.raises(RuntimeError):
        load()
    assert not Provider.objects.exists()
    assert not Layer.objects.exists()


def test_a_diff_tells_what_a_load_does_and_writes_nothing():
    before = versions()
    told = catalog_rows.diff(parse())
    assert versions() == before
    assert load().changes == told.changes


class TestWithoutPolicyOrLayers:
    """A file of one's own names the providers and models it adds, and nothing else."""

    MINE = TEXT[TEXT.index("[[providers]]") :]

    def mine(self, *replacements):
        text = "version = 1\n" + self.MINE
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        return catalog.parse(text, source="mine.toml")

    def test_those_of_the_database_hold(self):
        load()
        Provider.objects.all().delete()
        done = catalog_rows.load(self.mine(), actor=ACTOR)
        assert {change.kind for change in done.changes} == {"provider", "credential", "model", "price", "candidate"}
        assert Candidate.objects.values_list("layer__name", flat=True).get() == "L1"
        assert catalog_rows.diff(self.mine()).changes == ()

    def test_a_layer_that_the_database_does_not_have_is_refused_by_name(self):
        load()
        with pytest.raises(
            CatalogError, match='provider "acme", model "acme/large:v1": unknown layer "L7"; known: L0, L1'
        ):
            catalog_rows.load(self.mine(('layer = "L1"', 'layer = "L7"')), actor=ACTOR)

    def test_into_an_empty_database_both_are_missed_at_once(self):
        with pytest.raises(
            CatalogError, match=r"has \[policy\] and \[\[layers\]\]: load .*catalog load.* or copy them"
        ):
            catalog_rows.load(self.mine(), actor=ACTOR)
        assert not Provider.objects.exists()

    def test_layers_alone_need_a_policy_there(self):
        text = TEXT.replace('[policy]\ndefault_layer = "L1"\n', "")
        with pytest.raises(CatalogError, match=r"has \[policy\]: load"):
            catalog_rows.diff(catalog.parse(text, source="mine.toml"))

    def test_a_policy_alone_takes_a_layer_of_the_database(self):
        load()
        wanted = catalog.parse('version = 1\n[policy]\ndefault_layer = "L7"\n', source="mine.toml")
        with pytest.raises(CatalogError, match='unknown layer "L7"'):
            catalog_rows.diff(wanted)
