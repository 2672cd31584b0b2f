"""Several writers of budgets, a key or members at the same moment, each with a connection of its own and committed for
real.

Nothing is audited here: entries could not be deleted again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection, transaction

from analytics import allotting, audit, budget_rows, handing_on, keys, members, projects
from analytics.authority import Authority
from analytics.models import ApiKey, Budget, Membership, Role


@pytest.fixture
def targets(django_db_setup, django_db_blocker, monkeypatch):
    """A project, its key and the installation, as `create` is told of them; gone after the test, like its budgets."""
    monkeypatch.setattr(audit, "record", lambda *_, **__: None)
    with django_db_blocker.unblock():
        project = projects.create("at-once", actor="tests")
        key = keys.create("at-once", actor="tests", project=project).row
        yield {"installation": {}, "project": {"project": project}, "key": {"api_key": key}}
        Budget.objects.all().delete()
        key.delete()
        project.delete()


@pytest.fixture
def moved(targets):
    """Moves the key to a project that is gone after the test, the key with it."""
    row, other = targets["key"]["api_key"], projects.create("elsewhere", actor="tests")
    yield lambda: keys.edit(row, actor="tests", changes={"project": other})
    ApiKey.objects.filter(project=other).delete()
    other.delete()


def outcome_of(work: Callable[[], object]) -> object:
    """What it gave, or raised."""
    try:
        return work()
    except (PermissionDenied, ValidationError, keys.KeyProblem, members.MembersProblem) as error:
        return error
    finally:
        connection.close()


def at_once(*works: Callable[[], object]) -> list[object]:
    """The outcome of each of them."""
    start = threading.Barrier(len(works), timeout=10)

    def run(work: Callable[[], object]) -> object:
        start.wait()
        return outcome_of(work)

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def amid(first: Callable[[], object], second: Callable[[], object]) -> object:
    """The outcome of the second, begun when the first was done but not committed; it ends after that."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first()
            waiting = pool.submit(outcome_of, second)
            done, _ = wait([waiting], timeout=0.5)
        assert not done
        return waiting.result(timeout=10)


@pytest.mark.parametrize("target", ["installation", "project", "key"])
def test_of_several_that_overlap_one_is_made(targets, target):
    def make():
        return budget_rows.create(actor="tests", window="day", limit_usd="5", **targets[target])

    outcomes = at_once(*[make] * 4)
    assert Budget.objects.count() == 1
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Budget"] + ["ValidationError"] * 3


def test_of_several_rotations_one_is_done(targets):
    row = targets["key"]["api_key"]
    outcomes = at_once(*[lambda: keys.rotate(row, actor="tests")] * 4)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NewKey"] + ["StillInGrace"] * 3
    row.refresh_from_db()
    (made,) = [outcome for outcome in outcomes if isinstance(outcome, keys.NewKey)]
    assert (row.prefix, row.previous_prefix) == (made.row.prefix, made.replaced_prefix)


def test_changes_of_one_row_are_all_kept(targets):
    row = budget_rows.create(actor="tests", window="day", limit_usd="5")
    changes = [{"limit_usd": "9"}, {"severity": "critical"}, {"near_edge": "deny"}]
    at_once(*[lambda change=change: budget_rows.edit(row, actor="tests", changes=change) for change in changes])
    row.refresh_from_db()
    assert (row.limit_usd, row.severity, row.near_edge) == (9, "critical", "deny")


def test_a_project_moves_zone_while_budgets_of_its_keys_are_made_and_changed(targets):
    """Whatever the order of their locks, nobody waits for ever and every budget's windows move."""
    project = targets["project"]["project"]
    row = budget_rows.create(actor="tests", window="hour", limit_usd="5", **targets["key"])
    was = row.defined_at
    moved, made, changed = at_once(
        lambda: projects.edit(project, actor="tests", changes={"time_zone": "Asia/Kathmandu"}),
        lambda: budget_rows.create(actor="tests", window="day", limit_usd="5", **targets["key"]),
        lambda: budget_rows.edit(row, actor="tests", changes={"limit_usd": "9"}),
    )
    row.refresh_from_db()
    assert (moved.time_zone, made.window, changed.limit_usd, row.limit_usd) == ("Asia/Kathmandu", "day", 9, 9)
    assert row.defined_at > was


def test_of_admins_who_take_each_other_out_one_stays(targets):
    project = targets["project"]["project"]
    both = User.objects.bulk_create(User(username=name) for name in ("ada", "bob"))
    Membership.objects.bulk_create(Membership(project=project, user=user, role=Role.ADMIN) for user in both)
    admin = Authority("an admin", {project.pk: Role.ADMIN})
    ada, bob = (lambda user=user: members.take_out(project, user.username, authority=admin) for user in both)
    try:
        assert isinstance(amid(ada, bob), members.LastAdmin)
        assert [one.user.username for one in members.of(project)] == ["bob"]
    finally:
        User.objects.filter(username__in=["ada", "bob"]).delete()


def test_a_key_that_gains_a_scope_meanwhile_is_not_changed_by_an_operator(targets):
    row = targets["key"]["api_key"]
    operator = Authority("an operator", {row.project_id: Role.OPERATOR})
    outcome = amid(
        lambda: keys.edit(row, actor="tests", changes={"scopes": ["chat", "admin"]}),
        lambda: handing_on.edit(row, authority=operator, changes={"requests_per_minute": 9}),
    )
    assert isinstance(outcome, PermissionDenied)
    row.refresh_from_db()
    assert (row.scopes, row.requests_per_minute) == (["chat", "admin"], None)


@pytest.mark.parametrize(
    "work",
    [
        lambda row, admin: allotting.edit(row, authority=admin, changes={"limit_usd": "9"}),
        lambda row, admin: allotting.delete(row, authority=admin),
        lambda row, admin: allotting.create(authority=admin, api_key=row.api_key, window="hour", limit_usd="1"),
    ],
    ids=["changed", "deleted", "made"],
)
def test_a_budget_whose_key_is_moved_meanwhile_is_not_touched_by_the_old_projects_admin(targets, moved, work):
    row = budget_rows.create(actor="tests", window="day", limit_usd="5", **targets["key"])
    admin = Authority("an admin", {targets["project"]["project"].pk: Role.ADMIN})
    assert isinstance(amid(moved, lambda: work(row, admin)), PermissionDenied)
    assert list(Budget.objects.values_list("pk", "limit_usd")) == [(row.pk, 5)]


def test_who_is_admin_of_both_projects_makes_one_for_a_key_that_is_moved_meanwhile(targets, moved):
    root = Authority("root", None)
    made = amid(moved, lambda: allotting.create(authority=root, window="day", limit_usd="5", **targets["key"]))
    assert made.api_key.project.slug == "elsewhere"


def test_a_key_that_is_moved_meanwhile_is_deleted_all_the_same(targets, moved):
    amid(moved, lambda: keys.delete(targets["key"]["api_key"], actor="tests"))
    assert not ApiKey.objects.filter(name="at-once").exists()
