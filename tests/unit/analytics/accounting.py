"""What tests of budgets' accounts share: budgets that are in force, a store, requests in it and in a spool."""

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import OperationalError, connection

from analytics import accounts, budget_book
from analytics.counters.steps import Reserve, nano
from analytics.models import Budget
from tests.unit.analytics.test_ledger import opened_line, usage_row


def now():
    return datetime.now(UTC)


def make_budget(window="total", *, limit=100, age_s=3600, **fields):
    """A budget that was made `age_s` ago: before its window began, for most."""
    return Budget.objects.create(
        window=window, limit_usd=Decimal(limit), defined_at=now() - timedelta(seconds=age_s), **fields
    )


def account_of(row, *, at=None):
    return accounts.account(budget_book.frozen(row), at=at or now())


def balance(store, row, *, at=None):
    """What is settled and what is open, in dollars; None where the store lacks the account."""
    name = account_of(row, at=at).name
    found = store.balances([name]).get(name)
    return None if found is None else (found.spent / 1e9, found.open / 1e9)


def reserve(store, request_id, *rows, usd):
    """Asks the budgets' accounts for a cap, as a request does; returns whether it was granted."""
    step = Reserve(request_id.hex, (nano(Decimal(usd)),), tuple(account_of(row) for row in rows), 60_000)
    return done(store.reserve(step)).granted is not None


def done(step):
    """The answer to a step, for tests that have no loop of their own."""
    return asyncio.run(step)


def costing(usd, at=None, **fields):
    return usage_row(at, budget_usd=Decimal(usd), cost_usd=Decimal(usd), **fields)


def holding(usd, **fields):
    return opened_line(cap_usd=Decimal(usd), cost_usd=Decimal(0), **fields)


@contextmanager
def no_database():
    def refuse(execute, sql, params, many, context):
        raise OperationalError("gone")

    with connection.execute_wrapper(refuse):
        yield


@contextmanager
def before_the_sum(act):
    """Does something once, when the ledger is about to be asked for a sum."""
    done = []

    def look(execute, sql, params, many, context):
        if "SUM(" in sql and not done:
            done.append(True)
            act()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        yield
    assert done
