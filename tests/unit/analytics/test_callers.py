"""API keys as the snapshot holds them: all of them, or those that changed."""

from datetime import UTC, datetime

import pytest

from analytics import callers, keys
from analytics.models import ApiKey, Project
from analytics.types import Scope

pytestmark = pytest.mark.django_db


@pytest.fixture
def made():
    return [keys.create(f"key {number}", actor="tests") for number in range(3)]


def names(found):
    return {caller.key_name for caller in found.by_hash.values()}


class TestLoadAll:
    def test_a_key_is_found_by_its_digest_alone(self, made):
        found = callers.load_all()
        caller = found.by_hash[keys.digest(made[1].secret)]
        assert (caller.key_id, caller.key_name, caller.key_prefix) == (made[1].row.pk, "key 1", made[1].row.prefix)
        assert made[1].secret not in repr(found)

    def test_it_carries_what_the_key_may_do(self):
        until = datetime(2027, 1, 1, tzinfo=UTC)
        project = Project.objects.create(slug="other", name="Other")
        made = keys.create(
            "app",
            actor="tests",
            project=project,
            scopes=["chat", "usage:project"],
            allowed_models=["m*", "acme/*"],
            allowed_layers=["L0"],
            expires_at=until,
        )
        caller = callers.load_all().by_hash[keys.digest(made.secret)]
        assert (caller.project_id, caller.project) == (project.pk, "other")
        assert caller.scopes == {Scope.CHAT, Scope.USAGE_PROJECT}
        assert (caller.allowed_models, caller.allowed_layers) == (("m*", "acme/*"), ("L0",))
        assert (caller.expires_at, caller.enabled) == (until, True)

    def test_it_knows_whether_its_project_stores_bodies(self, made):
        assert not any(caller.stores_bodies for caller in (*callers.load_all().by_hash.values(), callers.owner()))
        Project.objects.update(stores_bodies=True)
        assert all(caller.stores_bodies for caller in (*callers.load_all().by_hash.values(), callers.owner()))

    def test_a_disabled_key_is_there_so_that_the_refusal_can_say_so(self, made):
        keys.disable(made[0].row, actor="tests")
        found = callers.load_all().by_hash[keys.digest(made[0].secret)]
        assert (found.enabled, found.project_enabled) == (False, True)

    def test_a_key_of_a_disabled_project_is_disabled(self, made):
        Project.objects.update(enabled=False)
        found = callers.load_all().by_hash.values()
        assert not any(caller.enabled or caller.project_enabled for caller in found)

    def test_all_of_them_in_one_query(self, made, django_assert_num_queries):
        with django_assert_num_queries(1):
            assert len(callers.load_all().by_hash) == 3


class TestLoadChanged:
    def test_only_the_named_rows_are_read_again(self, made):
        known = callers.load_all()
        ApiKey.objects.update(allowed_layers=["L0"])
        fresh = callers.load_changed(known, row_ids=[made[0].row.pk])
        assert {caller.key_name: caller.allowed_layers for caller in fresh.by_hash.values()} == {
            "key 0": ("L0",),
            "key 1": (),
            "key 2": (),
        }

    def test_a_new_key_joins(self, made):
        known = callers.load_all()
        added = keys.create("added", actor="tests")
        fresh = callers.load_changed(known, row_ids=[added.row.pk])
        assert fresh.by_hash[keys.digest(added.secret)].key_name == "added"
        assert len(fresh.by_hash) == 4

    def test_a_deleted_key_is_gone(self, made):
        known = callers.load_all()
        gone = made[0].row.pk
        made[0].row.delete()
        fresh = callers.load_changed(known, row_ids=[gone])
        assert names(fresh) == {"key 1", "key 2"}

    def test_a_key_with_another_digest_is_no_longer_found_under_the_old_one(self, made):
        known = callers.load_all()
        ApiKey.objects.filter(pk=made[0].row.pk).update(key_hash=keys.digest("agw_another"))
        fresh = callers.load_changed(known, row_ids=[made[0].row.pk])
        assert keys.digest(made[0].secret) not in fresh.by_hash
        assert fresh.by_hash[keys.digest("agw_another")].key_name == "key 0"

    def test_what_was_known_stays_as_it_is(self, made):
        known = callers.load_all()
        ApiKey.objects.all().delete()
        callers.load_changed(known, row_ids=list(known.hashes_of))
        assert names(known) == {"key 0", "key 1", "key 2"}

    def test_a_row_that_never_was_changes_nothing(self, made):
        known = callers.load_all()
        assert callers.load_changed(known, row_ids=[999_999]).by_hash == known.by_hash


def test_the_owner_at_the_command_line_has_no_key_and_no_restriction():
    owner = callers.owner()
    assert (owner.key_id, owner.project, owner.allowed_models, owner.allowed_layers) == (None, "default", (), ())
    assert owner.scopes == set(Scope)


def test_a_key_written_past_our_checks_opens_nothing_and_keeps_no_other_from_being_loaded(ours):
    bad = keys.create("bad", actor="tests").row
    ApiKey.objects.filter(pk=bad.pk).update(scopes=["everything"])
    loaded = callers.load_all()
    assert set(loaded.hashes_of) == {ours.key.pk}


@pytest.mark.parametrize("field", ["models", "layers", "endpoints", "networks"])
@pytest.mark.parametrize("value", ["", "*", {}, 0, {"a": 1}], ids=repr)
def test_an_allow_list_that_is_no_list_allows_nothing(ours, field, value):
    ApiKey.objects.update(**{f"allowed_{field}": value})
    assert callers.load_all().by_hash == {}


def test_ipv4_written_as_ipv6_is_the_same_network():
    made = keys.create("app", actor="tests", allowed_networks=["::ffff:10.0.0.0/104", "2001:db8::/32"])
    caller = callers.load_all().by_hash[keys.digest(made.secret)]
    assert [str(network) for network in caller.allowed_networks] == ["10.0.0.0/8", "2001:db8::/32"]
