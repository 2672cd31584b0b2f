"""A dry run says what would become of a request within what its budgets have left."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from analytics import accounts
from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import Rebuilt
from analytics.types import Book, BudgetAction
from routing import dry_run
from routing.types import DropReason, Wishes
from tests.unit.routing.test_decision import request
from tests.unit.routing.test_plan import ANYONE, candidate, snapshot
from tests.unit.routing.use_case import budget

FREE, PAID = candidate("l0", "L0", usd="0"), candidate("l2", "L2", usd="0.001")


@pytest.fixture
def store(settings, tmp_path):
    settings.COUNTERS_FILE = tmp_path / "counters.sqlite3"
    store = SqliteStore(settings.COUNTERS_FILE, deadline_s=5.0)
    store.begin("t", ttl_ms=1000)
    yield store
    store.close()


def dry(store, *spent, wishes=None):
    """With budgets of which so much, in nano-dollars, is spent; None: not in the counters."""
    held_to = tuple(one for one, _ in spent)
    found = [(accounts.account(one, at=datetime.now(UTC)), nano) for one, nano in spent if nano is not None]
    store.finish("t", Rebuilt(tuple((account.name, account.ends_ms, nano) for account, nano in found), (), 1000))
    config = replace(snapshot(FREE, PAID), budgets=Book(installation=held_to))
    return dry_run.decide(request(), wishes=wishes or Wishes(layer="L2"), caller=ANYONE, snapshot=config)


def tried(made):
    return [candidate.model.name for candidate in made.plan.attempts]


def test_with_room_all_is_as_without_budgets(store):
    assert tried(dry(store, (budget("100"), 0))) == ["l2"]


def test_a_budget_that_is_spent_drops_what_costs(store):
    made = dry(store, (budget("1"), 10**9), (budget("100", id=2), 0))
    assert tried(made) == []
    assert {one.candidate.model.name: one.reason for one in made.plan.dropped}["l2"] is DropReason.OVER_BUDGET


def test_one_that_degrades_lowers_to_its_layer_and_says_so(store):
    made = dry(store, (budget("1", action=BudgetAction.DEGRADE, layer="L0"), 10**9))
    assert (tried(made), made.warnings) == (["l0"], ("a budget is reached: no layer above L0",))


def test_of_two_that_degrade_the_lower_layer_holds(store):
    found = [(budget("1", id=n, action=BudgetAction.DEGRADE, layer=f"L{n}"), 10**9) for n in (2, 0)]
    assert tried(dry(store, *found)) == ["l0"]


@pytest.mark.parametrize("action", [BudgetAction.NOTE, BudgetAction.REFUSE])
def test_one_that_only_notes_or_that_nobody_knows_of_changes_nothing(store, action):
    spent = 10**9 if action is BudgetAction.NOTE else None
    assert tried(dry(store, (budget("1", action=action), spent))) == ["l2"]
