"""`/v1/admin/keys/{id}`: one key, changed without losing what others changed, and deleted."""

from datetime import timedelta

import pytest
from django.utils import timezone

from analytics import budget_rows, keys
from analytics.models import ApiKey
from tests.unit.gateway.conftest import bearing

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(ours):
    return f"keys/{ours.key.pk}"


def test_it_tells_all_but_the_key(us, ours, path):
    budget_rows.create(actor="tests", window="day", limit_usd="5", api_key=ours.key)
    status, told = us("get", path)
    assert (status, told["prefix"], told["last_used_at"]) == (200, ours.key.prefix, None)
    assert told["budgets"] == ["$5 per day for key first"]
    assert ours.secret not in str(told)


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_an_unknown_one_is_404(us, ours, method):
    found = {number: us(method, f"keys/{number}")[0] for number in ("0", "999999", "9" * 30, "x")}
    assert found == dict.fromkeys(found, 404)


def test_a_change_leaves_what_somebody_else_changed(us, path, ours):
    us("patch", path, tokens_per_minute=5)
    told = us("patch", path, requests_per_minute=7)[1]
    assert (told["tokens_per_minute"], told["requests_per_minute"], told["name"]) == (5, 7, "first")


def test_null_lifts_a_limit(us, path):
    us("patch", path, tokens_per_minute=5)
    assert us("patch", path, tokens_per_minute=None)[1]["tokens_per_minute"] is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"project": None}, "project"),
        ({"enabled": "no"}, "enabled"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"allowed_networks": None}, "allowed_networks"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wrong_change_is_refused_at_its_field(us, path, fields, field):
    before = ApiKey.objects.values().first()
    assert us.refused("patch", path, fields)[:2] == (400, field)
    assert ApiKey.objects.values().first() == before


@pytest.mark.parametrize("value", ["", [], {}], ids=repr)
@pytest.mark.parametrize("field", keys.LIMITS)
def test_an_empty_value_is_no_limit_to_set(us, path, field, value):
    assert us.refused("patch", path, {field: value}) == (400, field, "Use a whole number.")
    assert us.refused("post", "keys", {"name": "new", field: value}) == (400, field, "Use a whole number.")


def test_a_name_that_is_taken_is_told_at_name(us, path):
    assert us.refused("patch", path, name="steward")[:2] == (400, "name")


def test_a_time_that_has_passed_is_refused_at_its_field(us, path, ours):
    status, field, words = us.refused("patch", path, expires_at="2026-01-01T00:00:00Z")
    assert (status, field, words) == (400, "expires_at", "This lies in the past; `keys expire` ends a key now.")
    status, answer = us("patch", path, expires_at="2026-01-01T00:00:00Z", requests_per_minute=-1)
    assert set(answer["error"]["gateway"]["fields"]) == {"expires_at", "requests_per_minute"}
    assert ApiKey.objects.get(pk=ours.key.pk).expires_at is None


def test_one_that_has_ended_takes_its_own_time_back_as_it_was_told(us, path, ours):
    keys.expire(ours.key, actor="tests")
    ended = us("get", path)[1]["expires_at"]
    status, told = us("patch", path, expires_at=ended, name="ended")
    assert (status, told["name"], told["expires_at"]) == (200, "ended", ended)


def test_a_superuser_moves_one(root, path, theirs):
    assert root.refused("patch", path, project="theirs")[:2] == (400, "name")  # theirs has a first as well
    assert root("patch", path, project="theirs", name="moved")[1]["project"] == "theirs"


def test_one_is_deleted(us, path, ours):
    assert us("delete", path) == (200, {"id": ours.key.pk, "object": "api_key", "deleted": True})
    assert us("get", path)[0] == 404


