"""Budgets, by who is admin where they belong. Keys that are moved meanwhile: `test_budget_rows_at_once.py`."""

import pytest
from django.core.exceptions import PermissionDenied

from analytics import allotting, budget_rows, keys
from analytics.authority import Authority
from analytics.models import Budget, Project, Role

pytestmark = pytest.mark.django_db
ROOT = Authority("root", None)


@pytest.fixture
def to(db):
    return Project.objects.create(slug="other", name="Other")


@pytest.fixture
def key(db):
    return keys.create("app", actor="tests").row


def whose(kind, key):
    return {"key": {"api_key": key}, "project": {"project": key.project}, "installation": {}}[kind]


@pytest.mark.parametrize("kind", ["key", "project", "installation"])
@pytest.mark.parametrize(("here", "there"), [(None, Role.ADMIN), (Role.OPERATOR, Role.ADMIN)])
def test_who_is_no_admin_there_does_nothing(key, to, kind, here, there):
    row = budget_rows.create(actor="tests", window="day", limit_usd="5", **whose(kind, key))
    authority = Authority("somebody", ({key.project_id: here} if here else {}) | {to.pk: there})
    for work in (
        lambda: allotting.create(authority=authority, window="hour", limit_usd="1", **whose(kind, key)),
        lambda: allotting.edit(row, authority=authority, changes={"enabled": False}),
        lambda: allotting.delete(row, authority=authority),
    ):
        with pytest.raises(PermissionDenied):
            work()
    assert list(Budget.objects.values_list("pk", "enabled")) == [(row.pk, True)]


@pytest.mark.parametrize("kind", ["key", "project"])
def test_admins_do_everything(key, kind):
    admin = Authority("an admin", {key.project_id: Role.ADMIN})
    row = allotting.create(authority=admin, window="day", limit_usd="5", **whose(kind, key))
    assert not allotting.edit(row, authority=admin, changes={"enabled": False}).enabled
    allotting.delete(row, authority=admin)
    assert not Budget.objects.exists()


def test_a_budget_goes_with_its_key_to_the_admins_of_the_other_project(key, to):
    row = budget_rows.create(actor="tests", window="day", limit_usd="5", api_key=key)
    keys.edit(key, actor="tests", changes={"project": to})
    with pytest.raises(PermissionDenied):
        allotting.edit(row, authority=Authority("here", {key.project_id: Role.ADMIN}), changes={"enabled": False})
    assert not allotting.edit(
        row, authority=Authority("there", {to.pk: Role.ADMIN}), changes={"enabled": False}
    ).enabled


def test_one_whose_key_was_deleted_meanwhile_is_gone(key):
    admin = Authority("an admin", {key.project_id: Role.ADMIN})
    row = allotting.create(authority=admin, window="day", limit_usd="5", api_key=key)
    keys.delete(keys.find("app"), actor="tests")
    with pytest.raises(budget_rows.BudgetProblem):
        allotting.edit(row, authority=admin, changes={"enabled": False})
    allotting.delete(row, authority=admin)
