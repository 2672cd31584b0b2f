"""What every store must do about budgets' accounts: reserve, settle, lapse."""

from analytics.counters.steps import NO_END, Balance, Settle
from tests.unit.analytics.counters.stores import NOON, account, make_whole, reserve, settle

A_DAY_MS = 86_400_000


class TestReserving:
    async def test_holds_the_cap_in_every_account(self, store):
        both = [account("a"), account("b")]
        reserved = await store.reserve(reserve("r1", 40, accounts=both))
        assert (reserved.granted, reserved.refused, reserved.missing) == (0, None, ())
        assert reserved.balances == (Balance(0, 40), Balance(0, 40))
        assert store.balances(["a", "b"]) == {"a": Balance(0, 40), "b": Balance(0, 40)}

    async def test_fills_an_account_to_its_limit_and_no_further(self, store):
        assert (await store.reserve(reserve("r1", 60))).granted == 0
        assert (await store.reserve(reserve("r2", 41))).refused == 0
        assert (await store.reserve(reserve("r2", 40))).granted == 0

    async def test_counts_what_was_spent(self, store):
        await store.reserve(reserve("r1", 60))
        store.settle_now([settle("r1", 60)])
        assert (await store.reserve(reserve("r2", 41))).granted is None

    async def test_refused_by_one_account_holds_nothing_in_the_others(self, store):
        refused = await store.reserve(reserve("r1", 40, accounts=[account("a"), account("b", limit=39)]))
        assert (refused.granted, refused.refused) == (None, 1)
        assert refused.balances == (Balance(0, 0), Balance(0, 0))
        assert all(balance.open == 0 for balance in store.balances(["a", "b"]).values())

    async def test_in_an_account_without_a_limit_is_never_refused(self, store):
        assert (await store.reserve(reserve("r1", 10**15, accounts=[account(limit=None)]))).granted == 0

    async def test_in_no_account_is_granted(self, store):
        assert (await store.reserve(reserve("r1", accounts=[]))).granted == 0
        assert store.settle_now([settle()])[0].spent == ()

    async def test_holds_more_than_a_million_dollars_to_the_nano(self, store):
        huge = 5_000_000_000_000_001
        assert (await store.reserve(reserve("r1", huge, accounts=[account(limit=huge)]))).granted == 0
        assert store.balances(["b1"])["b1"].open == huge


class TestASmallerCap:
    async def test_is_granted_where_the_first_does_not_fit(self, store):
        assert (await store.reserve(reserve("r1", 101, 30))).granted == 1
        assert store.balances(["b1"])["b1"].open == 30

    async def test_is_not_taken_by_an_account_that_does_not_shorten(self, store):
        refused = await store.reserve(reserve("r1", 101, 30, accounts=[account(shorten=False)]))
        assert (refused.granted, refused.refused) == (None, 0)

    async def test_is_taken_by_an_account_that_would_have_taken_the_first(self, store):
        both = [account("strict", limit=200, shorten=False), account("near")]
        assert (await store.reserve(reserve("r1", 101, 30, accounts=both))).granted == 1
        assert store.balances(["strict"])["strict"].open == 30

    async def test_names_the_first_account_that_takes_neither(self, store):
        three = [account("near", limit=35), account("strict", limit=35, shorten=False), account("full", limit=5)]
        assert (await store.reserve(reserve("r1", 40, 30, accounts=three))).refused == 1


