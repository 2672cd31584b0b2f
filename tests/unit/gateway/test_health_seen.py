"""Models' health as people see it: the API, the command, the admin, readiness, dry runs."""

import json
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

from analytics.counters.opening import open_store
from analytics.models import ApiKey, AuditEntry
from gateway import housekeeping, readiness
from providers.models import Model, Provider
from routing import circuits, runtime, snapshot, transitions
from routing.circuit import Bucket, Circuit, State
from routing.circuits import Wanted
from routing.models import Candidate, CircuitTransition, Layer
from tests.unit.routing.test_plan import model as frozen_model

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def counters(tmp_path, settings):
    settings.COUNTERS_FILE = tmp_path / "counters.sqlite3"


@pytest.fixture
def out(layers):
    """Puts a layer's model out of order, in the shared register."""

    def put(layer, *, for_s=60.0, state=State.OPEN, cause="timeout"):
        config, now = snapshot.load(), time.time()
        [model] = [one.model for one in config.layer(layer).candidates]
        circuit = Circuit(
            circuits.fingerprint(model),
            state,
            since=now - 2,
            until=now + for_s,
            cause=cause,
            opened_at=now - 2,
            reopened=1,
            buckets=(Bucket(int(now // 5), 8, 6),),
        )
        with closing(open_store()) as store:
            assert circuits.write(store, {model.id: Wanted(None, circuit)}, now=now)
        return circuit

    return put


@pytest.fixture
def get(client, ours, layers):
    def get(*, secret=ours.secret):
        snapshot.load()
        return client.get("/v1/health/routes", headers={"Authorization": f"Bearer {secret}"})

    return get


def noted(layers, name="L1", *, at=None, **fields):
    usual = {"from_state": "closed", "to_state": "open", "cause": "timeout"}
    model = layers[name]
    return CircuitTransition.objects.create(
        at=at or datetime.now(UTC), model_id=model.pk, provider="up", model=model.name, **(usual | fields)
    )


class TestTheApi:
    def test_all_models_are_told_in_their_layers(self, get):
        data = get().json()["data"]
        assert [(row["layer"], row["model"], row["state"]) for row in data] == [
            (f"L{n}", f"m{n}", "closed") for n in range(4)
        ]
        assert (data[0]["cause"], data[0]["until"], data[0]["last_transition"]) == (None, None, None)

    def test_one_that_is_out_says_why_since_when_and_until_when(self, get, out, layers):
        row, circuit = noted(layers), out("L1")
        told = get().json()["data"][1]
        assert told["last_transition"]["at"] == row.at.isoformat()
        del told["last_transition"]
        assert told == {
            "model": "m1",
            "provider": "up",
            "layer": "L1",
            "priority": 0,
            "state": "open",
            "cause": "timeout",
            "since": datetime.fromtimestamp(circuit.opened_at, UTC).isoformat(),
            "until": datetime.fromtimestamp(circuit.until, UTC).isoformat(),
            "failed_tries": 1,
            "calls": 8,
            "failures": 6,
            "failure_share": 0.75,
        }

    def test_a_key_is_told_of_what_it_may_use(self, get, ours):
        ApiKey.objects.filter(pk=ours.key.pk).update(allowed_layers=["L1"], allowed_models=["m*"])
        assert [row["model"] for row in get().json()["data"]] == ["m1"]

    def test_a_signed_in_user_is_told_of_all(self, client, layers):
        snapshot.load()
        client.force_login(User.objects.create_user("ann"))
        assert len(client.get("/v1/health/routes").json()["data"]) == 4

    def test_nobody_else_is_told(self, client, layers):
        snapshot.load()
        assert client.get("/v1/health/routes").status_code == 401

    def test_what_was_changed_since_is_well(self, get, out, layers):
        out("L1")
        layers["L1"].provider.base_url = "http://127.0.0.1:2/v1"
        layers["L1"].provider.save()
        assert {row["state"] for row in get().json()["data"]} == {"closed"}

    def test_its_questions_are_few(self, get, out, layers, django_assert_max_num_queries, client, ours):
        out("L1")
        snapshot.load()
        with django_assert_max_num_queries(2):
            client.get("/v1/health/routes", headers={"Authorization": f"Bearer {ours.secret}"})


class TestTheCommand:
    def test_it_says_when_all_is_well(self, run, layers):
        assert run("health")[:2] == (0, "All is well: 4 models.\n")

    def test_models_without_their_key_are_none_of_those(self, run, layers):
        Provider.objects.update(needs_credential=True)
        words = (
            "In this environment no model can be called: each provider's key is missing. See `manage.py providers`.\n"
        )
        assert run("health")[1] == words
        assert "no key" in run("health", "--all")[1]
        keyed = Provider.objects.create(slug="keyed", name="Keyed", base_url="https://api.keyed.test/v1")
        Provider.objects.filter(pk=keyed.pk).update(needs_credential=False)
        Candidate.objects.create(
            layer=Layer.objects.get(name="L1"), model=Model.objects.create(provider=keyed, name="m9")
        )
        assert run("health")[1] == "All is well: 1 model. 4 others lack their provider's key in this environment.\n"

    def test_until_is_a_time_or_says_whom_it_waits_for(self, run, out, layers):
        out("L1", for_s=-1.0)
        out("L2", state=State.HALF_OPEN)
        out("L3", for_s=2 * 86_400.0)
        out("L0", state=State.HALF_OPEN, for_s=-3600.0)  # who tried it never came back
        told = {line.split()[1]: line for line in run("health")[1].splitlines()}
        assert "the next request" in told["m1"]
        assert "a request tries it" in told["m2"]
        assert "the next request" in told["m0"]
        assert f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}" in told["m3"]

    def test_it_shows_what_is_not(self, run, out, layers):
        out("L1")
        status, told, _ = run("health")
        assert (status, "m1" in told, "timeout" in told, "6 of 8" in told, "m2" in told) == (0, True, True, True, False)
        assert "m2" in run("health", "--all")[1]

    def test_json_is_as_the_api_has_it(self, run, out, get):
        out("L1")
        assert json.loads(run("health", "--all", "--json")[1]) == get().json()["data"]
        assert [row["model"] for row in json.loads(run("health", "--json")[1])] == ["m1"]

    def test_the_history_is_newest_first(self, run, layers):
        assert run("health", "--history")[1] == "No model was ever left alone.\n"
        noted(layers)
        noted(layers, from_state="open", to_state="half_open", cause="tried once")
        told = json.loads(run("health", "--history", "--json")[1])
        assert [(row["from"], row["to"]) for row in told] == [("open", "half_open"), ("closed", "open")]
        assert "half open" in run("health", "--history")[1]

    def test_reset_has_a_model_called_again(self, run, out, get):
        out("L1")
        assert run("health", "reset", "m1")[:2] == (0, "Called again at once: up/m1.\n")
        assert {row["state"] for row in get().json()["data"]} == {"closed"}
        row = CircuitTransition.objects.get()
        assert (row.from_state, row.to_state, row.cause, row.until) == ("open", "closed", "reset by hand", None)
        assert AuditEntry.objects.get(action="circuit.reset").target == "up/m1"

    def test_reset_of_one_that_is_well_changes_nothing(self, run, layers):
        assert run("health", "reset", "up/m1")[:2] == (0, "Not left alone, nothing to reset: up/m1.\n")
        assert not CircuitTransition.objects.exists()

    def test_reset_takes_several_or_all(self, run, out, get):
        for name in ("L1", "L2", "L3"):
            out(name)
        assert run("health", "reset", "m1", "m2")[:2] == (0, "Called again at once: up/m1, up/m2.\n")
        assert run("health", "reset", "--all")[:2] == (0, "Called again at once: up/m3.\n")
        assert run("health", "reset", "--all")[:2] == (0, "No model is left alone.\n")

    @pytest.mark.parametrize("words", [[], ["m1", "--all"]])
    def test_reset_wants_to_know_of_which(self, run, layers, words):
        status, _, error = run("health", "reset", *words)
        assert (status, "Name one or more models, or give --all." in error) == (1, True)

    def test_where_one_does_not_exist_none_is_reset(self, run, out):
        out("L1")
        status, _, error = run("health", "reset", "m1", "m9")
        assert (status, "No provider serves 'm9'" in error) == (1, True)
        assert not AuditEntry.objects.filter(action="circuit.reset").exists()


class TestDryRuns:
    @pytest.fixture(autouse=True)
    def no_stdin(self, monkeypatch):
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    def test_the_command_sees_the_circuits(self, run, out):
        out("L0")
        told = json.loads(run("route", "--json", "--layer", "L0", "hi")[1])
        assert [row["model"] for row in told["attempts"]] == ["m1", "m2", "m3"]
        [gone] = [row for row in told["dropped"] if row["model"].endswith("m0")]
        assert (gone["reason"], gone["detail"].startswith("timeout, until ")) == ("out of order for now", True)

    def test_it_says_what_would_be_tried_as_a_last_resort(self, run, out):
        out("L3")
        told = json.loads(run("route", "--json", "--layer", "=L3", "hi")[1])
        assert (told["is_last_resort"], [row["model"] for row in told["attempts"]]) == (True, ["m3"])


class TestReadiness:
    @pytest.fixture
    def process(self, tmp_path, settings, monkeypatch, layers):
        settings.SPOOL_DIR = tmp_path / "spool"
        process = runtime._made()
        for thread in (process.drainer, process.poller, process.keeper, process.health):
            monkeypatch.setattr(thread, "is_alive", lambda: True)
        process.guard.is_here = True
        monkeypatch.setattr(runtime, "_current", process)
        yield process
        process.guard.close()
        process.spool.close()

    def test_a_layer_that_is_out_as_a_whole_degrades(self, process, out):
        out("L1")
        process.health.look()
        told = ["every model of layer L1 is out of order: see `manage.py health`"]
        assert readiness.look().degraded == told
        assert readiness.look().failing == []

    def test_models_without_their_key_do_not_hide_it(self, process, out, layers):
        keyless = Provider.objects.create(slug="keyless", name="Keyless", base_url="https://api.keyless.test/v1")
        model = Model.objects.create(provider=keyless, name="m8")
        out("L1")
        Candidate.objects.create(layer=Layer.objects.get(name="L1"), model=model)
        snapshot.load()
        process.health.look()
        assert readiness.look().degraded == ["every model of layer L1 is out of order: see `manage.py health`"]

    def test_one_that_is_due_does_not(self, process, out):
        out("L1", for_s=-1.0)
        process.health.look()
        assert readiness.look().status == "ready"


class TestTheHistory:
    def test_the_page_shows_it_and_changes_nothing(self, admin_client, layers):
        row = noted(layers, until=datetime.now(UTC))
        address = "/admin/routing/circuittransition/"
        page = admin_client.get(address).content.decode()
        assert "m1" in page and "timeout" in page
        assert admin_client.get(f"{address}{row.pk}/change/").status_code == 200
        assert admin_client.get(f"{address}add/").status_code == 403
        assert admin_client.post(f"{address}{row.pk}/delete/", {"post": "yes"}).status_code == 403

    def test_it_is_kept_for_90_days(self, layers, tmp_path):
        now = datetime.now(UTC)
        noted(layers, at=now - timedelta(days=91))
        kept = noted(layers, at=now - timedelta(days=89))
        assert housekeeping.clear(tmp_path, days=14).rows == 1
        assert CircuitTransition.objects.get() == kept

    def test_rows_wait_in_memory_while_the_database_is_away(self, monkeypatch, caplog):
        monkeypatch.setattr(transitions, "connection", Closing())
        writer, model = transitions.Writer(), frozen_model()
        opened = Circuit("p", State.OPEN, since=1e9, until=1e9 + 5, cause="timeout")
        write = CircuitTransition.objects.bulk_create

        def refuse(rows):
            raise OperationalError("gone")

        monkeypatch.setattr(CircuitTransition.objects, "bulk_create", refuse)
        writer.add(transitions.row(model, None, opened, at=1e9))
        assert (writer.write(), writer.write()) == (False, False)
        assert len([line for line in caplog.records if "cannot be written" in line.message]) == 1
        monkeypatch.setattr(CircuitTransition.objects, "bulk_create", write)
        writer.add(transitions.row(model, opened, None, at=1e9 + 6))
        assert writer.write()
        assert [row.to_state for row in CircuitTransition.objects.all()] == ["open", "closed"]

    def test_what_stays_as_it_is_leaves_no_row(self):
        opened = Circuit("p", State.OPEN, since=1e9, until=1e9 + 5, cause="rate_limited")
        longer = Circuit("p", State.OPEN, since=1e9, until=1e9 + 50, cause="rate_limited")
        assert transitions.row(frozen_model(), opened, longer, at=1e9) is None

    def test_another_reason_to_be_open_leaves_one(self):
        opened = Circuit("p", State.OPEN, since=1e9, until=1e9 + 5, cause="rate_limited")
        refused = Circuit("p", State.OPEN, since=1e9, until=1e9 + 300, cause="credentials")
        row = transitions.row(frozen_model(), opened, refused, at=1e9)
        assert (row.from_state, row.to_state, row.cause) == ("open", "open", "credentials")

    def test_the_last_of_each_model_is_found(self, layers):
        noted(layers, "L1")
        last = noted(layers, "L1", to_state="closed")
        other = noted(layers, "L2")
        assert transitions.latest([layers["L1"].pk, layers["L2"].pk, layers["L3"].pk]) == {
            layers["L1"].pk: last,
            layers["L2"].pk: other,
        }


class Closing:
    """The test's own connection stays open."""

    def close(self):
        pass
