"""A price that becomes valid reorders models by itself, without a change in the database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from providers.models import Model, Price
from routing import snapshot
from routing.models import Candidate, Layer
from routing.snapshot import Poller

pytestmark = pytest.mark.django_db

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SOON, LATER = NOW + DAY, NOW + 2 * DAY


@pytest.fixture
def clock(monkeypatch):
    """The time of day; `set` moves it."""

    class Clock:
        def set(self, moment):
            monkeypatch.setattr(snapshot, "_now", lambda: moment)

    clock = Clock()
    clock.set(NOW)
    return clock


@pytest.fixture
def poller(layers, clock):
    """Polled once over L1 with `m1` (1 USD a million) and `rival` (2 USD; 0.5 soon, 9 later)."""
    rival = Model.objects.create(provider=layers["L1"].provider, name="rival")
    Candidate.objects.create(layer=Layer.objects.get(name="L1"), model=rival)
    add_price(rival, "0.000002", valid_from=NOW - DAY)
    add_price(rival, "0.0000005", valid_from=SOON)
    add_price(rival, "0.000009", valid_from=LATER)
    poller = Poller(every_s=60)
    poller._poll()
    return poller


def add_price(model, usd, *, valid_from):
    for unit in ("input", "output"):
        Price.objects.create(model=model, unit=unit, usd_per_unit=Decimal(usd), valid_from=valid_from)


def order():
    return [candidate.model.name for candidate in snapshot.current().layer("L1").candidates]


def test_before_the_next_price_is_valid_nothing_is_composed_again(poller, clock):
    before = snapshot.current()
    clock.set(SOON - timedelta(microseconds=1))
    poller._poll()
    assert snapshot.current().layers is before.layers
    assert order() == ["m1", "rival"]


def test_from_the_moment_it_is_valid_the_next_poll_reorders(poller, clock):
    clock.set(SOON)
    poller._poll()
    assert order() == ["rival", "m1"]


def test_the_price_after_that_reorders_again(poller, clock):
    clock.set(SOON)
    poller._poll()
    clock.set(LATER)
    poller._poll()
    assert order() == ["m1", "rival"]


def test_prices_skipped_while_nobody_polled_are_passed_over(poller, clock):
    clock.set(LATER)
    poller._poll()
    assert (order(), snapshot.current().priced_until) == (["m1", "rival"], None)


def test_only_the_versions_are_read_for_it(poller, clock):
    clock.set(SOON)
    with CaptureQueriesContext(connection) as captured:
        poller._poll()
    assert len(captured) == 1
    assert "providers_configversion" in captured[0]["sql"]
    assert order() == ["rival", "m1"]


def test_the_configuration_is_still_the_same_version_and_young(poller, clock):
    before = snapshot.current()
    clock.set(SOON)
    poller._poll()
    after = snapshot.current()
    assert after.version == before.version
    assert after.loaded_at > before.loaded_at
    assert after.callers is before.callers


def test_the_dearest_model_follows(poller, clock):
    assert snapshot.current().dearest.name == "m3"
    clock.set(LATER)
    poller._poll()
    assert snapshot.current().dearest.name == "rival"


def test_models_served_by_name_follow(poller, clock, layers):
    twin = Model.objects.create(provider=layers["L1"].provider, name="up/m1")
    add_price(twin, "0.000003", valid_from=NOW - DAY)
    add_price(twin, "0", valid_from=SOON)
    poller._poll()
    assert [found.model.name for found in snapshot.current().served["up/m1"]] == ["m1", "up/m1"]
    clock.set(SOON)
    poller._poll()
    assert [found.model.name for found in snapshot.current().served["up/m1"]] == ["up/m1", "m1"]


def test_a_relative_cost_of_its_own_stays(poller, clock):
    Candidate.objects.filter(model__name="rival").update(relative_cost=Decimal(5))
    poller._poll()
    clock.set(SOON)
    poller._poll()
    assert order() == ["m1", "rival"]


def test_without_a_price_to_come_it_holds_for_good(layers, clock):
    assert snapshot.load().priced_until is None
