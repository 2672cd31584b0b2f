"""`GET /v1/requests/{id}`: what the ledger says of one request, to those who may see it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from django.contrib.auth.models import User

from analytics import ledger
from analytics.models import ApiKey, Membership, UsageRecord
from routing import snapshot
from tests.unit.analytics.test_ledger import request_id, usage_row

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
"""Old enough that nobody waits for a row that is not there."""


@dataclass(frozen=True)
class Asker:
    client: object
    secret: str

    def get(self, wanted):
        snapshot.load()
        return self.client.get(f"/v1/requests/{wanted}", headers={"Authorization": f"Bearer {self.secret}"})


@pytest.fixture
def us(client, ours):
    return Asker(client, ours.secret)


@pytest.fixture
def them(client, theirs):
    return Asker(client, theirs.secret)


@pytest.fixture
def row(ours):
    """Of our key."""
    row = usage_row(
        LONG_AGO,
        project_id=ours.project.pk,
        key_id=ours.key.pk,
        cost_usd=Decimal("0.0000120000"),
        computed_cost_usd=Decimal("0.0000120000"),
        cost_source="price",
        output_tokens=7,
    )
    ledger.insert([row])
    return row


@pytest.fixture
def colleagues_row(ours):
    row = usage_row(LONG_AGO, project_id=ours.project.pk, key_id=ours.key.pk + 1000)
    ledger.insert([row])
    return row


def error(response):
    return response.status_code, response.json()["error"]["code"]


class TestKeys:
    def test_a_key_sees_its_own_request(self, us, row):
        response = us.get(row.id)
        assert (response.status_code, response.json()["id"]) == (200, str(row.id))

    def test_another_projects_key_does_not(self, them, row):
        ApiKey.objects.update(scopes=["usage:own", "usage:project"])
        assert error(them.get(row.id)) == (404, "not_found")

    def test_another_key_of_the_project_does_not_either(self, us, colleagues_row):
        assert error(us.get(colleagues_row.id)) == (404, "not_found")

    def test_unless_its_scope_is_the_project(self, us, colleagues_row):
        ApiKey.objects.update(scopes=["usage:project"])
        assert us.get(colleagues_row.id).status_code == 200

    def test_a_key_without_a_usage_scope_sees_nothing(self, us, row):
        ApiKey.objects.update(scopes=["chat"])
        assert us.get(row.id).status_code in (403, 404)

    def test_what_one_may_not_see_looks_like_what_is_not_there(self, them, row):
        assert them.get(row.id).json() == them.get(request_id(LONG_AGO)).json()

    def test_without_a_key_it_is_401(self, client, row):
        snapshot.load()
        assert error(client.get(f"/v1/requests/{row.id}")) == (401, "not_authenticated")

    def test_with_a_wrong_key_too(self, client, row):
        assert error(Asker(client, "agw_wrong").get(row.id)) == (401, "invalid_api_key")


class TestDroppedModels:
    """A key learns no names of models that it may not use; the row keeps them."""

    @pytest.fixture
    def row(self, ours):
        decision = {
            "attempts": [["acme/small", "L0"]],
            "dropped": [
                ["acme/org/large:free", "L1", "lacks a capability the request needs", "tools"],
                ["acme/secret", "L1", "model not allowed for this key", ""],
                ["acme/small", "L3", "below the entry layer", ""],
                ["acme/outside", "", "context too small", ""],
            ],
        }
        row = usage_row(
            LONG_AGO,
            project_id=ours.project.pk,
            key_id=ours.key.pk,
            decision=msgspec.Raw(msgspec.json.encode(decision)),
        )
        ledger.insert([row])
        return row

    @pytest.mark.parametrize(
        ("models", "layers", "told"),
        [
            ([], [], ["acme/org/large:free", "acme/secret", "acme/small", "acme/outside"]),
            (["small", "org/*"], [], ["acme/org/large:free", "acme/small"]),
            (["acme/*"], ["L0", "L1"], ["acme/org/large:free", "acme/secret"]),
            (["nothing"], [], []),
        ],
    )
    def test_only_those_the_asking_key_may_use_are_named(self, us, row, models, layers, told):
        ApiKey.objects.update(allowed_models=models, allowed_layers=layers)
        decision = us.get(row.id).json()["decision"]
        assert [entry[0] for entry in decision["dropped"]] == told
        assert decision["dropped_not_allowed"] == 4 - len(told)
        assert decision["attempts"] == [["acme/small", "L0"]]

    def test_users_are_told_all(self, client, ours, row):
        snapshot.load()
        client.force_login(User.objects.create_superuser("root"))
        assert len(client.get(f"/v1/requests/{row.id}").json()["decision"]["dropped"]) == 4

    def test_the_row_keeps_all(self, us, row):
        ApiKey.objects.update(allowed_models=["nothing"])
        us.get(row.id)
        assert len(UsageRecord.objects.get(id=row.id).decision["dropped"]) == 4


class TestWhatIsOfOthers:
    """What a budget had left, which may be the installation's, and how busy models were with everybody's calls: keys
    hear nothing of it, nor do members of a project."""

    @pytest.fixture
    def row(self, ours):
        decision = msgspec.Raw(msgspec.json.encode({"entry": "L1", "left_usd": "12.5", "outstanding": {"7": 3}}))
        row = usage_row(LONG_AGO, project_id=ours.project.pk, key_id=ours.key.pk, decision=decision)
        ledger.insert([row])
        return row

    @pytest.mark.parametrize("scopes", [["usage:own"], ["usage:project", "admin"]])
    def test_no_key_is_told(self, us, row, scopes):
        ApiKey.objects.update(scopes=scopes)
        assert us.get(row.id).json()["decision"] == {"entry": "L1"}

    def test_a_projects_admin_is_not_told(self, client, ours, row):
        snapshot.load()
        ann = User.objects.create_user("ann")
        Membership.objects.create(user=ann, project=ours.project, role="admin")
        client.force_login(ann)
        assert client.get(f"/v1/requests/{row.id}").json()["decision"] == {"entry": "L1"}

    def test_a_superuser_is_told(self, client, row):
        snapshot.load()
        client.force_login(User.objects.create_superuser("root"))
        decision = client.get(f"/v1/requests/{row.id}").json()["decision"]
        assert (decision["left_usd"], decision["outstanding"]) == ("12.5", {"7": 3})


class TestUsers:
    @pytest.fixture
    def ann(self, client):
        snapshot.load()
        ann = User.objects.create_user("ann")
        client.force_login(ann)
        return ann

    def test_a_member_sees_the_projects_requests(self, client, ann, ours, row):
        Membership.objects.create(user=ann, project=ours.project)
        assert client.get(f"/v1/requests/{row.id}").status_code == 200

    def test_a_member_of_another_project_does_not(self, client, ann, theirs, row):
        Membership.objects.create(user=ann, project=theirs.project)
        assert error(client.get(f"/v1/requests/{row.id}")) == (404, "not_found")

    def test_a_superuser_sees_all(self, client, row):
        snapshot.load()
        client.force_login(User.objects.create_superuser("root"))
        assert client.get(f"/v1/requests/{row.id}").status_code == 200


class TestAnswer:
    def test_every_column_is_told_under_its_own_name(self, us, row):
        told = us.get(row.id).json()
        assert set(told) == {field.attname for field in UsageRecord._meta.concrete_fields} | {"object"}
        assert (told["object"], told["outcome"], told["output_tokens"], told["trail"]) == ("request", "ok", 7, [])

    def test_money_is_a_string_of_plain_digits(self, us, row):
        told = us.get(row.id).json()
        assert (told["cost_usd"], told["computed_cost_usd"], told["reported_cost_usd"]) == (
            "0.000012",
            "0.000012",
            None,
        )
        assert told["budget_usd"] == "0"

    def test_times_carry_their_zone(self, us, row):
        assert datetime.fromisoformat(us.get(row.id).json()["started_at"]) == LONG_AGO

    @pytest.mark.parametrize(
        "wanted", ["1", "abc", "x" * 500, "0f8fad5b-d9cb-469f-a165-70867728950e", str(UUID(int=0)), "%00", "null"]
    )
    def test_what_is_no_request_id_is_404(self, us, wanted):
        assert error(us.get(wanted)) == (404, "not_found")

    def test_an_id_may_be_written_without_dashes(self, us, row):
        assert us.get(row.id.hex).status_code == 200
