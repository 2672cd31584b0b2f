"""What is saved or deleted leaves an entry: from what to what, secrets masked, and nothing where nothing was done."""

from decimal import Decimal

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, transaction

from analytics import audit, audit_context, audit_following, budget_rows, keys, projects
from analytics.models import ApiKey, AuditEntry, Budget, Membership, Project
from providers import credentials
from providers.models import ConfigChange, ConfigVersion, Credential, Model, Price, Provider
from routing.models import Candidate, CircuitTransition, Layer, Policy

pytestmark = pytest.mark.django_db

SECRET = "sk-live-0123456789abcdef"


def entries(action=""):
    """Newest first."""
    return AuditEntry.objects.filter(action__startswith=action).order_by("-id")


def newest(action=""):
    return entries(action).first()


@pytest.fixture
def provider(db):
    return Provider.objects.create(slug="acme", name="Acme", base_url="https://acme.test/v1")


@pytest.fixture
def model(provider):
    return Model.objects.create(provider=provider, name="a/1")


def whole_table():
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM analytics_auditentry")
        return str(cursor.fetchall())


def test_every_table_of_configuration_is_followed():
    kept_by_others = {ConfigVersion, ConfigChange, CircuitTransition}
    configured = {
        *apps.get_app_config("providers").get_models(),
        *apps.get_app_config("routing").get_models(),
        *(Project, Membership, ApiKey, Budget, User, Group),
    }
    assert configured - audit_following.followed() == kept_by_others


class TestSaving:
    def test_a_new_row_tells_all_it_has(self, provider):
        entry = newest("provider.")
        assert (entry.action, entry.target, entry.before) == ("provider.created", "acme", None)
        assert entry.after["base_url"] == "https://acme.test/v1"
        assert not {"id", "created_at", "updated_at"} & entry.after.keys()

    def test_a_change_tells_the_fields_that_differ_from_what_to_what(self, provider):
        provider.enabled, provider.connect_timeout_s = False, 2.5
        provider.save()
        entry = newest()
        assert (entry.action, entry.target) == ("provider.changed", "acme")
        assert entry.before == {"enabled": True, "connect_timeout_s": 5.0}
        assert entry.after == {"enabled": False, "connect_timeout_s": 2.5}

    def test_nothing_that_differs_is_no_entry(self, provider):
        before = entries().count()
        provider.save()
        assert entries().count() == before

    def test_only_what_was_written_is_told(self, provider):
        provider.enabled, provider.name = False, "Not written"
        provider.save(update_fields=["enabled"])
        assert newest().after == {"enabled": False}

    def test_a_row_that_is_renamed_is_named_as_it_is_now(self, provider):
        provider.slug = "acme-eu"
        provider.save()
        assert (newest().target, newest().before, newest().after) == ("acme-eu", {"slug": "acme"}, {"slug": "acme-eu"})

    def test_amounts_are_plain_and_relations_have_their_names(self, model):
        Price.objects.create(model=model, unit="input", usd_per_unit=Decimal("0.00000015"))
        entry = newest("price.created")
        assert entry.target == "acme/a/1 input: 0.15 USD per million"
        assert (entry.after["usd_per_unit"], entry.after["model"]) == ("0.00000015", "acme/a/1")
        assert entry.after["valid_from"] == "2020-01-01T00:00:00+00:00"

    def test_a_place_in_a_layer_names_both(self, model):
        layer = Layer.objects.create(name="L1", position=1, from_score=0.2)
        Policy.objects.create(default_layer=layer)
        place = Candidate.objects.create(layer=layer, model=model)
        place.priority = 3
        place.save()
        assert [(entry.action, entry.target) for entry in entries()[:4]] == [
            ("candidate.changed", "acme/a/1 in L1"),
            ("candidate.created", "acme/a/1 in L1"),
            ("policy.created", "Policy"),
            ("layer.created", "L1"),
        ]
        assert newest().after == {"priority": 3}

    def test_what_is_rolled_back_leaves_no_entry(self, provider):
        before = entries().count()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            provider.enabled = False
            provider.save()
            assert entries().count() == before + 1
            raise ZeroDivisionError
        assert entries().count() == before

    def test_a_last_login_is_no_change(self, django_user_model):
        user = django_user_model.objects.create_user("ann")
        before = entries().count()
        user.last_login = user.date_joined
        user.save(update_fields=["last_login"])
        assert entries().count() == before