class TestTopUp:
    async def test_raises_what_is_open_to_the_dearer_cap(self, store):
        await store.reserve(reserve("r1", 40))
        assert (await store.reserve(reserve("r1", 100))).granted == 0
        assert store.balances(["b1"])["b1"] == Balance(0, 100)

    async def test_never_lowers_it(self, store):
        await store.reserve(reserve("r1", 40))
        reserved = await store.reserve(reserve("r1", 10))
        assert (reserved.granted, reserved.balances) == (0, (Balance(0, 40),))

    async def test_refused_leaves_it_as_it_was(self, store):
        await store.reserve(reserve("r1", 40))
        refused = await store.reserve(reserve("r1", 101))
        assert (refused.granted, refused.refused, refused.balances) == (None, 0, (Balance(0, 40),))
        assert store.settle_now([settle("r1", 7)])[0].spent == (("b1", 7),)

    async def test_may_take_the_smaller_cap(self, store):
        await store.reserve(reserve("r1", 40))
        assert (await store.reserve(reserve("r1", 101, 70))).granted == 1
        assert store.balances(["b1"])["b1"].open == 70

    async def test_of_a_lapsed_reservation_finds_no_account(self, store, clock):
        both = [account("a"), account("b")]
        await store.reserve(reserve("r1", 40, accounts=both, ttl_ms=1_000))
        clock.ms += 1_000
        reserved = await store.reserve(reserve("r1", 50, accounts=both))
        assert (reserved.granted, reserved.refused, reserved.missing) == (None, None, (0, 1))

    async def test_holds_it_for_longer(self, store, clock):
        await store.reserve(reserve("r1", 40, ttl_ms=1_000))
        clock.ms += 900
        await store.reserve(reserve("r1", 50, ttl_ms=1_000))
        clock.ms += 900
        assert store.lapse() == []

    async def test_with_a_shorter_time_shortens_nothing(self, store, clock):
        await store.reserve(reserve("r1", 40, ttl_ms=2_000))
        await store.reserve(reserve("r1", 50, ttl_ms=1_000))
        clock.ms += 1_500
        assert store.lapse() == []

    async def test_asks_an_account_that_is_new_to_it_for_all_that_is_held(self, store):
        await store.reserve(reserve("other", 50, accounts=[account("new")]))
        await store.reserve(reserve("r1", 90, accounts=[account("old")]))
        refused = await store.reserve(reserve("r1", 50, 10, accounts=[account("old"), account("new")]))
        assert (refused.granted, refused.refused) == (None, 1)
        assert store.balances(["old", "new"]) == {"old": Balance(0, 90), "new": Balance(0, 50)}
        granted = await store.reserve(reserve("r1", 50, accounts=[account("old"), account("new", limit=140)]))
        assert granted.balances == (Balance(0, 90), Balance(0, 140))


class TestSettling:
    async def test_turns_what_was_open_into_what_it_cost(self, store):
        await store.reserve(reserve("r1", 40))
        settled = await store.settle(settle("r1", 7))
        assert settled.spent == (("b1", 7),)
        assert store.balances(["b1"]) == {"b1": Balance(7, 0)}

    async def test_happens_once_however_often_it_is_tried(self, store):
        await store.reserve(reserve("r1", 40))
        answers = store.settle_now([settle("r1", 7), settle("r1", 7)]) + [await store.settle(settle("r1", 7))]
        assert [answer.spent for answer in answers] == [(("b1", 7),), (), ()]
        assert store.balances(["b1"]) == {"b1": Balance(7, 0)}

    async def test_of_what_was_never_reserved_does_nothing(self, store):
        assert store.settle_now([settle("unknown", 7)])[0].spent == ()

    async def test_without_money_leaves_the_reservation(self, store):
        await store.reserve(reserve("r1", 40))
        assert (await store.settle(Settle("r1"))).spent == ()
        assert store.balances(["b1"])["b1"].open == 40

    async def test_of_a_refund_frees_all_of_it(self, store):
        await store.reserve(reserve("r1", 100))
        store.settle_now([settle("r1", 0)])
        assert (await store.reserve(reserve("r2", 100))).granted == 0

    async def test_takes_what_it_cost_above_its_cap(self, store):
        await store.reserve(reserve("r1", 40))
        store.settle_now([settle("r1", 140)])
        assert store.balances(["b1"])["b1"] == Balance(140, 0)

    def test_of_nothing_answers_nothing(self, store):
        assert store.settle_now([]) == []


