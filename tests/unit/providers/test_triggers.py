"""The triggers: whoever writes to a configuration table moves its group's version, by whatever way."""

import uuid

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from analytics.models import ApiKey, AuditEntry, Budget, Project
from providers import triggers
from providers.models import ConfigChange, ConfigVersion, Credential, Model, Price, Provider
from routing.models import Candidate, CircuitTransition, Layer, Policy

pytestmark = pytest.mark.django_db

KEEPS_TRACK = {ConfigVersion, ConfigChange, CircuitTransition}
"""The triggers' own tables, and what changes by requests: that must not be watched."""
GROUPS = {
    **{model: "providers" for model in apps.get_app_config("providers").get_models() if model not in KEEPS_TRACK},
    **{model: "routing" for model in apps.get_app_config("routing").get_models() if model not in KEEPS_TRACK},
    **dict.fromkeys((Project, ApiKey), "keys"),
    Budget: "budgets",
}
"""Every table the snapshot reads: a new model in `providers` or `routing` is expected to be watched."""
watched_tables = pytest.mark.parametrize("model", GROUPS, ids=lambda model: model.__name__)


def word():
    return f"x{uuid.uuid4().hex[:12]}"


def add(model):
    """A new row of `model`, with the rows it needs."""
    return _ADD[model]()


_ADD = {
    Provider: lambda: Provider.objects.create(slug=word(), name="P", dialect="openai", base_url="https://a.test/v1"),
    Credential: lambda: Credential.objects.create(provider=add(Provider), env_var="ACME_KEY"),
    Model: lambda: Model.objects.create(provider=add(Provider), name=word()),
    Price: lambda: Price.objects.create(model=add(Model), unit="input", usd_per_unit="0.000001"),
    Layer: lambda: Layer.objects.create(name=word(), position=Layer.objects.count(), from_score=0.5),
    Candidate: lambda: Candidate.objects.create(layer=add(Layer), model=add(Model)),
    Policy: lambda: Policy.objects.create(default_layer=add(Layer)),
    Budget: lambda: Budget.objects.create(window="day", limit_usd="1"),
    Project: lambda: Project.objects.create(slug=word(), name="P"),
    ApiKey: lambda: ApiKey.objects.create(
        project=add(Project), name="k", prefix="agw_x", key_hash=uuid.uuid4().bytes * 2
    ),
}


def versions():
    return dict(ConfigVersion.objects.values_list("group", "version"))


def moved(before):
    return {group for group, version in versions().items() if version > before.get(group, 0)}