class TestMasks:
    def test_a_credential_tells_that_it_changed_and_its_last_four(self, provider):
        row = Credential(provider=provider)
        credentials.set_value(row, SECRET)
        row.save()
        assert (newest().target, newest().after["encrypted_value"]) == ("acme: default", "...")
        credentials.set_value(row, "sk-live-another-one-4711")
        row.save()
        assert newest().before == {"encrypted_value": "...", "last_four": "cdef"}
        assert newest().after == {"encrypted_value": "...", "last_four": "4711"}
        assert not any(secret in whole_table() for secret in (SECRET, row.encrypted_value, "another-one"))

    def test_a_password_tells_that_it_changed(self, django_user_model):
        user = django_user_model.objects.create_user("ann", password="correct horse battery staple")
        was = user.password
        user.set_password("another long pass phrase")
        user.save()
        assert (newest().action, newest().before, newest().after) == (
            "user.changed", {"password": "..."}, {"password": "..."},
        )  # fmt: skip
        assert was not in whole_table()
        assert user.password not in whole_table()

    def test_a_key_that_somebody_writes_past_the_service_hides_its_hash(self, ours):
        ours.key.key_hash = b"\1" * 32
        ours.key.save()
        assert (newest().action, newest().before, newest().after) == (
            "api_key.changed", {"key_hash": "..."}, {"key_hash": "..."},
        )  # fmt: skip

    def test_secrets_within_json_are_masked_by_their_names(self, provider):
        provider.extra_body = {"top_k": 40, "max_tokens": "10", "auth": {"api_key": SECRET, "x-token": [SECRET]}}
        provider.save()
        told = newest().after["extra_body"]
        assert told == {"top_k": 40, "max_tokens": "10", "auth": {"api_key": "...", "x-token": "..."}}
        assert SECRET not in whole_table()

    @pytest.mark.parametrize(
        "name",
        [
            *("apiKey", "api-key", "X-API-Key", "accessToken", "clientsecret", "Authorization", "db_password", "KEY"),
            *("Set-Cookie", "x-auth", "bearer", "credential", "passphrase", "signature", "apiKeys"),
        ],
    )
    def test_a_name_may_be_spelt_in_many_ways(self, provider, name):
        provider.extra_body = {"deep": [{name: SECRET}]}
        provider.save()
        assert newest().after["extra_body"] == {"deep": [{name: "..."}]}

    @pytest.mark.parametrize(
        ("given", "shown"),
        [
            (["Authorization", SECRET], ["Authorization", "..."]),
            (["X-Title", "Gateway"], ["X-Title", "Gateway"]),
            (f"Bearer {SECRET}", "Bearer ..."),
            (f"https://acme.test/?api_key={SECRET}&q=1", "https://acme.test/?api_key=...&q=1"),
            (f"https://me:p@{SECRET}@acme.test/", "https://...@acme.test/"),
            ("monkey=fair token", "monkey=fair token"),
        ],
    )
    def test_a_secret_in_a_pair_or_a_text_is_masked(self, provider, given, shown):
        provider.extra_body = {"sent": given}
        provider.save()
        assert newest().after["extra_body"] == {"sent": shown}

    def test_an_address_tells_no_password(self, provider):
        Provider.objects.filter(pk=provider.pk).update(base_url=f"https://me:{SECRET}@acme.test/v1")
        provider.refresh_from_db()
        provider.base_url = f"https://me:{SECRET}-too@acme.test/v1"
        provider.save()
        assert newest().before == newest().after == {"base_url": "https://...@acme.test/v1"}
        assert SECRET not in whole_table()

    def test_fields_that_only_sound_like_secrets_are_shown(self, model):
        model.max_output_tokens, model.context_tokens = 100, 200
        model.save()
        assert newest().after == {"max_output_tokens": 100, "context_tokens": 200}

    def test_one_that_is_emptied_is_seen_to_be(self, provider):
        row = Credential(provider=provider)
        credentials.set_value(row, SECRET)
        row.save()
        row.encrypted_value, row.last_four, row.env_var = "", "", "ACME_KEY"
        row.save()
        assert newest().after == {"encrypted_value": None, "last_four": "", "env_var": "ACME_KEY"}


class TestDeleting:
    def test_one_entry_names_what_went_with_it(self, provider, model):
        Price.objects.create(model=model, unit="input", usd_per_unit=Decimal("0.000001"))
        Credential.objects.create(provider=provider, env_var="ACME_KEY")
        before = entries().count()
        provider.delete()
        assert entries().count() == before + 1
        told = newest().before
        assert (newest().action, newest().target, told["base_url"]) == (
            "provider.deleted", "acme", "https://acme.test/v1",
        )  # fmt: skip
        assert told["went_with_it"] == {
            "model": ["acme/a/1"],
            "credential": ["acme: default"],
            "price": ["acme/a/1 input: 1 USD per million"],
        }

    def test_many_that_go_with_it_are_counted(self, provider):
        Model.objects.bulk_create(Model(provider=provider, name=f"m{number:03}") for number in range(60))
        provider.delete()
        told = newest().before["went_with_it"]["model"]
        assert (len(told), told[-1]) == (51, "and 10 more")

    def test_of_several_each_has_its_own_with_what_went_with_it(self, provider, model):
        other = Provider.objects.create(slug="other", name="Other", base_url="https://other.test/v1")
        Price.objects.create(model=Model.objects.create(provider=other, name="b"), unit="input", usd_per_unit=1)
        Provider.objects.filter(slug__in=["acme", "other"]).delete()
        told = {entry.target: entry.before["went_with_it"] for entry in entries("provider.deleted")}
        assert told == {
            "acme": {"model": ["acme/a/1"]},
            "other": {"model": ["other/b"], "price": ["other/b input: 1000000 USD per million"]},
        }

    def test_a_refused_one_leaves_none(self, provider):
        layer = Layer.objects.create(name="L1", position=1, from_score=0.2)
        Policy.objects.create(default_layer=layer)
        with pytest.raises(Exception, match="protected"):
            layer.delete()
        assert not entries("layer.deleted").exists()

    def test_it_tells_the_row_as_it_was_stored(self, provider):
        provider.name = "never saved"
        provider.delete()
        assert newest().before["name"] == "Acme"

    def test_a_user_may_go_while_entries_of_theirs_stay(self, django_user_model):
        user = django_user_model.objects.create_user("ann")
        with audit.acting("ann"):
            Layer.objects.create(name="L1", position=1, from_score=0.2)
        user.delete()
        assert newest("layer.created").actor == "ann"
        assert newest("user.deleted").target == "ann"


