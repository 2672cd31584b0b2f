"""`GET /v1/quota/status` and `POST /v1/quota/update`, an older system's: limits and budgets told with what is left."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client

from analytics import budget_rows, keys, limit_standing, projects, standing
from analytics.counters.opening import open_store
from analytics.counters.steps import Admit, Rate
from analytics.counters.store import StoreAway
from analytics.models import ApiKey, AuditEntry, Budget, Membership, Project
from analytics.standing import Standing
from tests.unit.gateway.conftest import Asker, bearing

pytestmark = pytest.mark.django_db
STATUS, UPDATE = "/v1/quota/status", "/v1/quota/update"


@pytest.fixture(autouse=True)
def counters(settings, tmp_path):
    settings.COUNTERS_FILE = tmp_path / "counters.sqlite3"
    settings.REDIS_URL = ""


def use(name, amount):
    """As requests do."""
    store = open_store()
    asyncio.run(store.admit(Admit("r", (Rate(name, 1_000, amount),), (), 60_000, 1_000)))
    store.close()


def member(name, project, role):
    user, _ = User.objects.get_or_create(username=name)
    Membership.objects.create(user=user, project=project, role=role)
    client = Client()
    client.force_login(user)
    return Asker(client)


class TestStatus:
    @pytest.fixture
    def limited(self, ours):
        ApiKey.objects.filter(pk=ours.key.pk).update(requests_per_minute=10, concurrent_requests=2)
        Project.objects.filter(pk=ours.project.pk).update(tokens_per_minute=500)
        use(f"k{ours.key.pk}:requests", 4)
        use(f"p{ours.project.pk}:tokens", 600)

    def test_a_key_is_told_of_itself(self, ours, limited):
        for _ in range(2):  # asking uses nothing up
            status, told = bearing(ours.secret)("get", STATUS)
            assert (status, told["object"], told["project"]) == (200, "quota", None)
            assert told["api_key"] == {
                "id": ours.key.pk,
                "name": "first",
                "limits": {
                    "requests_per_minute": {"limit": 10, "used": 4, "left": 6},
                    "tokens_per_minute": None,
                    "concurrent_requests": {"limit": 2, "used": None, "left": None},
                },
                "budgets": [],
            }

    @pytest.mark.parametrize("scope", ["usage:project", "admin"])
    def test_with_a_scope_that_sees_it_of_its_project_too(self, ours, limited, scope):
        made = keys.create("sees", actor="tests", project=ours.project, scopes=[scope])
        told = bearing(made.secret)("get", f"{STATUS}?project=default")[1]["project"]
        assert told["slug"] == "default"
        assert told["limits"]["tokens_per_minute"] == {"limit": 500, "used": 600, "left": 0}

    def test_budgets_have_what_is_left(self, ours, theirs, monkeypatch):
        mine = budget_rows.create(actor="tests", window="day", limit_usd="5", api_key=ours.key)
        over = budget_rows.create(actor="tests", window="month", limit_usd="5", api_key=ours.key)
        for target in ({"project": ours.project}, {"api_key": theirs.key}, {}):
            budget_rows.create(actor="tests", window="day", limit_usd="9", **target)
        budget_rows.create(actor="tests", window="hour", limit_usd="9", api_key=ours.key, enabled=False)
        spent, all_spent = Standing(Decimal("1.5"), Decimal("0.5")), Standing(Decimal(6), Decimal(0))
        stands = {mine.pk: spent, over.pk: all_spent}
        monkeypatch.setattr(standing, "of", lambda rows: {row.pk: stands[row.pk] for row in rows})
        told = bearing(ours.secret)("get", STATUS)[1]["api_key"]["budgets"]
        assert {one["id"]: (one["limit_usd"], one["spent_usd"], one["left_usd"]) for one in told} == {
            mine.pk: ("5", "1.5", "3"),
            over.pk: ("5", "6", "0"),
        }

    def test_while_the_counters_are_away_nobody_can_tell(self, ours, limited, monkeypatch):
        class Away:
            async def admit(self, step):
                raise StoreAway("no answer")

            async def aclose(self): ...

            def close(self): ...

        monkeypatch.setattr(limit_standing, "open_store", Away)
        told = bearing(ours.secret)("get", STATUS)[1]["api_key"]["limits"]
        assert told["requests_per_minute"] == {"limit": 10, "used": None, "left": None}

    def test_a_member_is_told_of_a_project(self, ours, theirs, limited):
        zoe = member("zoe", ours.project, "viewer")
        told = zoe("get", STATUS)[1]
        assert (told["api_key"], told["project"]["slug"]) == (None, "default")
        assert zoe.refused("get", f"{STATUS}?project=theirs")[:2] == (400, "project")
        Membership.objects.create(user=User.objects.get(username="zoe"), project=theirs.project, role="viewer")
        assert zoe("get", f"{STATUS}?project=theirs")[1]["project"]["slug"] == "theirs"

    def test_another_project_is_not_told_of(self, ours, theirs):
        words = "There is no project 'theirs'; there is default."
        assert bearing(ours.secret).refused("get", f"{STATUS}?project=theirs") == (400, "project", words)
        client = Client()
        client.force_login(User.objects.create_user("nobody"))
        assert Asker(client)("get", STATUS)[0] == 403
        assert Asker(Client())("get", STATUS)[0] == 401


class TestUpdate:
    @pytest.fixture
    def budget(self, ours):
        return budget_rows.create(actor="tests", window="day", limit_usd="5", project=ours.project)

    def test_each_as_at_its_own_address(self, us, ours, budget):
        status, told = us("post", UPDATE, api_key=ours.key.pk, requests_per_minute=60)
        assert (status, told["object"], told["requests_per_minute"]) == (200, "api_key", 60)
        told = us("post", UPDATE, project="default", tokens_per_minute=9_000, concurrent_requests=None)[1]
        assert told == us("get", "projects/default")[1]
        told = us("post", UPDATE, budget=budget.pk, limit_usd="7.5")[1]
        assert (told["object"], told["limit_usd"]) == ("budget", "7.5")
        done = AuditEntry.objects.order_by("id").values_list("action", flat=True)[3:]
        assert [one for one in done if one.endswith(".changed")] == [
            "api_key.changed",
            "project.changed",
            "budget.changed",
        ]

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({}, "project"), ({"requests_per_minute": 5}, "project"), ({"project": "default", "budget": 1}, "project"),
            ({"project": "default", "limit_usd": 5}, "limit_usd"), ({"project": "default", "name": "x"}, "name"),
            ({"project": "default", "requests_per_minute": "60"}, "requests_per_minute"),
            ({"project": "theirs", "requests_per_minute": 6}, "project"),
            ({"api_key": 999, "tokens_per_minute": 6}, "api_key"),
            ({"budget": 999, "limit_usd": 6}, "budget"), ({"api_key": "1"}, "api_key"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_told_at_its_field(self, us, theirs, fields, field):
        before = list(Project.objects.values()), list(ApiKey.objects.values())
        assert us.refused("post", UPDATE, fields)[:2] == (400, field)
        assert (list(Project.objects.values()), list(ApiKey.objects.values())) == before

    def test_a_budget_takes_its_amount_alone(self, us, budget):
        assert us.refused("post", UPDATE, budget=budget.pk, requests_per_minute=5)[:2] == (400, "requests_per_minute")
        assert us.refused("post", UPDATE, budget=budget.pk, limit_usd="-1")[:2] == (400, "limit_usd")

    @pytest.mark.parametrize("whose", ["project", "budget"])
    def test_what_is_deleted_meanwhile_is_404(self, us, ours, budget, monkeypatch, whose):
        """Between the look-up and the change."""
        given = {"project": ("default", {"requests_per_minute": 5}), "budget": (budget.pk, {"limit_usd": "7"})}
        edits = {"project": (projects, "edit"), "budget": (budget_rows, "edit")}
        module, name = edits[whose]
        real = getattr(module, name)

        def gone(row, **asked):
            row.pk = 987654
            return real(row, **asked)

        monkeypatch.setattr(module, name, gone)
        value, fields = given[whose]
        status, answer = us("post", "/v1/quota/update", {whose: value, **fields})
        assert (status, answer["error"]["code"]) == (404, "not_found")

    def test_another_projects_rows_do_not_exist(self, them, ours, budget):
        for fields in ({"api_key": ours.key.pk}, {"project": "default"}, {"budget": budget.pk}):
            status, field, words = them.refused("post", UPDATE, **fields)
            assert (status, field, words.startswith("There is no ")) == (400, *fields, True)

    def test_the_installations_budget_is_for_superusers(self, us, root, ours):
        row = budget_rows.create(actor="tests", window="day", limit_usd="5")
        assert us.refused("post", UPDATE, budget=row.pk, limit_usd="1")[:2] == (400, "budget")
        assert root("post", UPDATE, budget=row.pk, limit_usd="1")[0] == 200

    @pytest.mark.parametrize(
        ("role", "found"), [("viewer", (403, 403, 403)), ("operator", (200, 403, 403)), ("admin", (200,) * 3)]
    )
    def test_by_role(self, ours, budget, role, found):
        asker = member("zoe", ours.project, role)
        given = (
            {"api_key": ours.key.pk, "requests_per_minute": 5},
            {"project": "default", "requests_per_minute": 5},
            {"budget": budget.pk, "limit_usd": "1"},
        )
        assert tuple(asker("post", UPDATE, **fields)[0] for fields in given) == found
        assert (Budget.objects.get().limit_usd == 1) is (role == "admin")

    def test_nobody_else(self, ours):
        assert bearing(ours.secret)("post", UPDATE, project="default")[0] == 403
        assert Asker(Client())("post", UPDATE, project="default")[0] == 401
        assert bearing(ours.secret)("get", UPDATE)[0] in (403, 405)
