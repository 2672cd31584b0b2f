"""What a caller's limits ask of the counters, and what is made of the answer."""

import uuid
from dataclasses import replace

import pytest

from analytics import limits
from analytics.counters.guard import Guard
from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import Correct, Rate
from analytics.lengths import Lengths
from analytics.limits import NO_LEASE, Lease, LimitReached
from analytics.types import NO_LIMITS, Limits
from tests.unit.routing.test_plan import ANYONE
from tests.unit.routing.use_case import Heard


@pytest.fixture
def guard(tmp_path):
    return Guard(SqliteStore(tmp_path / "counters.sqlite3", deadline_s=5.0), keeper=Heard(), lengths=Lengths())


def caller(*key, project=()):
    return replace(ANYONE, key_limits=Limits(*key), project_limits=Limits(*project))


async def admit(guard, who, *, tokens=10, usual_tokens=0):
    request_id = uuid.uuid4().hex
    lease = await limits.admit(guard, who, request_id=request_id, tokens=tokens, usual_tokens=usual_tokens, ttl_s=60.0)
    return lease, request_id


async def refusal(guard, who, **options):
    with pytest.raises(LimitReached) as caught:
        await admit(guard, who, **options)
    return caught.value


class TestHasAny:
    @pytest.mark.parametrize(
        ("who", "has"),
        [(caller(), False), (caller(1), True), (caller(None, 1), True), (caller(project=(None, None, 1)), True)],
    )
    def test_of_key_or_project(self, who, has):
        assert limits.has_any(who) is has
        assert Limits() == NO_LIMITS


class TestAdmit:
    async def test_a_lease_names_all_that_was_taken(self, guard):
        lease, _ = await admit(guard, caller(5, 100, 1, project=(50, 1000, 10)))
        assert lease.slots == ("k1:slots", "p1:slots")
        assert lease.rates == (
            Rate("k1:requests", 5, 1),
            Rate("k1:tokens", 100, 10),
            Rate("p1:requests", 50, 1),
            Rate("p1:tokens", 1000, 10),
        )

    async def test_an_owner_without_a_key_is_held_to_the_project(self, guard):
        lease, _ = await admit(guard, replace(caller(project=(50, None, 1)), key_id=None))
        assert (lease.rates, lease.slots) == ((Rate("p1:requests", 50, 1),), ("p1:slots",))

    async def test_quotas_are_the_tightest_of_each_kind(self, guard):
        lease, _ = await admit(guard, caller(5, 1000, project=(3, 5000)))
        assert [(quota.kind, quota.limit, quota.remaining) for quota in lease.quotas] == [
            ("requests", 3, 2),
            ("tokens", 1000, 990),
        ]
        assert all(0 < quota.reset_ms <= 61_000 for quota in lease.quotas)

    @pytest.mark.parametrize(("usual", "cost"), [(50, 60), (500, 100)])
    async def test_a_usual_answer_is_added_as_far_as_the_limit_allows(self, guard, usual, cost):
        lease, _ = await admit(guard, caller(None, 100), usual_tokens=usual)
        assert lease.rates[0].cost == cost

    async def test_nothing_is_asked_of_counters_that_are_away(self, guard):
        guard.is_here = False
        assert (await admit(guard, caller(1)))[0] is NO_LEASE


class TestRefused:
    async def test_says_whose_limit_it_was_and_when_to_come_again(self, guard):
        await admit(guard, caller(1))
        error = await refusal(guard, caller(1, project=(10,)))
        assert (error.whose, error.kind, error.limit, error.cost) == ("key", "requests", 1, 1)
        assert 0 < error.retry_s <= 61
        assert str(error) == "The key's limit of 1 requests per minute is reached."

    async def test_tells_what_is_left_of_the_other_limits(self, guard):
        await admit(guard, caller(1, 100))
        error = await refusal(guard, caller(1, 100))
        assert [(quota.kind, quota.remaining) for quota in error.quotas] == [("requests", 0), ("tokens", 90)]

    async def test_a_place_is_worth_trying_for_soon(self, guard):
        await admit(guard, caller(project=(5, None, 1)))
        error = await refusal(guard, caller(project=(5, None, 1)))
        assert (error.whose, error.kind, error.retry_s) == ("project", "slots", 1.0)

    @pytest.mark.parametrize("tokens", [101, 10**30, 1 << 63])
    async def test_a_request_larger_than_the_limit_need_not_come_again(self, guard, tokens):
        error = await refusal(guard, caller(None, 100), tokens=tokens)
        assert (error.retry_s, error.cost > 100) == (None, True)

    async def test_of_two_limits_the_one_that_never_lets_it_through_is_named(self, guard):
        who = caller(1, 1000, project=(None, 50))
        await admit(guard, who)
        error = await refusal(guard, who, tokens=60)
        assert (error.whose, error.kind, error.limit, error.retry_s) == ("project", "tokens", 50, None)


class TestGivenBack:
    async def test_are_places_and_tokens(self, guard):
        who = caller(None, 10, 1, project=(None, 10, 1))
        for _ in range(3):
            lease, request_id = await admit(guard, who)
            limits.give_back(guard, lease, request_id=request_id)
        await admit(guard, who)

    async def test_the_request_stays_counted(self, guard):
        who = caller(1, 10, 1)
        lease, request_id = await admit(guard, who)
        limits.give_back(guard, lease, request_id=request_id)
        assert (await refusal(guard, who)).kind == "requests"

    def test_without_a_lease_there_is_nothing_to_give(self, guard):
        guard.is_here = False
        limits.give_back(guard, NO_LEASE, request_id="r")
        assert guard.keeper.unsettled == []


class TestCorrections:
    LEASE = Lease(rates=(Rate("k1:requests", 5, 1), Rate("k1:tokens", 100, 40)), bucket=7)

    @pytest.mark.parametrize(("used", "by"), [(30, -10), (55, 15), (0, -40)])
    def test_tokens_are_corrected_to_what_was_used_and_requests_stay(self, used, by):
        assert self.LEASE.corrections(used_tokens=used) == (Correct("k1:tokens", 7, by),)

    def test_an_estimate_that_was_right_needs_none(self):
        assert self.LEASE.corrections(used_tokens=40) == ()

    def test_where_nobody_was_called_all_tokens_are_given_back(self):
        assert self.LEASE.corrections(used_tokens=None) == (Correct("k1:tokens", 7, -40),)


def test_the_places_a_request_of_theirs_may_hold():
    assert limits.slots_of(7, 2) == ("k7:slots", "p2:slots")
    assert limits.slots_of(None, 2) == ("p2:slots",)
