"""The book of budgets in force: who is held to which, loaded in one query."""

from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection

from analytics import budget_book, keys
from analytics.callers import load_all, owner
from analytics.models import Budget, Project
from analytics.types import BudgetAction, BudgetScope, NearEdge, Window

pytestmark = pytest.mark.django_db


def add(**fields):
    return Budget.objects.create(**{"window": "day", "limit_usd": Decimal(5)} | fields)


def caller(key):
    return load_all().by_hash[bytes(key.key_hash)]


def ids(budgets):
    return [budget.id for budget in budgets]


class TestOf:
    def test_a_request_counts_for_its_key_its_project_and_the_installation(self, ours):
        everyone, project, key = add(), add(project=ours.project), add(api_key=ours.key)
        assert ids(budget_book.load().of(caller(ours.key))) == [key.pk, project.pk, everyone.pk]

    def test_anothers_budgets_are_none_of_its_business(self, ours, theirs):
        add(project=theirs.project)
        add(api_key=theirs.key)
        second = keys.create("second", actor="tests", project=ours.project).row
        add(api_key=second)
        assert budget_book.load().of(caller(ours.key)) == ()

    def test_several_of_one_target_hold_at_once(self, ours):
        rows = [add(api_key=ours.key, window=window) for window in ("hour", "day", "total")]
        assert ids(budget_book.load().of(caller(ours.key))) == [row.pk for row in rows]

    def test_the_installations_own_command_line_has_no_key(self, ours):
        add(api_key=ours.key)
        everyone = add()
        assert ids(budget_book.load().of(owner())) == [everyone.pk]


class TestLoad:
    def test_an_empty_table_is_an_empty_book(self):
        assert not budget_book.load().has_any

    def test_a_disabled_budget_is_not_in_it(self):
        add(enabled=False)
        assert budget_book.load().all() == ()

    def test_one_whose_dates_are_over_or_to_come_is(self):
        row = add(starts_at=datetime(2040, 1, 1, tzinfo=UTC))
        assert ids(budget_book.load().all()) == [row.pk]

    def test_all_names_each_once(self, ours, theirs):
        rows = [add(), add(project=ours.project), add(api_key=ours.key), add(api_key=theirs.key)]
        assert sorted(ids(budget_book.load().all())) == [row.pk for row in rows]
        assert budget_book.load().has_any

    def test_it_takes_one_query_however_many_there_are(self, ours, theirs, django_assert_num_queries):
        for target in ({}, {"project": ours.project}, {"api_key": ours.key}, {"api_key": theirs.key}):
            add(**target)
        with django_assert_num_queries(1):
            budget_book.load()


class TestFrozen:
    def test_it_keeps_what_the_row_says(self, ours):
        begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
        row = add(
            api_key=ours.key, window="month", limit_usd=Decimal("0.25"), action="degrade", layer="L0",
            near_edge="deny", severity="critical", starts_at=begin, ends_at=end,
        )  # fmt: skip
        (found,) = budget_book.load().all()
        assert (found.scope, found.name, found.key_id, found.project_id) == (
            BudgetScope.KEY,
            "first",
            ours.key.pk,
            None,
        )
        assert (found.window, found.limit_usd, found.action, found.layer) == (
            Window.MONTH,
            Decimal("0.25"),
            BudgetAction.DEGRADE,
            "L0",
        )
        assert (found.near_edge, found.severity) == (NearEdge.DENY, "critical")
        assert (found.starts_at, found.ends_at, found.defined_at) == (begin, end, row.defined_at)

    def test_a_keys_window_stands_in_its_projects_zone(self, theirs, settings):
        settings.TIME_ZONE = "Asia/Kathmandu"
        Project.objects.filter(pk=theirs.project.pk).update(time_zone="Europe/Berlin")
        for target in ({"api_key": theirs.key}, {"project": theirs.project}, {}):
            add(**target)
        zones = {budget.scope: budget.zone for budget in budget_book.load().all()}
        assert zones == {
            BudgetScope.KEY: "Europe/Berlin",
            BudgetScope.PROJECT: "Europe/Berlin",
            BudgetScope.INSTALLATION: "Asia/Kathmandu",
        }

    @pytest.mark.parametrize("zone", ["Mars/Olympus", "/etc/passwd", ""])
    def test_a_zone_written_past_our_checks_counts_as_utc(self, ours, zone, caplog):
        Project.objects.filter(pk=ours.project.pk).update(time_zone=zone)
        add(project=ours.project)
        (found,) = budget_book.load().all()
        assert found.zone == "UTC"
        assert "is not a time zone" in caplog.text

    def test_a_row_that_cannot_be_read_keeps_no_other_from_being_enforced(self, ours, caplog):
        broken, fine = add(project=ours.project), add()
        with written_past_the_constraints("budget_near_edge_known"):
            Budget.objects.filter(pk=broken.pk).update(near_edge="perhaps")
        assert ids(budget_book.load().all()) == [fine.pk]
        assert f"Budget {broken.pk} cannot be used" in caplog.text


@contextmanager
def written_past_the_constraints(name):
    """Lets a wrong value in, as a table without this constraint would."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(f"ALTER TABLE analytics_budget DROP CONSTRAINT {name}")  # comes back with the transaction
            yield
            return
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        try:
            yield
        finally:
            cursor.execute("PRAGMA ignore_check_constraints = OFF")
