"""API keys: made, shown once, recognised, switched off."""

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from analytics import keys
from analytics.keys import KeyProblem
from analytics.models import ApiKey, AuditEntry, Project

pytestmark = pytest.mark.django_db


def make(name="app", **fields):
    return keys.create(name, actor="tests", **fields)


def dump():
    """Everything in the database, as text and as bytes in hexadecimal."""
    text = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                text += [bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value) for value in row]
    return "\n".join(text)


def audited(action):
    return AuditEntry.objects.filter(action=action)


class TestCreate:
    def test_the_key_is_shown_once_and_stands_nowhere_in_the_database(self):
        made = make()
        content = dump()
        assert made.row.prefix in content
        assert made.secret not in content
        assert made.secret[len(made.row.prefix) :] not in content
        assert made.secret.encode().hex() not in content

    def test_it_shows_in_no_repr(self):
        made = make()
        assert made.secret not in repr(made)

    def test_it_is_recognised_by_its_digest(self):
        made = make()
        assert bytes(ApiKey.objects.get().key_hash) == keys.digest(made.secret)

    def test_it_carries_256_random_bits_behind_its_prefix(self):
        first, second = make("a"), make("b")
        assert first.secret.startswith("agw_")
        assert len(first.secret) == len("agw_") + 43
        assert first.secret != second.secret
        assert first.row.prefix == first.secret[:10]

    def test_it_lands_in_the_default_project_with_the_usual_scopes(self):
        row = make().row
        assert (row.project.slug, row.scopes, row.allowed_models, row.allowed_layers, row.enabled) == (
            "default",
            ["chat", "usage:own"],
            [],
            [],
            True,
        )

    def test_it_keeps_what_was_asked_for(self):
        until = datetime(2027, 1, 1, tzinfo=UTC)
        project = Project.objects.create(slug="other", name="Other")
        make(project=project, scopes=["chat"], allowed_models=["m*"], allowed_layers=["L0"], expires_at=until)
        row = ApiKey.objects.get()
        assert (row.project, row.scopes, row.allowed_models, row.allowed_layers, row.expires_at) == (
            project,
            ["chat"],
            ["m*"],
            ["L0"],
            until,
        )

    def test_a_name_is_taken_once_in_a_project(self):
        make()
        with pytest.raises(KeyProblem, match="'app' exists already in default"):
            make()
        assert ApiKey.objects.count() == 1
        assert audited("api_key.created").count() == 1

    def test_another_project_may_use_the_same_name(self):
        make()
        make(project=Project.objects.create(slug="other", name="Other"))
        assert ApiKey.objects.filter(name="app").count() == 2

    @pytest.mark.parametrize(
        "fields",
        [
            {"name": ""},
            {"name": "x" * 101},
            {"scopes": ["everything"]},
            {"scopes": "chat"},
            {"scopes": []},
            {"allowed_models": [""]},
            {"allowed_layers": [1]},
        ],
    )
    def test_a_wrong_field_is_refused_and_nothing_is_stored(self, fields):
        with pytest.raises(ValidationError):
            make(**fields)
        assert not ApiKey.objects.exists()
        assert not audited("api_key.created").exists()

    def test_it_is_audited_without_the_key(self):
        row = make(scopes=["chat"]).row
        entry = audited("api_key.created").get()
        assert (entry.actor, entry.project_id, entry.target) == ("tests", row.project_id, str(row))
        assert entry.after == {"scopes": ["chat"], "allowed_models": [], "allowed_layers": [], "expires_at": None}


class TestDigest:
    def test_it_depends_on_the_installations_key(self, settings):
        before = keys.digest("agw_x")
        settings.KEY_HASH_KEY = "another"
        assert keys.digest("agw_x") != before

    def test_it_is_32_bytes_and_the_same_each_time(self):
        assert keys.digest("agw_x") == keys.digest("agw_x")
        assert len(keys.digest("agw_x")) == 32

    @pytest.mark.parametrize("secret", ["", "clé", "\udc80", "x" * 10_000])
    def test_whatever_a_header_holds_has_a_digest(self, secret):
        assert keys.digest(secret) != keys.digest("agw_x")

    def test_a_long_installation_key_is_no_error(self, settings):
        settings.KEY_HASH_KEY = "k" * 200
        assert len(keys.digest("agw_x")) == 32