class TestLapsing:
    async def test_charges_the_cap_when_its_time_is_over(self, store, clock):
        await store.reserve(reserve("r1", 40, ttl_ms=1_000))
        clock.ms += 999
        assert store.lapse() == []
        clock.ms += 1
        assert store.lapse() == ["r1"]
        assert store.balances(["b1"])["b1"] == Balance(40, 0)

    async def test_happens_before_another_reserves(self, store, clock):
        await store.reserve(reserve("r1", 60, ttl_ms=1_000))
        clock.ms += 1_000
        assert (await store.reserve(reserve("r2", 40))).balances == (Balance(60, 40),)

    async def test_charges_once(self, store, clock):
        await store.reserve(reserve("r1", 40, ttl_ms=1_000))
        clock.ms += 1_000
        assert [store.lapse(), store.lapse()] == [["r1"], ["r1"]]
        assert store.balances(["b1"])["b1"] == Balance(40, 0)

    async def test_names_the_oldest_first(self, store, clock):
        await store.reserve(reserve("young", 1, ttl_ms=2_000))
        await store.reserve(reserve("old", 1, ttl_ms=1_000))
        clock.ms += 2_000
        assert store.lapse() == ["old", "young"]

    async def test_is_corrected_by_what_it_cost(self, store, clock):
        await store.reserve(reserve("r1", 40, ttl_ms=1_000))
        clock.ms += 1_000
        store.lapse()
        settled = store.settle_now([settle("r1", 7)])[0]
        assert settled.spent == (("b1", 7),)
        assert (store.lapse(), store.balances(["b1"])) == ([], {"b1": Balance(7, 0)})

    async def test_does_not_keep_a_late_settlement_out(self, store, clock):
        await store.reserve(reserve("r1", 40, ttl_ms=1_000))
        clock.ms += 5_000
        store.settle_now([settle("r1", 7)])
        assert (store.lapse(), store.balances(["b1"])) == ([], {"b1": Balance(7, 0)})

    async def test_names_500_at_a_time_and_charges_all(self, store, clock):
        for n in range(510):
            await store.reserve(reserve(f"r{n:03}", 1, accounts=[account(limit=None)], ttl_ms=1_000))
        clock.ms += 1_000
        assert len(store.lapse()) == 500
        store.settle_now([settle(f"r{n:03}", 1) for n in range(500)])
        assert len(store.lapse()) == 10
        assert store.balances(["b1"])["b1"] == Balance(510, 0)

    async def test_names_those_it_named_before_behind_the_others(self, store, clock):
        for n in range(1_010):
            await store.reserve(reserve(f"r{n:04}", 1, accounts=[account(limit=None)], ttl_ms=1_000))
        clock.ms += 1_000
        seen = []
        for _ in range(3):
            seen.append(store.lapse())
            clock.ms += 1_000
        assert [len(ids) for ids in seen] == [500, 500, 500]
        assert len({id for ids in seen for id in ids}) == 1_010
        assert seen[2][:10] == [f"r{n}" for n in range(1_000, 1_010)]

    async def test_is_corrected_for_a_day(self, store, clock):
        await store.reserve(reserve("r1", 40, ttl_ms=1_000))
        clock.ms += 1_000
        assert store.lapse() == ["r1"]
        clock.ms += A_DAY_MS
        store.tidy()
        assert store.lapse() == ["r1"]
        assert store.settle_now([settle("r1", 7)])[0].spent == (("b1", 7),)
        assert store.balances(["b1"]) == {"b1": Balance(7, 0)}

    async def test_is_for_good_after_a_day(self, store, clock):
        await store.reserve(reserve("r1", 40, ttl_ms=1_000))
        clock.ms += 1_000
        assert store.lapse() == ["r1"]
        clock.ms += A_DAY_MS + 1
        assert store.lapse() == []
        assert store.settle_now([settle("r1", 7)])[0].spent == ()
        assert store.balances(["b1"]) == {"b1": Balance(40, 0)}


