"""Providers that were out of reach are asked whether they are back, with a real server on loopback."""

import time
from contextlib import closing

import pytest

from analytics.counters.opening import open_store
from gateway import probing, tasks
from providers.models import Provider
from routing import circuits
from routing.circuit import Circuit, State
from routing.circuits import Wanted
from tests.unit.gateway.list_server import running

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def counters(tmp_path, settings):
    settings.COUNTERS_FILE = tmp_path / "counters.sqlite3"


@pytest.fixture
def server(layers):
    with running() as made:
        made.lists("m0", "m1")
        Provider.objects.update(base_url=made.url)
        yield made


def put(model, *, state=State.OPEN, cause="unreachable", for_s=60.0):
    now = time.time()
    circuit = Circuit("print", state, since=now - 2, until=now + for_s, cause=cause, opened_at=now - 2)
    with closing(open_store()) as store:
        assert circuits.write(store, {model.pk: Wanted(None, circuit)}, now=now)


def is_due(model):
    return circuits.in_store()[model.pk].is_due(at=time.time())


def test_one_that_answers_is_tried_by_the_next_request(server, layers):
    put(layers["L0"])
    put(layers["L1"])
    assert probing.probe(within_s=5.0) == ["up"]
    assert (is_due(layers["L0"]), is_due(layers["L1"])) == (True, True)
    assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/v1/models")]


def test_whatever_it_says(server, layers):
    server.says("/v1/models", {"error": {"message": "no"}}, status=500)
    put(layers["L0"])
    assert probing.probe(within_s=5.0) == ["up"]
    assert is_due(layers["L0"])


def test_one_that_is_still_away_is_left_alone(layers):
    put(layers["L0"])
    assert probing.probe(within_s=5.0) == []
    assert not is_due(layers["L0"])


def test_one_that_does_not_answer_is_not_waited_for(server, layers):
    server.silent.clear()
    put(layers["L0"])
    began = time.monotonic()
    assert probing.probe(within_s=0.1) == []
    assert time.monotonic() - began < 3.0
    server.silent.set()


@pytest.mark.parametrize("cause", ["credentials", "rate_limited", "server_error", "private address"])
def test_other_reasons_are_none_of_its_business(server, layers, cause):
    put(layers["L0"], cause=cause)
    assert probing.probe(within_s=5.0) == []
    assert (is_due(layers["L0"]), server.seen) == (False, [])


@pytest.mark.parametrize("what", [{"for_s": 0.5}, {"state": State.HALF_OPEN}])
def test_one_that_is_tried_soon_anyway_is_not_asked(server, layers, what):
    put(layers["L0"], **what)
    assert probing.probe(within_s=5.0) == []
    assert server.seen == []


def test_a_provider_that_was_switched_off_is_not_asked(server, layers):
    put(layers["L0"])
    Provider.objects.update(enabled=False)
    assert probing.probe(within_s=5.0) == []
    assert server.seen == []


def test_the_task_is_on_the_schedule(server, layers, settings):
    put(layers["L0"])
    tasks.probe_providers()
    assert is_due(layers["L0"])
    assert settings.CELERY_BEAT_SCHEDULE["probe-providers"]["task"] == tasks.probe_providers.name
