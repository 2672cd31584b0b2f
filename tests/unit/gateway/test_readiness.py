"""Whether this process may be sent requests, and what is wrong when not."""

import pytest
from django.db import OperationalError, connection

from gateway import readiness
from providers.models import Model
from routing import runtime, snapshot
from routing.models import Layer
from tests.unit.analytics.spools import full_disk

pytestmark = pytest.mark.django_db


@pytest.fixture
def process(tmp_path, settings, monkeypatch):
    """The parts of a process that answers requests; its threads are not started and say they are alive."""
    settings.SPOOL_DIR, settings.COUNTERS_FILE = tmp_path / "spool", tmp_path / "counters.sqlite3"
    process = runtime._made()
    for thread in (process.drainer, process.poller, process.keeper, process.health):
        monkeypatch.setattr(thread, "is_alive", lambda: True)
    monkeypatch.setattr(runtime, "_current", process)
    yield process
    process.guard.close()
    process.spool.close()


@pytest.fixture
def loaded(layers):
    snapshot.load()


def database_away():
    def refuse(execute, sql, params, many, context):
        raise OperationalError("gone")

    return connection.execute_wrapper(refuse)


class TestReady:
    def test_with_all_parts_and_a_candidate_it_is_ready(self, process, loaded):
        state = readiness.look()
        assert (state.status, state.failing, state.degraded) == ("ready", [], [])

    def test_one_candidate_anywhere_is_enough(self, process, layers):
        Model.objects.exclude(name="m3").update(enabled=False)
        snapshot.load()
        assert readiness.look().status == "ready"


class TestNotReady:
    def test_outside_a_running_process(self, loaded):
        assert readiness.look().failing == ["stopping"]

    def test_while_it_stops(self, process, loaded):
        process.is_stopping = True
        assert readiness.look().failing == ["stopping"]

    def test_when_the_spool_cannot_be_written(self, process, loaded):
        with full_disk():
            state = readiness.look()
        assert (state.status, state.failing) == ("not ready", ["spool not writable"])

    def test_before_the_configuration_is_loaded(self, process):
        assert readiness.look().failing == ["configuration not loaded yet"]

    def test_when_the_database_was_never_there(self, process):
        with database_away():
            assert readiness.look().failing == ["database not reachable"]

    def test_when_the_configuration_could_not_be_read(self, process):
        process.poller.problem = "no such table"
        assert readiness.look().failing == [readiness.NOT_READABLE]

    @pytest.mark.parametrize(
        ("thread", "reason"), [("drainer", "ledger thread died"), ("poller", "configuration thread died")]
    )
    def test_when_a_thread_has_died(self, process, loaded, monkeypatch, thread, reason):
        monkeypatch.setattr(getattr(process, thread), "is_alive", lambda: False)
        state = readiness.look()
        assert (state.status, state.failing) == ("not ready", [reason])

    def test_threads_that_have_ended_while_it_stops_did_not_die(self, process, loaded, monkeypatch):
        process.is_stopping = True
        monkeypatch.setattr(process.drainer, "is_alive", lambda: False)
        assert readiness.look().failing == ["stopping"]

    def test_when_the_configuration_is_too_old(self, process, loaded, settings):
        settings.SNAPSHOT_MAX_AGE_S = -1
        assert readiness.look().failing == ["configuration older than SNAPSHOT_MAX_AGE_S"]

    @pytest.mark.parametrize("model", [Model, Layer])
    def test_without_any_candidate(self, process, layers, model):
        model.objects.update(enabled=False)
        snapshot.load()
        (reason,) = readiness.look().failing
        assert "no enabled candidate" in reason

    def test_every_reason_is_told(self, process):
        process.is_stopping = True
        with full_disk():
            failing = readiness.look().failing
        assert failing == ["stopping", "spool not writable", "configuration not loaded yet"]


class TestDegraded:
    def test_while_the_counters_are_away(self, process, loaded):
        process.guard.hear(False)
        state = readiness.look()
        assert (state.status, state.degraded) == ("degraded", [readiness.COUNTERS_AWAY])

    def test_when_rows_wait_in_the_spool(self, process, loaded):
        process.drainer.problem = "connection refused"
        state = readiness.look()
        assert (state.status, state.failing) == ("degraded", [])
        assert state.degraded == ["usage rows wait in the spool: the database does not take them"]

    def test_when_the_database_is_gone_after_a_load(self, process, loaded):
        process.poller.problem = "connection refused"
        state = readiness.look()
        assert (state.status, state.degraded) == ("degraded", [readiness.NOT_READABLE])

    def test_what_fails_counts_more(self, process, loaded):
        process.poller.problem = "connection refused"
        process.is_stopping = True
        assert readiness.look().status == "not ready"


class TestView:
    def test_ready_is_200(self, client, process, loaded):
        response = client.get("/health/ready")
        assert (response.status_code, response.json()) == (200, {"status": "ready", "reasons": [], "degraded": []})

    def test_degraded_is_200_as_well(self, client, process, loaded):
        process.poller.problem = "gone"
        response = client.get("/health/ready")
        assert (response.status_code, response.json()["status"]) == (200, "degraded")

    def test_not_ready_is_503_with_the_reasons(self, client, loaded):
        response = client.get("/health/ready")
        assert (response.status_code, response.json()["reasons"]) == (503, ["stopping"])

    @pytest.mark.parametrize("is_loaded", [True, False])
    def test_nobody_learns_the_drivers_words(self, client, process, layers, is_loaded):
        if is_loaded:
            snapshot.load()
        process.drainer.problem = process.poller.problem = 'connection to "db.internal" failed: user "gateway"'
        answer = client.get("/health/ready").content.decode()
        assert "database not reachable" in answer
        assert "internal" not in answer
        assert "user" not in answer

    def test_nobody_has_to_say_who_they_are(self, client, process, loaded):
        assert client.get("/health/ready", headers={"Authorization": "Bearer agw_wrong"}).status_code == 200