class TestGivesNoMoreThanItHas:
    """A key that is itself held to something gives, changes and rotates nothing beyond it."""

    @pytest.fixture
    def held(self, ours):
        def held(**fields):
            made = keys.create("held", actor="tests", project=ours.project, scopes=["admin"], **fields)
            return bearing(made.secret)

        return held

    def test_lists_that_are_not_named_are_its_own(self, held):
        made = held(allowed_models=["gpt-*"], allowed_networks=["127.0.0.1"])("post", "keys", name="new")[1]
        assert (made["allowed_models"], made["allowed_networks"]) == (["gpt-*"], ["127.0.0.1/32"])

    @pytest.mark.parametrize(
        ("own", "given"),
        [
            ({"allowed_models": ["a", "b"]}, {"allowed_models": []}),
            ({"allowed_models": ["a", "b"]}, {"allowed_models": ["a", "c"]}),
            ({"allowed_layers": ["L0"]}, {"allowed_layers": ["*"]}),
            ({"allowed_networks": ["127.0.0.1"]}, {"allowed_networks": ["0.0.0.0/0"]}),
            ({"allowed_endpoints": ["/v1/admin/*"]}, {"scopes": ["admin"]}),
        ],
    )
    def test_more_is_refused_at_its_field(self, held, own, given):
        status, field, words = held(**own).refused("post", "keys", {"name": "new"} | given)
        assert (status, field) == (400, next(iter(own)))
        assert words.startswith("Your key is held to")

    def test_a_part_of_it_is_fine(self, held):
        made = held(allowed_models=["a", "b"])("post", "keys", name="new", allowed_models=["b"])
        assert (made[0], made[1]["allowed_models"]) == (201, ["b"])

    def test_one_held_to_paths_gives_chat_without_them(self, held):
        assert held(allowed_endpoints=["/v1/admin/*"])("post", "keys", name="new", scopes=["chat"])[0] == 201

    def test_one_that_ends_makes_no_admin_that_ends_later(self, held):
        until = timezone.now() + timedelta(days=1)
        asker, later = held(expires_at=until), (until + timedelta(days=1)).isoformat()
        for given in ({}, {"expires_at": later}):
            assert asker.refused("post", "keys", {"name": "new", "scopes": ["admin"]} | given)[:2] == (
                400,
                "expires_at",
            )
        assert asker("post", "keys", name="new", scopes=["admin"], expires_at=until.isoformat())[0] == 201

    @pytest.mark.parametrize(("method", "path"), [("patch", ""), ("post", "/rotate"), ("delete", "")])
    def test_it_neither_changes_rotates_nor_deletes_one_that_has_more(self, held, ours, method, path):
        status, _, words = held(allowed_layers=["L0"]).refused(method, f"keys/{ours.key.pk}{path}")
        assert (status, words) == (403, "The key first may do more than yours: see allowed_layers.")
        assert ApiKey.objects.filter(pk=ours.key.pk, prefix=ours.key.prefix).exists()

    def test_it_deletes_one_that_has_no_more(self, held, ours):
        row = keys.create("small", actor="tests", project=ours.project, allowed_layers=["L0"]).row
        assert held(allowed_layers=["L0", "L1"])("delete", f"keys/{row.pk}")[0] == 200
        assert not ApiKey.objects.filter(pk=row.pk).exists()

    def test_it_does_not_free_itself(self, held):
        asker = held(allowed_endpoints=["/v1/admin/*"])
        own = ApiKey.objects.get(name="held")
        assert asker.refused("patch", f"keys/{own.pk}", allowed_endpoints=[])[:2] == (400, "allowed_endpoints")
        assert asker("post", f"keys/{own.pk}/rotate")[0] == 200

    def test_users_hand_on_what_they_like(self, root):
        assert root("post", "keys", name="new", scopes=["admin"])[0] == 201


@pytest.mark.parametrize("body", ["", " \t\r\n"])
def test_no_body_changes_nothing(us, path, body):
    assert us("patch", path, body)[0] == 200


@pytest.mark.parametrize("body", ["\x0b", "\x0c", "\x1f"])
def test_what_is_no_space_to_json_is_no_empty_body(us, path, body):
    assert us("patch", path, body)[0] == 400