class TestSets:
    def test_groups_of_a_user(self, django_user_model):
        user, group = django_user_model.objects.create_user("ann"), Group.objects.create(name="operators")
        user.groups.set([group])
        assert (newest().action, newest().target) == ("user.changed", "ann")
        assert (newest().before, newest().after) == ({"groups": []}, {"groups": ["operators"]})
        before = entries().count()
        user.groups.set([group])
        assert entries().count() == before

    def test_from_the_other_side(self, django_user_model):
        user, group = django_user_model.objects.create_user("ann"), Group.objects.create(name="operators")
        group.user_set.add(user)
        assert (newest().target, newest().after) == ("ann", {"groups": ["operators"]})
        group.user_set.clear()
        assert (newest().target, newest().after) == ("ann", {"groups": []})

    def test_permissions_of_a_group(self):
        group = Group.objects.create(name="operators")
        group.permissions.add(Permission.objects.get(codename="change_provider"))
        told = newest()
        assert (told.action, told.target) == ("group.changed", "operators")
        assert told.after["permissions"] == ["Providers | provider | Can change provider"]
        group.permissions.clear()
        assert newest().after == {"permissions": []}


class TestServices:
    """What tells itself is told once."""

    def test_keys(self, ours):
        before = entries().count()
        row = keys.create("second", actor="ann").row
        keys.edit(row, actor="ann", changes={"name": "third"})
        keys.rotate(row, actor="ann")
        keys.disable(row, actor="ann")
        keys.expire(row, actor="ann")
        keys.delete(row, actor="ann")
        assert [entry.action for entry in entries()[: entries().count() - before]] == [
            "api_key.deleted", "api_key.expired", "api_key.disabled", "api_key.rotated", "api_key.changed",
            "api_key.created",
        ]  # fmt: skip

    def test_projects_and_their_budgets(self, db):
        before = entries().count()
        lab = projects.create("lab", actor="ann")
        projects.edit(lab, actor="ann", changes={"name": "The lab"})
        budget = budget_rows.create(actor="ann", window="day", limit_usd="1", project=lab)
        budget_rows.edit(budget, actor="ann", changes={"limit_usd": Decimal(2)})
        projects.delete(lab, actor="ann")
        assert [entry.action for entry in entries()[: entries().count() - before]] == [
            "project.deleted", "budget.deleted", "budget.changed", "budget.created", "project.changed",
            "project.created",
        ]  # fmt: skip

    def test_other_ways_to_their_rows_are_seen(self, ours):
        ours.key.name = "renamed"
        ours.key.save()
        assert (newest().action, newest().project_id) == ("api_key.changed", ours.project.pk)
        Membership.objects.create(project=ours.project, user=User.objects.create_user("ann"))
        assert (newest().target, newest().project_id) == ("ann in default", ours.project.pk)


class TestActors:
    def test_nobody_named_is_unknown(self, provider):
        assert (newest().actor, newest().address) == ("unknown", None)

    def test_the_one_at_work_is_named_with_the_address(self, provider):
        with audit_context.request_of(lambda: "ann", address=lambda: "192.0.2.7"):
            provider.delete()
            with audit.acting("discovery"):
                audit.record("tried")
            audit.record("tried", actor="bob")
        audit.record("tried")
        assert [(entry.actor, entry.address) for entry in entries()[:4]] == [
            ("unknown", None), ("bob", "192.0.2.7"), ("discovery", "192.0.2.7"), ("ann", "192.0.2.7"),
        ]  # fmt: skip

    def test_a_user_is_asked_for_only_when_an_entry_is_written(self):
        def never():
            raise AssertionError

        with audit_context.request_of(never, address=never):
            assert not audit_context.is_told()
