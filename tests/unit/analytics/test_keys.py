"""API keys: made, shown once, recognised, switched off."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from analytics import keys
from analytics.keys import KeyProblem
from analytics.models import ApiKey, AuditEntry, Budget, Project

pytestmark = pytest.mark.django_db
PAST = datetime(2026, 1, 1, tzinfo=UTC)


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

    def test_it_keeps_what_was_asked_for(self, django_user_model):
        asked = {
            "project": Project.objects.create(slug="other", name="Other"),
            "owner": django_user_model.objects.create_user("ada"),
            "scopes": ["chat"],
            "allowed_models": ["m*"],
            "allowed_layers": ["L0"],
            "allowed_endpoints": ["/v1/chat/*"],
            "allowed_networks": ["192.0.2.0/24", "::1"],
            "requests_per_minute": 60,
            "tokens_per_minute": 10_000_000_000,
            "concurrent_requests": 1,
            "expires_at": timezone.now() + timedelta(days=1),
        }
        make(**asked)
        row = ApiKey.objects.get()
        assert {name: getattr(row, name) for name in asked} == asked

    def test_a_name_is_taken_once_in_a_project(self):
        make()
        with pytest.raises(ValidationError) as refused:
            make()
        assert refused.value.message_dict == {
            "name": ["A key named 'app' already exists in default; choose another name."]
        }
        assert ApiKey.objects.count() == 1
        assert audited("api_key.created").count() == 1

    def test_another_project_may_use_the_same_name(self):
        make()
        make(project=Project.objects.create(slug="other", name="Other"))
        assert ApiKey.objects.filter(name="app").count() == 2

    @pytest.mark.parametrize(
        ("fields", "wrong"),
        [
            ({"name": ""}, "name"),
            ({"name": " \t "}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"name": "a\0b"}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"name": "a\u202eb"}, "name"),
            ({"name": "a\udc80b"}, "name"),
            ({"name": 5}, "name"),
            ({"name": None}, "name"),
            ({"owner": "ada"}, "owner"),
            ({"scopes": ["everything"]}, "scopes"),
            ({"scopes": "chat"}, "scopes"),
            ({"scopes": []}, "scopes"),
            ({"scopes": [["chat"]]}, "scopes"),
            ({"allowed_models": [""]}, "allowed_models"),
            ({"allowed_models": ["a\0"]}, "allowed_models"),
            ({"allowed_models": ["x" * 201]}, "allowed_models"),
            ({"allowed_models": ["x"] * 1001}, "allowed_models"),
            ({"allowed_layers": [1]}, "allowed_layers"),
            ({"allowed_layers": "L0"}, "allowed_layers"),
            ({"allowed_endpoints": ["v1/chat"]}, "allowed_endpoints"),
            ({"allowed_endpoints": [" /v1/chat"]}, "allowed_endpoints"),
            ({"allowed_networks": ["10.0.0.1/8"]}, "allowed_networks"),
            ({"allowed_networks": ["example.org"]}, "allowed_networks"),
            ({"allowed_networks": [167772160]}, "allowed_networks"),
            ({"expires_at": PAST}, "expires_at"),
            ({"expires_at": datetime(2999, 1, 1, tzinfo=UTC)}, "expires_at"),
            ({"expires_at": datetime(2999, 1, 1)}, "expires_at"),
            ({"expires_at": "2027-01-01"}, "expires_at"),
            ({"expires_at": 5}, "expires_at"),
            *(
                ({limit: value}, limit)
                for limit in keys.LIMITS
                for value in (0, -1, 2**63, 10**30, 1.5, 1.0, True, "5", [5])
            ),
        ],
    )
    def test_a_wrong_field_is_named_and_nothing_is_stored(self, fields, wrong):
        with pytest.raises(ValidationError) as refused:
            make(**fields)
        assert list(refused.value.message_dict) == [wrong]
        assert not ApiKey.objects.exists()
        assert not audited("api_key.created").exists()

    def test_all_that_is_wrong_is_told_at_once(self):
        with pytest.raises(ValidationError) as refused:
            make("", scopes="chat", requests_per_minute=True, expires_at=PAST)
        assert set(refused.value.message_dict) == {"name", "scopes", "requests_per_minute", "expires_at"}

    def test_a_network_with_host_bits_says_which_was_meant(self):
        with pytest.raises(
            ValidationError, match=r"write 10\.0\.0\.0/8 for the network, or 10\.0\.0\.1 for the address"
        ):
            make(allowed_networks=["10.0.0.1/8"])

    def test_repetitions_and_space_around_a_name_are_dropped(self):
        row = make("  app ", scopes=["chat", "chat"], allowed_models=["a", "b", "a"]).row
        assert (row.name, row.scopes, row.allowed_models) == ("app", ["chat"], ["a", "b"])

    def test_a_name_that_is_taken_in_between_is_told_in_the_same_words(self, monkeypatch):
        """Nobody had it when the fields were looked at."""
        make()
        monkeypatch.setattr(ApiKey, "clean", lambda row: None)
        with pytest.raises(ValidationError) as refused:
            make()
        assert "'app' already exists in default" in refused.value.message_dict["name"][0]
        assert audited("api_key.created").count() == 1

    def test_it_is_audited_without_the_key(self):
        row = make(scopes=["chat"]).row
        entry = audited("api_key.created").get()
        assert (entry.actor, entry.project_id, entry.target) == ("tests", row.project_id, str(row))
        assert (entry.after["name"], entry.after["scopes"], entry.after["project"]) == ("app", ["chat"], "default")
        assert not {"key_hash", "previous_hash", "key"} & entry.after.keys()


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

    def test_its_budgets_go_with_it_and_the_trail_keeps_them(self):
        row = make().row
        Budget.objects.create(api_key=row, window="day", limit_usd=5)
        assert "its 1 budget with it" in keys.told_of_deletion(row)
        keys.delete(row, actor="tests")
        assert not Budget.objects.exists()
        assert audited("api_key.deleted").get().before["budgets"] == [f"$5 per day for key {row.name}"]

    def test_one_that_is_gone_already_tells_nothing(self):
        row = make().row
        keys.delete(ApiKey.objects.get(), actor="tests")
        keys.delete(row, actor="tests")
        assert audited("api_key.deleted").count() == 1


class TestSwitching:
    def test_off_and_on_again_are_told(self):
        row = make().row
        keys.disable(row, actor="somebody")
        assert (row.enabled, ApiKey.objects.get().enabled) == (False, False)
        keys.enable(row, actor="somebody")
        assert (row.enabled, ApiKey.objects.get().enabled) == (True, True)
        off, on = audited("api_key.disabled").get(), audited("api_key.enabled").get()
        assert (off.actor, off.before, off.after) == ("somebody", {"enabled": True}, {"enabled": False})
        assert (on.actor, on.before, on.after) == ("somebody", {"enabled": False}, {"enabled": True})

    @pytest.mark.parametrize("switch", [keys.disable, keys.enable])
    def test_twice_is_once(self, switch):
        row = make().row
        ApiKey.objects.update(enabled=switch is keys.disable)
        switch(row, actor="tests")
        switch(row, actor="tests")
        assert audited("api_key.disabled").count() + audited("api_key.enabled").count() == 1

    def test_other_keys_are_left_alone(self):
        row, other = make("a").row, make("b").row
        keys.disable(row, actor="tests")
        other.refresh_from_db()
        assert other.enabled

    def test_a_key_that_cannot_be_read_can_be_switched_off(self):
        row = make().row
        ApiKey.objects.update(scopes="nonsense", allowed_networks=["nowhere"])
        keys.disable(row, actor="tests")
        assert not ApiKey.objects.get().enabled


class TestState:
    def test_it_is_the_same_for_a_row_and_for_a_query(self):
        rows = {
            "active": make("active").row,
            "expired": make("expired").row,
            "disabled": make("disabled").row,
            "of a disabled project": make("x", project=Project.objects.create(slug="o", name="O", enabled=False)).row,
            "disabled and expired": make("both").row,
        }
        past = timezone.now() - timedelta(seconds=1)
        ApiKey.objects.filter(name__in=["expired", "both"]).update(expires_at=past)
        ApiKey.objects.filter(name__in=["disabled", "both"]).update(enabled=False)
        ApiKey.objects.filter(name="active").update(expires_at=timezone.now() + timedelta(days=1))
        for row in rows.values():
            row.refresh_from_db()
        assert [keys.state(row).value for row in rows.values()] == ["active", "expired"] + ["disabled"] * 3
        for state in keys.State:
            assert set(keys.in_state(ApiKey.objects.all(), state)) == {
                r for r in rows.values() if keys.state(r) is state
            }


class TestFind:
    def test_by_name_id_prefix_and_by_the_key_itself(self):
        made = make()
        for name in ("app", str(made.row.pk), made.row.prefix, made.secret):
            assert keys.find(name) == made.row

    def test_a_name_wins_over_an_id(self):
        first = make().row
        named = make(str(first.pk)).row
        assert keys.find(str(first.pk)) == named

    def test_by_the_prefix_from_before_a_rotation(self):
        made = make()
        keys.rotate(made.row, actor="tests")
        assert keys.find(made.secret) == made.row

    @pytest.mark.parametrize("name", ["", "nobody", "agw_", "0", "²", "9" * 30, "-1", "a\0b", "\udc80"])
    def test_what_is_not_there_is_a_problem(self, name):
        make()
        with pytest.raises(KeyProblem, match="There is no key called"):
            keys.find(name)

    def test_a_name_in_two_projects_is_a_problem_too(self):
        make()
        make(project=Project.objects.create(slug="other", name="Other"))
        with pytest.raises(KeyProblem, match="More than one"):
            keys.find("app")

    def test_its_project_tells_which(self):
        row = make().row
        other = Project.objects.create(slug="other", name="Other")
        theirs = make(project=other).row
        assert keys.find("app", project=other) == theirs
        assert keys.find("app", project=row.project) == row

    def test_another_projects_key_is_not_found_whatever_it_is_called_by(self):
        made = make()
        other = Project.objects.create(slug="other", name="Other")
        for name in ("app", str(made.row.pk), made.secret):
            with pytest.raises(KeyProblem, match="in other"):
                keys.find(name, project=other)
