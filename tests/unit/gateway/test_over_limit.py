"""What a client is told of its limits and budgets."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from analytics import accounts
from analytics.budgets import Reached
from analytics.counters.steps import Balance, nano
from analytics.limits import LimitReached, Quota, Whose
from analytics.types import BudgetScope, Scope, Window
from gateway.api import over_limit
from gateway.management.commands.chat import Command
from routing.chat import OverBudget
from tests.unit.routing.test_decision import make
from tests.unit.routing.test_plan import ANYONE
from tests.unit.routing.use_case import budget

AMOUNTS = {"limit_usd", "spent_usd", "held_usd"}
AT = datetime(2026, 11, 22, 16, 45, tzinfo=UTC)


def reached(of=None, *, spent="1", open_="0", least="0.5"):
    of = of or budget("1")
    balance = Balance(nano(Decimal(spent)), nano(Decimal(open_)))
    return Reached(of, account=accounts.account(of, at=AT), balance=balance, least=nano(Decimal(least)))


def told(of=None, *, to=(Scope.USAGE_PROJECT,), **options):
    """What a key with the scopes `to` hears."""
    caller = replace(ANYONE, scopes=frozenset(to))
    return over_limit.over_budget(reached(of, **options), caller=caller, at=AT.timestamp())


def limit_reached(kind="requests", *, whose="key", limit=60, cost=1, retry_s=6.2, quotas=()):
    error = LimitReached(Whose(whose, kind), limit=limit, cost=cost, retry_s=retry_s, quotas=quotas)
    return over_limit.limit_reached(error)


class TestQuotaHeaders:
    def test_are_in_openais_form(self):
        quotas = (Quota("requests", 60, 59, 1000), Quota("tokens", 150_000, 149_984, 360_000))
        assert over_limit.quota_headers(quotas) == {
            "X-RateLimit-Limit-Requests": "60",
            "X-RateLimit-Remaining-Requests": "59",
            "X-RateLimit-Reset-Requests": "1s",
            "X-RateLimit-Limit-Tokens": "150000",
            "X-RateLimit-Remaining-Tokens": "149984",
            "X-RateLimit-Reset-Tokens": "6m0s",
        }

    def test_without_limits_there_are_none(self):
        assert over_limit.quota_headers(()) == {}

    @pytest.mark.parametrize(
        ("ms", "text"),
        [(0, "0ms"), (120, "120ms"), (7660, "7.66s"), (59_999, "59.999s"), (60_000, "1m0s"), (61_500, "1m1.5s")],
    )
    def test_times_are_written_as_openai_does(self, ms, text):
        assert over_limit.duration(ms) == text


class TestLimitReached:
    def test_is_429_with_the_wait_and_the_quotas(self):
        said = limit_reached(quotas=(Quota("requests", 60, 0, 6200),))
        assert (said.status, said.code) == (429, "rate_limit_exceeded")
        assert said.message == "The key has reached its limit of 60 requests per minute. Try again in 7 s."
        assert said.headers["Retry-After"] == "7"
        assert said.headers["X-RateLimit-Remaining-Requests"] == "0"

    def test_waits_a_second_at_least(self):
        assert limit_reached(retry_s=0.001).headers["Retry-After"] == "1"
        assert limit_reached(retry_s=0.0).headers["Retry-After"] == "1"

    def test_of_tokens_says_how_many_the_request_may_use(self):
        said = limit_reached("tokens", whose="project", limit=150_000, cost=4000)
        assert "The project has reached its limit of 150,000 tokens per minute. This request may use 4,000." in (
            said.message
        )

    def test_of_places_says_so(self):
        said = limit_reached("slots", whose="project", limit=5, retry_s=1.0)
        assert "5 concurrent requests" in said.message
        assert said.detail == {"scope": "project", "kind": "concurrent_requests", "limit": 5}

    def test_is_400_where_waiting_would_not_help(self):
        said = limit_reached("tokens", limit=100, cost=400, retry_s=None)
        assert (said.status, said.code, said.headers) == (400, "tokens_per_minute_exceeded", {})
        assert said.detail == {"scope": "key", "kind": "tokens_per_minute", "limit": 100}
        assert "may use 400 tokens, and its key 100 in a minute" in said.message


class TestOverBudget:
    def test_that_is_spent_says_until_when_in_its_zone(self):
        said = told(budget("20", window=Window.DAY, zone="Asia/Kolkata", name="crawler"), spent="20")
        assert (said.status, said.code) == (402, "budget_spent")
        assert said.message == (
            "The budget of key 'crawler' ($20 a day) is spent until 2026-11-23 00:00 (Asia/Kolkata)."
        )
        assert said.headers == {"Retry-After": str(6300)}
        assert said.detail["until"] == "2026-11-22T18:30:00+00:00"

    def test_with_something_left_says_so_and_what_to_change(self):
        said = told(budget("20", window=Window.DAY, zone="Asia/Kolkata", name="crawler"), spent="19.9")
        assert said.message == (
            "The budget of key 'crawler' ($20 a day) has $0.1 left until 2026-11-23 00:00 (Asia/Kolkata). "
            "This request may cost more; ask for a shorter answer with max_tokens."
        )
        assert said.headers == {"Retry-After": str(6300)}

    def test_that_is_spent_is_told_before_what_no_waiting_helps(self):
        said = told(budget("1", window=Window.DAY), spent="1", least="2")
        assert "is spent until" in said.message

    def test_for_good_has_no_end_to_wait_for(self):
        said = told(budget("1"))
        assert (said.message, said.headers) == ("The budget of key 'first' ($1 in all) is spent.", {})
        assert said.detail["until"] is None

    def test_whose_window_has_just_ended_waits_a_second(self):
        ended = reached(budget("1", window=Window.HOUR))
        said = over_limit.over_budget(ended, caller=ANYONE, at=ended.until_ms / 1000 + 5)
        assert said.headers == {"Retry-After": "1"}

    def test_that_is_held_is_worth_trying_for_soon(self):
        said = told(budget("1", window=Window.MONTH), spent="0.2", open_="0.7")
        assert (said.status, said.code, said.headers) == (402, "budget_held", {"Retry-After": "1"})
        assert "($1 a month) is held by requests under way" in said.message

    def test_smaller_than_the_request_is_not_worth_waiting_for(self):
        said = told(budget("1", window=Window.DAY), spent="0", least="2")
        assert (said.status, said.code, said.headers) == (402, "budget_spent", {})
        assert "is less than this request may cost" in said.message
        assert said.detail["until"] is None

    @pytest.mark.parametrize(
        ("scope", "window", "named"),
        [
            (BudgetScope.KEY, Window.HOUR, "The budget of key 'first' ($1 an hour)"),
            (BudgetScope.PROJECT, Window.WEEK, "The budget of project 'first' ($1 a week)"),
            (BudgetScope.INSTALLATION, Window.MONTH, "The budget of this installation (a month)"),
            (BudgetScope.INSTALLATION, Window.TOTAL, "The budget of this installation (in all)"),
        ],
    )
    def test_names_the_budget(self, scope, window, named):
        assert told(budget("1", scope=scope, window=window)).message.startswith(named)

    def test_says_its_amounts_as_plain_digits(self):
        said = told(budget("1000"), spent="0.00000001", open_="999.9", least="0.5")
        assert said.detail == {
            "budget": 1,
            "scope": "key",
            "window": "total",
            "until": None,
            "limit_usd": "1000",
            "spent_usd": "0.00000001",
            "held_usd": "999.9",
        }

    def test_tells_the_owner_at_the_command_line_everything(self):
        found = reached(budget("5", scope=BudgetScope.INSTALLATION, window=Window.DAY), spent="5")
        said = over_limit.over_budget(found, caller=replace(ANYONE, key_id=None), at=AT.timestamp())
        assert said.message.startswith("The budget of this installation ($5 a day) is spent until 2026-11-23 00:00")

    def test_the_chat_command_tells_it_in_the_same_words(self):
        of = budget("5", scope=BudgetScope.PROJECT, window=Window.HOUR, name="default")
        found = OverBudget(make(), reached=reached(of, spent="5"))
        words = "The budget of project 'default' ($5 an hour) is spent until 2026-11-22 17:00 (UTC)."
        command = Command()
        command._owner = replace(ANYONE, key_id=None)
        assert command.told_of(found) == words

    def test_keeps_an_installations_amounts_to_itself(self):
        said = told(budget("123.45", scope=BudgetScope.INSTALLATION), spent="123.4")
        assert not AMOUNTS & set(said.detail)
        assert "123" not in said.message

    @pytest.mark.parametrize(
        ("scope", "to", "is_told"),
        [
            (BudgetScope.PROJECT, [Scope.CHAT], False),
            (BudgetScope.PROJECT, [Scope.CHAT, Scope.USAGE_OWN, Scope.ADMIN], False),
            (BudgetScope.PROJECT, [Scope.USAGE_PROJECT], True),
            (BudgetScope.KEY, [Scope.CHAT], False),
            (BudgetScope.KEY, [Scope.USAGE_OWN], True),
            (BudgetScope.KEY, [Scope.USAGE_PROJECT], True),
            (BudgetScope.INSTALLATION, list(Scope), False),
        ],
    )
    def test_tells_amounts_to_keys_that_may_see_what_was_spent(self, scope, to, is_told):
        said = told(budget("123.45", scope=scope), spent="123.4", to=to)
        assert set(said.detail) & AMOUNTS == (AMOUNTS if is_told else set())
        assert ("123" in said.message) is is_told

    def test_without_a_key_no_amounts_are_told(self):
        said = over_limit.over_budget(reached(budget("123.45"), spent="123.45"), caller=None, at=AT.timestamp())
        assert said.message == "The budget of key 'first' (in all) is spent."
        assert not AMOUNTS & set(said.detail)


def test_a_budget_nobody_knows_is_503():
    said = over_limit.budget_unavailable()
    assert (said.status, said.code, said.headers) == (503, "budget_unavailable", {"Retry-After": "1"})