def execute(statement, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def existing_triggers():
    query = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {name for (name,) in cursor.fetchall()}


@watched_tables
def test_its_triggers_are_there_after_all_migrations(model):
    wanted = triggers.names(model._meta.db_table, vendor=connection.vendor)
    assert len(wanted) == 3
    assert wanted <= existing_triggers()


@watched_tables
class TestEveryWatchedTable:
    def test_an_insert_moves_its_group(self, model):
        before = versions()
        add(model)
        assert GROUPS[model] in moved(before)

    def test_saving_a_row_moves_its_group_alone(self, model):
        row = add(model)
        before = versions()
        row.save()
        assert moved(before) == {GROUPS[model]}

    def test_a_queryset_update_moves_its_group_alone(self, model):
        row = add(model)
        before = versions()
        name = next(field.name for field in model._meta.fields if not field.primary_key)
        model.objects.filter(pk=row.pk).update(**{name: F(name)})
        assert moved(before) == {GROUPS[model]}

    def test_raw_sql_moves_its_group_alone(self, model):
        row = add(model)
        before = versions()
        execute(f"UPDATE {model._meta.db_table} SET id = id WHERE id = %s", row.pk)
        assert moved(before) == {GROUPS[model]}

    def test_a_queryset_delete_moves_its_group(self, model):
        row = add(model)
        before = versions()
        model.objects.filter(pk=row.pk).delete()  # and its cascades, which may move others
        assert GROUPS[model] in moved(before)

    def test_a_raw_delete_moves_its_group_alone(self, model):
        row = add(model)
        before = versions()
        execute(f"DELETE FROM {model._meta.db_table} WHERE id = %s", row.pk)
        assert moved(before) == {GROUPS[model]}

    def test_statements_that_touch_no_row_move_nothing(self, model):
        row = add(model)
        table, before = model._meta.db_table, versions()
        execute(f"UPDATE {table} SET id = id WHERE id = %s", row.pk + 1000)
        execute(f"DELETE FROM {table} WHERE id = %s", row.pk + 1000)
        execute(f"INSERT INTO {table} SELECT * FROM {table} WHERE id = %s ON CONFLICT DO NOTHING", row.pk)
        assert versions() == before

    def test_reading_moves_nothing(self, model):
        add(model)
        before = versions()
        list(model.objects.all())
        assert versions() == before


def test_what_is_rolled_back_moves_nothing():
    before = versions()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        add(Price)
        raise ZeroDivisionError
    assert versions() == before


def test_every_group_has_a_version_from_the_start():
    assert set(versions()) == set(GROUPS.values())


class TestNamedKeys:
    def changes_since(self, version):
        return set(ConfigChange.objects.filter(group="keys", version__gt=version).values_list("row_id", flat=True))

    @pytest.fixture
    def keys(self):
        return [add(ApiKey) for _ in range(3)]

    def test_a_changed_key_is_named_with_the_version_it_moved_to(self, keys):
        before = versions()["keys"]
        keys[1].save()
        change = ConfigChange.objects.get(group="keys", version__gt=before)
        assert (change.row_id, change.version) == (keys[1].pk, versions()["keys"])
        assert change.changed_at is not None

    def test_a_new_key_is_named(self):
        before = versions()["keys"]
        assert add(ApiKey).pk in self.changes_since(before)

    def test_every_key_of_one_statement_is_named(self, keys):
        before = versions()["keys"]
        ApiKey.objects.filter(pk__in=[keys[0].pk, keys[2].pk]).update(enabled=False)
        assert self.changes_since(before) == {keys[0].pk, keys[2].pk}

    def test_a_deleted_key_is_named(self, keys):
        before = versions()["keys"]
        gone = keys[0].pk
        keys[0].delete()
        assert self.changes_since(before) == {gone}

    def test_every_step_is_named_so_that_no_reader_loads_all(self, keys):
        before = versions()["keys"]
        keys[0].save()
        ApiKey.objects.filter(name="nobody").update(enabled=False)
        execute("DELETE FROM analytics_apikey WHERE name = %s", "nobody")
        named = ConfigChange.objects.filter(group="keys", version__gt=before).values_list("version", flat=True)
        assert set(named) == set(range(before + 1, versions()["keys"] + 1))

    def test_a_changed_project_names_no_key_so_that_all_are_loaded(self, keys):
        before = versions()["keys"]
        keys[0].project.save()
        assert self.changes_since(before) == set()
        assert versions()["keys"] > before


class TestAuditTrail:
    WAYS = {
        "update": "UPDATE analytics_auditentry SET actor = 'nobody'",
        "delete": "DELETE FROM analytics_auditentry",
        "truncate": "TRUNCATE analytics_auditentry",
    }

    @pytest.fixture(autouse=True)
    def entry(self):
        return AuditEntry.objects.create(actor="tests", action="tried")

    @pytest.mark.parametrize("way", WAYS)
    def test_it_refuses_what_is_no_insert(self, way):
        if way == "truncate" and connection.vendor == "sqlite":
            way = "delete"  # it has no TRUNCATE
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            execute(self.WAYS[way])
        assert AuditEntry.objects.get().actor == "tests"

    def test_it_refuses_a_row_in_an_old_ones_place(self, entry):
        columns = "(id, at, severity, actor, action, target) VALUES (%s, CURRENT_TIMESTAMP, 'info', 'nobody', 'x', '')"
        taken = (
            f"INSERT OR REPLACE INTO analytics_auditentry {columns}"
            if connection.vendor == "sqlite"
            else f"INSERT INTO analytics_auditentry {columns} ON CONFLICT (id) DO UPDATE SET actor = 'nobody'"
        )
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            execute(taken, entry.pk)
        assert AuditEntry.objects.get().actor == "tests"

    def test_it_refuses_the_orm_too(self, entry):
        entry.actor = "nobody"
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            entry.save()
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            AuditEntry.objects.all().delete()
        assert AuditEntry.objects.get().actor == "tests"