class TestAnAccount:
    async def test_begins_at_zero_where_it_may(self, store):
        assert (await store.reserve(reserve())).balances == (Balance(0, 40),)

    async def test_that_may_not_begin_is_missing(self, store):
        both = [account("a"), account("b", may_begin=False)]
        reserved = await store.reserve(reserve(accounts=both))
        assert (reserved.granted, reserved.refused, reserved.missing, reserved.balances) == (None, None, (1,), ())
        assert store.missing(both) == [both[1]]
        assert store.balances(["a", "b"]).get("a", Balance(0, 0)) == Balance(0, 0)

    async def test_whose_window_began_before_the_store_was_whole_is_missing(self, store):
        old = account(starts_ms=NOON - 1)
        assert (await store.reserve(reserve(accounts=[old]))).missing == (0,)
        assert store.missing([old, account("b2", starts_ms=NOON)]) == [old]

    async def test_once_held_is_not_missing(self, store):
        make_whole(store, ("b1", 30))
        old = account(starts_ms=0, may_begin=False)
        assert (await store.reserve(reserve(accounts=[old]))).balances == (Balance(30, 40),)
        assert store.missing([old]) == []

    def test_unknown_has_no_balance(self, store):
        assert store.balances(["b1"]) == {}
        assert store.balances([]) == {}

    def test_is_marked_for_the_first_time_once(self, store, open_store):
        assert [store.first("b1"), open_store().first("b1"), store.first("b2")] == [True, False, True]

    async def test_is_forgotten_a_day_after_its_end(self, store, clock):
        await store.reserve(reserve(accounts=[account("ended", ends_ms=clock.ms), account("endless", ends_ms=NO_END)]))
        store.settle_now([settle()])
        clock.ms += A_DAY_MS - 1
        store.tidy()
        assert "ended" in store.balances(["ended"])
        clock.ms += 2
        store.tidy()
        assert list(store.balances(["ended", "endless"])) == ["endless"]

    async def test_whose_end_was_put_off_is_kept_until_the_later_one(self, store, clock):
        end = clock.ms + 10_000
        await store.reserve(reserve("r1", 10, accounts=[account(ends_ms=end)]))
        await store.reserve(reserve("r1", 20, accounts=[account(ends_ms=end + A_DAY_MS)]))
        clock.ms = end + A_DAY_MS + 1
        store.tidy()
        later = account(ends_ms=NO_END, may_begin=False)
        assert (await store.reserve(reserve("r2", 10, accounts=[later]))).missing == ()
        clock.ms += 2 * A_DAY_MS
        store.tidy()
        assert (await store.reserve(reserve("r3", 10, accounts=[later]))).missing == ()

    async def test_keeps_its_end_when_a_process_is_late_to_hear_of_it(self, store, clock):
        end = clock.ms + 10_000
        for id, ends_ms in (("r1", end + A_DAY_MS), ("r2", end)):
            await store.reserve(reserve(id, 10, accounts=[account(ends_ms=ends_ms)]))
        clock.ms = end + A_DAY_MS + 1
        store.tidy()
        assert "b1" in store.balances(["b1"])


class TestAnAccountThatMayMiss:
    def missing(self, name="new"):
        return account(name, limit=5, may_begin=False, may_miss=True)

    async def test_refuses_nothing_while_it_does(self, store):
        reserved = await store.reserve(reserve("r1", 40, accounts=[self.missing(), account("old")]))
        assert (reserved.granted, reserved.missing) == (0, (0,))
        assert reserved.balances == (Balance(0, 0), Balance(0, 40))
        assert store.balances(["new", "old"]) == {"old": Balance(0, 40)}
        settled = await store.settle(settle("r1", 7))
        assert settled.spent == (("old", 7),)

    async def test_keeps_no_other_from_refusing(self, store):
        refused = await store.reserve(reserve("r1", 40, accounts=[self.missing(), account("old", limit=39)]))
        assert (refused.granted, refused.refused, refused.missing) == (None, 1, (0,))
        assert store.balances(["new", "old"]).get("old", Balance(0, 0)) == Balance(0, 0)

    async def test_changes_nothing_where_another_is_missing(self, store):
        three = [self.missing(), account("gone", may_begin=False), account("old")]
        reserved = await store.reserve(reserve("r1", 40, accounts=three))
        assert (reserved.granted, reserved.missing, reserved.balances) == (None, (0, 1), ())
        assert store.settle_now([settle("r1")])[0].spent == ()

    async def test_refuses_as_any_other_once_it_is_there(self, store):
        make_whole(store, ("new", 3))
        refused = await store.reserve(reserve("r1", 3, accounts=[self.missing()]))
        assert (refused.refused, refused.missing, refused.balances) == (0, (), (Balance(3, 0),))

    async def test_is_named_by_a_top_up_too(self, store):
        both = [self.missing(), account("old")]
        await store.reserve(reserve("r1", 40, accounts=both))
        reserved = await store.reserve(reserve("r1", 60, accounts=both))
        assert (reserved.granted, reserved.balances) == (0, (Balance(0, 0), Balance(0, 60)))

    async def test_grants_a_lapsed_reservation_nothing_more(self, store, clock):
        await store.reserve(reserve("r1", 40, accounts=[account("old")], ttl_ms=1_000))
        clock.ms += 1_000
        asked = [account("old", may_miss=True), self.missing()]
        reserved = await store.reserve(reserve("r1", 50, accounts=asked))
        assert (reserved.granted, reserved.missing) == (0, (0, 1))
        assert store.balances(["old"]) == {"old": Balance(40, 0)}


async def test_processes_share_one_account(store, open_store):
    other = open_store()
    await store.reserve(reserve("r1", 60))
    assert (await other.reserve(reserve("r2", 41))).refused == 0
    other.settle_now([settle("r1", 10)])
    assert store.balances(["b1"])["b1"] == Balance(10, 0)
