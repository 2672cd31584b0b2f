"""Which account a request counts in: by its budget, its window and its dates."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from analytics import accounts
from analytics.accounts import SETTLING_IN
from analytics.counters.steps import NO_END
from analytics.types import Budget, BudgetAction, BudgetScope, NearEdge, Window

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

DAILY = Budget(
    id=7,
    scope=BudgetScope.PROJECT,
    name="default",
    project_id=1,
    key_id=None,
    window=Window.DAY,
    zone="UTC",
    limit_usd=Decimal("2.5"),
    action=BudgetAction.REFUSE,
    layer="",
    near_edge=NearEdge.SHORTEN,
    severity="warning",
    starts_at=None,
    ends_at=None,
    defined_at=LONG_AGO,
)


def budget(**changes):
    return msgspec.structs.replace(DAILY, **changes)


def ms(moment):
    return int(moment.timestamp()) * 1000


class TestInForce:
    @pytest.mark.parametrize(
        ("dates", "holds"),
        [
            ({}, True),
            ({"starts_at": NOON}, True),
            ({"starts_at": NOON + timedelta(microseconds=1)}, False),
            ({"ends_at": NOON + timedelta(microseconds=1)}, True),
            ({"ends_at": NOON}, False),
            ({"starts_at": NOON - DAY, "ends_at": NOON + DAY}, True),
        ],
    )
    def test_dates_hold_from_the_first_moment_up_to_the_last_without_it(self, dates, holds):
        dated = budget(**dates)
        assert accounts.in_force([dated], at=NOON) == ([dated] if holds else [])

    def test_a_new_budget_settles_in_first(self):
        new = budget(defined_at=NOON)
        assert accounts.in_force([new], at=NOON + SETTLING_IN - timedelta(microseconds=1)) == []
        assert accounts.in_force([new], at=NOON + SETTLING_IN) == [new]

    def test_a_request_that_was_long_in_coming_is_held_to_what_was_made_meanwhile(self):
        meanwhile = budget(defined_at=NOON + timedelta(seconds=5))
        late = NOON + timedelta(seconds=20)
        assert accounts.in_force([meanwhile], at=NOON, now=late) == [meanwhile]
        assert accounts.in_force([meanwhile], at=NOON, now=NOON + timedelta(seconds=6)) == []

    def test_but_its_dates_are_those_of_its_start(self):
        late = NOON + timedelta(seconds=20)
        ended, begun = budget(ends_at=NOON + timedelta(seconds=5)), budget(starts_at=NOON + timedelta(seconds=5))
        assert accounts.in_force([ended, begun], at=NOON, now=late) == [ended]

    def test_each_is_judged_by_itself_and_order_stays(self):
        first, over, last = budget(id=1), budget(id=2, ends_at=NOON), budget(id=3)
        assert accounts.in_force([first, over, last], at=NOON) == [first, last]


class TestAccount:
    def test_it_is_what_is_left_of_the_window(self):
        found = accounts.account(DAILY, at=NOON)
        midnight = datetime(2026, 11, 22, tzinfo=UTC)
        assert (found.limit, found.shorten) == (2_500_000_000, True)
        assert (found.starts_ms, found.ends_ms) == (ms(midnight), ms(midnight + DAY))

    def test_requests_of_one_window_share_it_and_those_of_the_next_do_not(self):
        name = accounts.account(DAILY, at=NOON).name
        assert accounts.account(DAILY, at=NOON + HOUR).name == name
        assert accounts.account(DAILY, at=NOON + DAY).name != name
        assert accounts.account(DAILY, at=NOON).name == name

    @pytest.mark.parametrize(
        "change",
        [{"id": 8}, {"defined_at": LONG_AGO + HOUR}, {"window": Window.HOUR}, {"zone": "Asia/Kathmandu"},
         {"starts_at": NOON - HOUR}],
        ids=lambda change: next(iter(change)),
    )  # fmt: skip
    def test_what_decides_its_count_stands_in_its_name(self, change):
        assert accounts.account(budget(**change), at=NOON).name != accounts.account(DAILY, at=NOON).name

    @pytest.mark.parametrize("change", [{"limit_usd": Decimal(9)}, {"action": BudgetAction.NOTE}, {"name": "renamed"}])
    def test_what_does_not_leaves_it_alone(self, change):
        assert accounts.account(budget(**change), at=NOON).name == accounts.account(DAILY, at=NOON).name

    def test_one_that_only_notes_refuses_nothing(self):
        assert accounts.account(budget(action=BudgetAction.NOTE), at=NOON).limit is None

    def test_one_that_degrades_has_its_limit(self):
        assert accounts.account(budget(action=BudgetAction.DEGRADE, layer="L0"), at=NOON).limit == 2_500_000_000

    def test_one_that_denies_takes_no_smaller_cap(self):
        assert not accounts.account(budget(near_edge=NearEdge.DENY), at=NOON).shorten

    def test_its_limit_is_never_rounded_up(self):
        assert accounts.account(budget(limit_usd=Decimal("0.0000000019")), at=NOON).limit == 1

    def test_a_total_goes_on_from_its_start_for_good(self):
        found = accounts.account(budget(window=Window.TOTAL, starts_at=LONG_AGO), at=NOON)
        assert (found.starts_ms, found.ends_ms) == (ms(LONG_AGO), NO_END)

    def test_dates_cut_the_window(self):
        found = accounts.account(budget(starts_at=NOON - HOUR, ends_at=NOON + HOUR), at=NOON)
        assert (found.starts_ms, found.ends_ms) == (ms(NOON - HOUR), ms(NOON + HOUR))

    def test_dates_beyond_the_window_do_not(self):
        found = accounts.account(budget(starts_at=NOON - DAY, ends_at=NOON + DAY), at=NOON)
        assert found == accounts.account(DAILY, at=NOON)

    def test_a_total_ends_with_its_dates(self):
        assert accounts.account(budget(window=Window.TOTAL, ends_at=NOON + DAY), at=NOON).ends_ms == ms(NOON + DAY)


class TestMayBegin:
    """Whether an account may start at zero: only when nothing can have been spent that was not counted in it."""

    def test_not_in_the_window_that_the_budget_was_made_in(self):
        assert not accounts.account(budget(defined_at=NOON - HOUR), at=NOON).may_begin

    def test_in_the_window_after_it(self):
        assert accounts.account(budget(defined_at=NOON - HOUR), at=NOON + DAY).may_begin

    def test_not_in_a_window_that_began_while_the_budget_settled_in(self):
        midnight = datetime(2026, 11, 22, tzinfo=UTC)
        assert not accounts.account(budget(defined_at=midnight - SETTLING_IN / 2), at=NOON).may_begin
        assert accounts.account(budget(defined_at=midnight - SETTLING_IN), at=NOON).may_begin

    def test_when_its_first_day_was_set_well_before(self):
        assert accounts.account(budget(defined_at=NOON - HOUR, starts_at=NOON), at=NOON).may_begin


def test_two_zones_keep_their_own_windows():
    """The last window of each is remembered: one must not be taken for another's."""
    here, there = budget(zone="UTC"), budget(zone="Pacific/Kiritimati")
    for _ in range(2):
        assert accounts.account(here, at=NOON).starts_ms == ms(datetime(2026, 11, 22, tzinfo=UTC))
        assert accounts.account(there, at=NOON).starts_ms == ms(datetime(2026, 11, 22, 10, tzinfo=UTC))


def test_a_request_that_began_in_the_window_before_still_counts_there():
    today = accounts.account(DAILY, at=NOON)
    yesterday = accounts.account(DAILY, at=NOON - DAY)
    assert yesterday.ends_ms == today.starts_ms
    assert accounts.account(DAILY, at=NOON) == today