class TestChange:
    def test_it_saves_and_tells_what_changed_into_what(self):
        row = make().row
        row.name, row.scopes, row.allowed_models, row.allowed_layers = "renamed", ["admin"], ["gpt-*"], ["L0"]
        row.expires_at, row.enabled = datetime(2027, 1, 1, tzinfo=UTC), False
        keys.change(row, actor="somebody")
        assert ApiKey.objects.get().name == "renamed"
        entry = audited("api_key.changed").get()
        assert (entry.actor, entry.project_id, entry.target) == ("somebody", row.project_id, str(row))
        assert entry.before == {
            "name": "app",
            "scopes": ["chat", "usage:own"],
            "allowed_models": [],
            "allowed_layers": [],
            "expires_at": None,
            "enabled": True,
            "project": "default",
            "owner": None,
        }
        assert entry.after == {
            "name": "renamed",
            "scopes": ["admin"],
            "allowed_models": ["gpt-*"],
            "allowed_layers": ["L0"],
            "expires_at": "2027-01-01T00:00:00+00:00",
            "enabled": False,
            "project": "default",
            "owner": None,
        }

    def test_a_new_project_and_owner_are_told_too(self, django_user_model):
        row = make().row
        row.project = Project.objects.create(slug="other", name="Other")
        row.owner = django_user_model.objects.create_user("ada")
        keys.change(row, actor="tests")
        after = audited("api_key.changed").get().after
        assert (after["project"], after["owner"]) == ("other", "ada")

    def test_saving_it_as_it_was_tells_nothing(self):
        keys.change(make().row, actor="tests")
        assert not audited("api_key.changed").exists()

    def test_what_cannot_be_saved_is_not_told(self):
        make("taken")
        row = make().row
        row.name = "taken"
        with pytest.raises(IntegrityError), transaction.atomic():
            keys.change(row, actor="tests")
        assert not audited("api_key.changed").exists()


class TestDelete:
    def test_it_goes_and_the_trail_keeps_what_it_was(self):
        row = make(scopes=["chat"]).row
        target = str(row)
        keys.delete(row, actor="somebody")
        assert not ApiKey.objects.exists()
        entry = audited("api_key.deleted").get()
        assert (entry.actor, entry.project_id, entry.target, entry.after) == (
            "somebody",
            row.project_id,
            target,
            None,
        )
        assert (entry.before["name"], entry.before["scopes"]) == ("app", ["chat"])

    def test_one_that_is_gone_already_tells_nothing(self):
        row = make().row
        keys.delete(ApiKey.objects.get(), actor="tests")
        keys.delete(row, actor="tests")
        assert audited("api_key.deleted").count() == 1


class TestDisable:
    def test_it_switches_the_key_off_and_says_so(self):
        row = make().row
        keys.disable(row, actor="somebody")
        assert (row.enabled, ApiKey.objects.get().enabled) == (False, False)
        assert audited("api_key.disabled").get().actor == "somebody"

    def test_twice_is_once(self):
        row = make().row
        keys.disable(row, actor="tests")
        keys.disable(row, actor="tests")
        assert audited("api_key.disabled").count() == 1

    def test_it_leaves_other_keys_alone(self):
        row, other = make("a").row, make("b").row
        keys.disable(row, actor="tests")
        other.refresh_from_db()
        assert other.enabled


class TestFind:
    def test_by_name_id_prefix_and_by_the_key_itself(self):
        made = make()
        for name in ("app", str(made.row.pk), made.row.prefix, made.secret):
            assert keys.find(name) == made.row

    def test_a_name_wins_over_an_id(self):
        first = make().row
        named = make(str(first.pk)).row
        assert keys.find(str(first.pk)) == named

    @pytest.mark.parametrize("name", ["", "nobody", "agw_", "0", "²", "9" * 30, "-1"])
    def test_what_is_not_there_is_a_problem(self, name):
        make()
        with pytest.raises(KeyProblem, match="There is no key called"):
            keys.find(name)

    def test_a_name_in_two_projects_is_a_problem_too(self):
        make()
        make(project=Project.objects.create(slug="other", name="Other"))
        with pytest.raises(KeyProblem, match="More than one"):
            keys.find("app")
