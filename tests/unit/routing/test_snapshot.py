"""The configuration of this process: loaded once, then group by group, and served on when the database is gone."""

import logging
from dataclasses import FrozenInstanceError, replace
from decimal import Decimal

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from analytics import callers, keys
from analytics.models import ApiKey, Project
from providers import rows
from providers.models import ConfigChange, Credential, Dialect, Model, Price, Provider
from routing import snapshot
from routing.models import Candidate, Layer, Policy
from routing.snapshot import NotLoaded, Poller, Stale
from routing.types import Balancing, UnknownPrice, WhenClientLeaves

pytestmark = pytest.mark.django_db


@pytest.fixture
def poller():
    """One that has polled once. Its thread is never started: it would not see what a test has not committed."""
    poller = Poller(every_s=60)
    poller._poll()
    return poller


def poll(poller):
    """What it read to find out what changed, table by table."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        poller._poll()
    return [query["sql"].split(' FROM "')[1].split('"')[0] for query in captured if "SELECT" in query["sql"]]


def names(candidates):
    return [candidate.model.name for candidate in candidates]


def in_layer(name):
    return names(snapshot.current().layer(name).candidates)


def add_model(name, layer, *, usd="0.000001", priority=0, **fields):
    model = Model.objects.create(provider=Provider.objects.get(slug="up"), name=name)
    for unit in ("input", "output") if usd is not None else ():
        Price.objects.create(model=model, unit=unit, usd_per_unit=Decimal(usd))
    Candidate.objects.create(layer=Layer.objects.get(name=layer), model=model, priority=priority, **fields)
    return model


class TestContent:
    def test_layers_come_cheapest_first_with_their_candidates(self, layers):
        config = snapshot.load()
        assert [(layer.name, layer.from_score, names(layer.candidates)) for layer in config.layers] == [
            ("L0", 0.0, ["m0"]),
            ("L1", 0.25, ["m1"]),
            ("L2", 0.5, ["m2"]),
            ("L3", 0.75, ["m3"]),
        ]

    def test_candidates_are_sorted_by_priority_then_cost_then_name(self, layers):
        add_model("dear", "L1", usd="0.00001")
        add_model("cheap", "L1", usd="0.0000001")
        add_model("also", "L1")
        add_model("last", "L1", usd="0", priority=1)
        add_model("unpriced", "L1", usd=None)
        snapshot.load()
        assert in_layer("L1") == ["cheap", "also", "m1", "dear", "unpriced", "last"]

    def test_a_relative_cost_of_its_own_wins_over_the_price(self, layers):
        add_model("dear", "L1", usd="0.01", relative_cost=Decimal(0))
        snapshot.load()
        assert in_layer("L1") == ["dear", "m1"]

    def test_output_weighs_a_third_of_input_in_the_order(self, layers):
        for name, input_usd, output_usd in (("a", 1, 6), ("b", 2, 2)):
            model = add_model(name, "L0", usd=None, priority=1)
            Price.objects.create(model=model, unit="input", usd_per_unit=input_usd)
            Price.objects.create(model=model, unit="output", usd_per_unit=output_usd)
        snapshot.load()
        assert in_layer("L0") == ["m0", "b", "a"]

    def test_ids_are_served_under_their_own_name_and_with_their_provider(self, layers):
        served = snapshot.load().served
        assert names(served["m2"]) == names(served["up/m2"]) == ["m2"]
        assert served["m2"][0].layer == "L2"

    def test_one_id_at_several_providers_is_served_by_all_of_them(self, layers):
        other = Provider.objects.create(slug="other", name="O", dialect=Dialect.OPENAI, base_url="https://o.test/v1")
        Model.objects.create(provider=other, name="m2")
        served = snapshot.load().served
        assert [found.model.qualified_name for found in served["m2"]] == ["up/m2", "other/m2"]
        assert names(served["other/m2"]) == ["m2"]
        assert served["other/m2"][0].layer == ""

    @pytest.mark.parametrize(
        "switch_off",
        [
            lambda: Model.objects.filter(name="m1").update(enabled=False),
            lambda: Candidate.objects.filter(model__name="m1").update(enabled=False),
            lambda: Provider.objects.update(enabled=False),
            lambda: Model.objects.filter(name="m1").update(kind="embeddings"),
        ],
        ids=["model", "candidate", "provider", "no chat model"],
    )
    def test_what_is_switched_off_is_in_no_layer(self, layers, switch_off):
        switch_off()
        snapshot.load()
        assert in_layer("L1") == []

    def test_a_model_switched_off_cannot_be_asked_for_either(self, layers):
        Model.objects.filter(name="m1").update(enabled=False)
        assert "m1" not in snapshot.load().served

    def test_a_disabled_layer_is_left_out_and_its_models_stay_askable(self, layers):
        Layer.objects.filter(name="L2").update(enabled=False)
        config = snapshot.load()
        assert [layer.name for layer in config.layers] == ["L0", "L1", "L3"]
        assert config.served["m2"][0].layer == ""

    def test_the_policy_is_the_one_row(self, layers):
        Policy.objects.update(deadline_s=12.5, max_attempts=2, unknown_price="estimate", when_client_leaves="drain")
        policy = snapshot.load().policy
        assert (policy.default_layer, policy.deadline_s, policy.max_attempts) == ("L1", 12.5, 2)
        assert policy.unknown_price is UnknownPrice.ESTIMATE
        assert policy.when_client_leaves is WhenClientLeaves.DRAIN

    def test_how_equals_are_balanced_is_the_policys(self, layers):
        Policy.objects.update(balancing="least_outstanding")
        assert snapshot.load().policy.balancing is Balancing.LEAST_OUTSTANDING

    def test_a_layer_has_its_own_bounds_or_none(self, layers):
        Layer.objects.filter(name="L1").update(max_attempts=2, deadline_s=5.5)
        found = {layer.name: (layer.max_attempts, layer.deadline_s) for layer in snapshot.load().layers}
        assert (found["L1"], found["L0"]) == ((2, 5.5), (None, None))

    def test_models_of_one_priority_and_cost_are_equals(self, layers):
        add_model("same", "L1", relative_cost=Decimal(1))
        add_model("later", "L1", relative_cost=Decimal(1), priority=1)
        Candidate.objects.filter(model__name="m1").update(relative_cost=Decimal(1))
        ranks = [[one.model.name for one in rank] for rank in snapshot.load().layer("L1").ranks]
        assert ranks == [["m1", "same"], ["later"]]

    def test_an_empty_installation_has_a_snapshot_too(self):
        config = snapshot.load()
        assert (config.layers, dict(config.served), dict(config.callers)) == ((), {}, {})
        assert config.policy.unknown_price is UnknownPrice.DENY

    def test_it_cannot_be_changed(self, layers):
        with pytest.raises(FrozenInstanceError):
            snapshot.load().version = "x"

    def test_a_credential_named_by_an_unset_variable_is_none(self, layers, monkeypatch):
        provider = Provider.objects.get(slug="up")
        Credential.objects.create(provider=provider, env_var="ACME_TESTS_API_KEY")
        monkeypatch.delenv("ACME_TESTS_API_KEY", raising=False)
        assert snapshot.load().served["m1"][0].model.provider.credential is None

    def test_a_credential_that_was_set_meanwhile_is_taken_over_at_the_next_change(self, layers, monkeypatch, poller):
        Credential.objects.create(provider=Provider.objects.get(slug="up"), env_var="ACME_TESTS_API_KEY")
        monkeypatch.setenv("ACME_TESTS_API_KEY", "sk-acme")
        poll(poller)
        assert snapshot.current().served["m1"][0].model.provider.credential == "sk-acme"

    def test_secrets_show_in_no_repr(self, layers, ours, monkeypatch):
        monkeypatch.setenv("ACME_TESTS_API_KEY", "sk-of-acme-0123456789")
        Credential.objects.create(provider=Provider.objects.get(slug="up"), env_var="ACME_TESTS_API_KEY")
        assert "sk-of-acme-0123456789" not in repr(snapshot.load())


@pytest.mark.usefixtures("layers", "ours")
class TestReload:
    def test_when_nothing_changed_only_the_versions_are_read(self, poller):
        before = snapshot.current()
        assert poll(poller) == ["providers_configversion"]
        after = snapshot.current()
        assert after.loaded_at > before.loaded_at
        assert after == replace(before, loaded_at=after.loaded_at)

    def test_a_change_of_layers_reads_layers_alone(self, poller):
        Layer.objects.filter(name="L2").update(title="Standard")
        assert poll(poller) == ["providers_configversion", "routing_layer", "routing_candidate", "routing_policy"]
        assert snapshot.current().layer("L2").title == "Standard"

    def test_a_change_of_prices_reads_the_providers_side_alone(self, poller):
        Price.objects.filter(model__name="m1").update(usd_per_unit=5)
        read = poll(poller)
        assert read[0] == "providers_configversion"
        assert sorted(read[1:]) == ["providers_credential", "providers_model", "providers_price", "providers_provider"]
        assert {price.usd_per_unit for price in snapshot.current().served["m1"][0].model.prices} == {5}

    def test_a_changed_model_is_seen_through_layers_that_were_not_read_again(self, poller):
        Model.objects.filter(name="m1").update(context_tokens=4096)
        poll(poller)
        assert snapshot.current().layer("L1").candidates[0].model.context_tokens == 4096

    def test_a_change_of_keys_reads_keys_alone(self, poller):
        ApiKey.objects.update(name="renamed")
        assert poll(poller) == ["providers_configversion", "providers_configchange", "analytics_apikey"]
        assert [caller.key_name for caller in snapshot.current().callers.values()] == ["renamed"]

    def test_the_version_tells_one_configuration_from_the_next(self, poller):
        before = snapshot.current().version
        Layer.objects.update(title="x")
        poll(poller)
        assert snapshot.current().version != before

    def test_what_was_given_out_stays_as_it_was(self, poller):
        before = snapshot.current()
        Model.objects.all().update(enabled=False)
        poll(poller)
        assert names(before.layer("L1").candidates) == ["m1"]
        assert names(snapshot.current().layer("L1").candidates) == []


@pytest.mark.usefixtures("layers", "ours")
class TestAChangeBetweenTheReads:
    """It lands after the rows were read and before the poll ends: the next poll sees it, at the latest."""

    CHANGES = {
        "model": lambda: Model.objects.filter(name="m1").update(context_tokens=4096),
        "key": lambda: ApiKey.objects.update(name="renamed"),
    }

    @pytest.fixture(params=CHANGES)
    def interrupted(self, request, monkeypatch):
        """The next reading of models, by which keys were read already, is followed by a change of either."""
        read = rows.models_by_id

        def read_then_change():
            monkeypatch.setattr(rows, "models_by_id", read)
            found = read()
            self.CHANGES[request.param]()
            return found

        monkeypatch.setattr(rows, "models_by_id", read_then_change)

    def is_seen(self):
        config = snapshot.current()
        names = {caller.key_name for caller in config.callers.values()}
        return "renamed" in names or config.served["m1"][0].model.context_tokens == 4096

    def test_during_the_first_load(self, interrupted):
        poller = Poller(every_s=60)
        poller._poll()
        assert not self.is_seen()
        poller._poll()
        assert self.is_seen()

    def test_during_a_later_one(self, poller, interrupted):
        Provider.objects.update(name="Renamed")
        poller._poll()
        assert not self.is_seen()
        poller._poll()
        assert self.is_seen()


class TestKeysByDelta:
    @pytest.fixture
    def many(self, request):
        """Ten keys, unless a test asks for more."""
        project = Project.objects.get(slug="default")
        ApiKey.objects.bulk_create(
            ApiKey(project=project, name=f"key {number}", prefix="agw_", key_hash=number.to_bytes(32, "big"))
            for number in range(getattr(request, "param", 10))
        )
        return list(ApiKey.objects.order_by("pk"))

    def rows_read(self, poller):
        with CaptureQueriesContext(connection) as captured:
            poller._poll()
        (query,) = [query["sql"] for query in captured if 'FROM "analytics_apikey"' in query["sql"]]
        return query.partition(" WHERE ")[2]

    @pytest.mark.parametrize("many", [1000], indirect=True)
    def test_one_changed_key_among_a_thousand_is_fetched_alone(self, many, poller):
        ApiKey.objects.filter(pk=many[500].pk).update(allowed_layers=["L0"])
        assert f"IN ({many[500].pk})" in self.rows_read(poller)
        callers = snapshot.current().callers
        assert len(callers) == 1000
        assert [caller.key_name for caller in callers.values() if caller.allowed_layers] == ["key 500"]

    def test_a_deleted_key_is_gone(self, many, poller):
        many[7].delete()
        self.rows_read(poller)
        assert len(snapshot.current().callers) == 9
        assert bytes(many[7].key_hash) not in snapshot.current().callers

    def test_a_new_key_is_known(self, many, poller):
        made = keys.create("new", actor="tests")
        self.rows_read(poller)
        assert snapshot.current().callers[keys.digest(made.secret)].key_name == "new"

    def test_where_a_step_is_missing_all_are_loaded(self, many, poller):
        ApiKey.objects.filter(pk=many[1].pk).update(enabled=False)
        ApiKey.objects.filter(pk=many[2].pk).update(enabled=False)
        ConfigChange.objects.filter(row_id=many[1].pk).delete()
        assert self.rows_read(poller) == ""
        assert sum(not caller.enabled for caller in snapshot.current().callers.values()) == 2

    def test_a_disabled_project_disables_every_key_of_it(self, many, poller):
        Project.objects.update(enabled=False)
        assert self.rows_read(poller) == ""
        assert not any(caller.enabled for caller in snapshot.current().callers.values())

    def test_too_many_changes_load_all(self, many, poller, monkeypatch):
        monkeypatch.setattr(snapshot, "MOST_CHANGES", 5)
        ApiKey.objects.update(enabled=False)
        assert self.rows_read(poller) == ""
        assert not any(caller.enabled for caller in snapshot.current().callers.values())


class TestAge:
    def test_before_the_first_load_there_is_none(self):
        assert snapshot.age_s() is None
        with pytest.raises(NotLoaded):
            snapshot.current()

    def test_a_loaded_one_is_in_force_and_young(self):
        assert snapshot.load() is snapshot.current()
        assert 0 <= snapshot.age_s() < 60

    def test_one_the_database_has_not_confirmed_for_long_is_stale(self, settings):
        snapshot.load()
        settings.SNAPSHOT_MAX_AGE_S = -1
        with pytest.raises(Stale):
            snapshot.current()

    def test_a_poll_makes_it_young_again(self, poller):
        before = snapshot.current().loaded_at
        poll(poller)
        assert snapshot.current().loaded_at > before


def not_understood(*_, **__):
    raise ValueError("no such thing")


class TestTrouble:
    @pytest.fixture(autouse=True)
    def quiet(self, caplog):
        caplog.set_level(logging.CRITICAL, logger="routing.snapshot")

    def poll_without_database(self, poller):
        def refuse(execute, sql, params, many, context):
            raise OperationalError("connection refused")

        with connection.execute_wrapper(refuse):
            poller._poll()

    def test_the_last_one_stays_in_force(self, layers, poller):
        before = snapshot.current()
        self.poll_without_database(poller)
        assert snapshot.current() is before
        assert poller.problem == "connection refused"

    def test_before_the_first_there_is_none_to_stay(self, db):
        poller = Poller(every_s=60)
        self.poll_without_database(poller)
        assert poller.problem
        with pytest.raises(NotLoaded):
            snapshot.current()

    def test_a_row_that_cannot_be_understood_keeps_the_last_one_and_says_so(self, layers, ours, poller, monkeypatch):
        monkeypatch.setattr(callers, "load_changed", not_understood)
        ApiKey.objects.update(name="renamed")
        poller._poll()
        assert "cannot be understood" in poller.problem
        assert [caller.key_name for caller in snapshot.current().callers.values()] == ["first"]

    def test_once_it_is_mended_the_problem_is_over(self, layers, ours, poller, monkeypatch):
        with monkeypatch.context() as broken:
            broken.setattr(callers, "load_changed", not_understood)
            ApiKey.objects.update(name="renamed")
            poller._poll()
        ApiKey.objects.update(scopes=["chat"], name="mended")
        poller._poll()
        assert poller.problem == ""
        assert [caller.key_name for caller in snapshot.current().callers.values()] == ["mended"]
