from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase as HypothesisTestCase

from providers import credentials
from providers.models import Credential, Model, Provider
from providers.types import Capability, Unit
from routing import catalog, catalog_dump, catalog_rows
from routing.catalog import Catalog
from routing.models import Candidate, Layer, Policy
from tests.unit.routing.test_catalog_rows import ACTOR, load, parse

pytestmark = pytest.mark.django_db


class TestDump:
    def test_loading_it_changes_nothing(self):
        catalog_rows.load(catalog.read(catalog.SHIPPED), actor=ACTOR)
        load()
        load(('output = "10"', 'output = "12"'))
        assert catalog_rows.diff(dumped()).changes == ()

    def test_bounds_of_layers_and_the_balancing_come_back(self):
        load()
        Layer.objects.filter(name="L1").update(max_attempts=2, deadline_s=5.5)
        Policy.objects.update(balancing="least_outstanding")
        again = catalog.parse(catalog.render(catalog_dump.dump()), source="dump")
        assert [(layer.max_attempts, layer.deadline_s) for layer in again.layers] == [(None, None), (2, 5.5)]
        assert again.policy.balancing == "least_outstanding"
        assert catalog_rows.diff(again).changes == ()

    def test_an_empty_database_gets_the_same_configuration(self):
        load()
        load(('output = "10"', 'output = "12"'))
        first = catalog.render(catalog_dump.dump())
        for table in (Policy, Candidate, Layer, Provider):
            table.objects.all().delete()
        catalog_rows.load(catalog.parse(first, source="dump"), actor=ACTOR)
        assert catalog.render(catalog_dump.dump()) == first

    def test_a_model_in_two_layers_and_a_disabled_candidate_are_told(self):
        load()
        Candidate.objects.create(model=Model.objects.get(), layer=Layer.objects.get(name="L0"), enabled=False)
        (model,) = dumped().providers[0].models
        assert [(place.layer, place.enabled) for place in model.places()] == [("L0", False), ("L1", True)]
        assert catalog_rows.diff(dumped()).changes == ()

    def test_never_tells_a_secret(self):
        load()
        credential = Credential.objects.get()
        credentials.set_value(credential, "sk-0123456789abcdef")
        credential.save()
        text = catalog.render(catalog_dump.dump())
        assert not any(secret in text for secret in ("sk-0123456789abcdef", "cdef", credential.encrypted_value))
        assert catalog_rows.diff(catalog.parse(text, source="dump")).changes == ()

    @pytest.mark.parametrize(
        "extra_body",
        [
            {"stop": []},
            {"provider": {"only": [], "options": {}}},
            {"plugins": [{}, {"id": "web", "engines": []}], "note": ""},
            {"off": False, "none": 0, "deep": [[], [[]]]},
        ],
    )
    def test_what_is_empty_within_an_extra_body_is_kept(self, extra_body):
        load()
        Provider.objects.update(extra_body=extra_body)
        assert dumped().providers[0].extra_body == extra_body

    @pytest.mark.parametrize(
        ("extra_body", "path"),
        [({"stop": None}, "extra_body.stop"), ({"a": [1, {"b": None}]}, r"extra_body.a\[1\].b")],
    )
    def test_a_null_within_an_extra_body_is_refused_by_its_place(self, extra_body, path):
        load()
        Provider.objects.update(extra_body=extra_body)
        with pytest.raises(catalog.CatalogError, match=f'provider "acme": {path} is null, which TOML cannot say'):
            catalog.render(catalog_dump.dump())

    def test_an_empty_database_has_nothing_to_tell(self):
        with pytest.raises(catalog.CatalogError, match="database: holds no policy yet"):
            catalog_dump.dump()


# A price of at most fifteen significant digits with at most eight decimals, in USD per million.
LISTED = st.decimals(min_value=0, max_value=999_999, places=8, allow_nan=False, allow_infinity=False)
PRICES = st.dictionaries(st.sampled_from(Unit), LISTED, max_size=4)
MOMENTS = st.none() | st.datetimes(datetime(2021, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))
TIERS = st.builds(
    catalog.PriceTier, from_tokens=st.integers(1, 2_000_000), valid_from=MOMENTS, prices=PRICES.filter(bool)
)
MODELS = st.builds(
    catalog.Model,
    name=st.text("abc/:.-1", min_size=1, max_size=20),
    title=st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    kind=st.none() | st.sampled_from(["chat", "embeddings"]),
    enabled=st.none() | st.booleans(),
    context_tokens=st.none() | st.integers(1, 2_000_000),
    capabilities=st.none() | st.frozensets(st.sampled_from(Capability)),
    prices=PRICES,
    price_tiers=st.lists(TIERS, max_size=3, unique_by=lambda tier: (tier.from_tokens, tier.valid_from)).map(tuple),
    candidates=st.lists(
        st.builds(
            catalog.Candidate,
            layer=st.sampled_from(["L0", "L1"]),
            priority=st.none() | st.integers(0, 9),
            weight=st.none() | st.floats(0.001, 100),
            relative_cost=st.none() | st.decimals(0, 1000, places=6),
            enabled=st.none() | st.booleans(),
        ),
        max_size=2,
        unique_by=lambda place: place.layer,
    ).map(tuple),
)


class TestAnyCatalog(HypothesisTestCase):
    @given(st.lists(MODELS, max_size=3, unique_by=lambda model: model.name))
    @settings(max_examples=30, deadline=None)
    def test_loading_what_was_dumped_changes_nothing(self, models):
        base = parse()
        provider = dataclasses.replace(base.providers[0], models=tuple(models))
        written = catalog.render(dataclasses.replace(base, providers=(provider,)))
        wanted = catalog.parse(written, source="generated")
        catalog_rows.load(wanted, actor=ACTOR)
        assert catalog_rows.diff(wanted).changes == ()
        assert catalog_rows.diff(dumped()).changes == ()


def dumped() -> Catalog:
    return catalog.parse(catalog.render(catalog_dump.dump()), source="dump")
