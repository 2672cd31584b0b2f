"""What every store must do while it is empty, and while its accounts are rebuilt from the ledger."""

import pytest

from analytics.counters.steps import NO_END, Balance, Held, Pulse, Rebuilt
from tests.unit.analytics.counters.stores import account, make_whole, reserve, settle


def rebuilt(*spent, held=(), ttl_ms=60_000):
    return Rebuilt(tuple((name, NO_END, nano_usd) for name, nano_usd in spent), tuple(held), ttl_ms)


@pytest.fixture
def rebuild(store):
    """A rebuild under way in a store that is whole."""
    assert store.begin("t", ttl_ms=5_000)
    return lambda *spent, held=(): store.finish("t", rebuilt(*spent, held=held))


class TestAnEmptyStore:
    def test_says_so(self, empty_store):
        assert empty_store.pulse() == Pulse(None, "")

    async def test_misses_every_account(self, empty_store):
        asked = account(may_begin=True)
        assert (await empty_store.reserve(reserve(accounts=[asked]))).missing == (0,)
        assert empty_store.missing([asked]) == [asked]

    async def test_is_not_whole_while_it_is_rebuilt(self, empty_store):
        empty_store.begin("t", ttl_ms=5_000)
        assert empty_store.pulse() == Pulse(None, "t")
        assert (await empty_store.reserve(reserve())).missing == (0,)

    def test_is_whole_since_its_rebuild_began(self, empty_store, clock):
        began_ms = clock.ms
        empty_store.begin("t", ttl_ms=5_000)
        clock.ms += 2_000
        assert empty_store.finish("t", rebuilt())
        assert empty_store.pulse() == Pulse(began_ms, "")

    def test_is_whole_for_every_process(self, empty_store, open_store):
        other = open_store()
        assert other.pulse().whole_since_ms is None
        make_whole(empty_store, ("b1", 5))
        assert other.pulse().whole_since_ms is not None
        assert other.balances(["b1"]) == {"b1": Balance(5, 0)}

    def test_lapses_nothing(self, empty_store):
        assert empty_store.lapse() == []


class TestARebuild:
    def test_is_one_at_a_time(self, store, open_store):
        assert store.begin("t", ttl_ms=5_000)
        assert not open_store().begin("u", ttl_ms=5_000)
        assert store.finish("t", rebuilt())
        assert open_store().begin("u", ttl_ms=5_000)

    def test_that_was_given_up_is_over_in_time(self, store, clock):
        store.begin("t", ttl_ms=5_000)
        clock.ms += 5_000
        assert store.pulse().rebuilding == ""
        assert store.begin("u", ttl_ms=5_000)
        assert not store.finish("t", rebuilt(("b1", 5)))
        assert store.balances(["b1"]) == {}
        assert store.pulse().rebuilding == "u"

    def test_that_took_too_long_writes_nothing(self, store, clock):
        store.begin("t", ttl_ms=5_000)
        clock.ms += 5_000
        assert not store.finish("t", rebuilt(("b1", 5)))
        assert store.balances(["b1"]) == {}

    def test_that_is_renewed_lasts_longer(self, store, clock):
        store.begin("t", ttl_ms=5_000)
        clock.ms += 4_000
        assert store.renew("t", ttl_ms=5_000)
        clock.ms += 4_000
        assert store.pulse().rebuilding == "t"
        assert store.finish("t", rebuilt(("b1", 5)))

    def test_that_is_over_is_not_renewed(self, store, clock):
        assert not store.renew("", ttl_ms=5_000)
        store.begin("t", ttl_ms=5_000)
        clock.ms += 5_000
        assert not store.renew("t", ttl_ms=5_000)
        store.begin("u", ttl_ms=5_000)
        assert not store.renew("t", ttl_ms=60_000)
        clock.ms += 5_000
        assert store.pulse().rebuilding == ""

    def test_never_begun_writes_nothing(self, store):
        assert not store.finish("", rebuilt(("b1", 5)))
        assert not store.finish("t", rebuilt(("b1", 5)))

    def test_finishes_once(self, rebuild):
        assert [rebuild(("b1", 5)), rebuild(("b1", 6))] == [True, False]

    async def test_of_a_whole_store_keeps_its_accounts(self, store):
        whole_since_ms = store.pulse().whole_since_ms
        await store.reserve(reserve("r1", 40))
        store.begin("t", ttl_ms=5_000)
        assert store.balances(["b1"]) == {"b1": Balance(0, 40)}
        store.finish("t", rebuilt(("b2", 5)))
        assert store.balances(["b1", "b2"]) == {"b1": Balance(0, 40), "b2": Balance(5, 0)}
        assert store.pulse().whole_since_ms == whole_since_ms

    async def test_of_an_account_there_is_writes_it_anew(self, store, rebuild):
        await store.reserve(reserve("r1", 40))
        rebuild(("b1", 30), held=[Held("r1", 40, ("b1",))])
        assert store.balances(["b1"]) == {"b1": Balance(30, 40)}
        store.settle_now([settle("r1", 7)])
        assert store.balances(["b1"]) == {"b1": Balance(37, 0)}


async def test_a_rebuild_of_many_accounts_counts_each_request_once_in_all_of_them(store, rebuild, clock):
    names = tuple(f"b{n}" for n in range(1_203))
    await store.reserve(reserve("lapsed", 5, accounts=[account("old")], ttl_ms=1_000))
    clock.ms += 1_000
    assert store.lapse() == ["lapsed"]
    store.settle_now([settle("settled", 7)])
    held = [Held(id, 40, names) for id in ("open", "settled", "lapsed")]
    assert rebuild(*((name, 30) for name in names), held=held)
    found = store.balances(names)
    assert {balance.spent + balance.open for balance in found.values()} == {30 + 40 + 7 + 5}
    assert len(found) == len(names)
    store.settle_now([settle("open", 1), settle("lapsed", 2)])
    assert set(store.balances(names).values()) == {Balance(30 + 1 + 7 + 2, 0)}


class TestAHeldRequest:
    def test_is_reserved_at_its_cap(self, store, rebuild):
        rebuild(("b1", 30), held=[Held("r1", 40, ("b1",))])
        assert store.balances(["b1"]) == {"b1": Balance(30, 40)}
        store.settle_now([settle("r1", 7)])
        assert store.balances(["b1"]) == {"b1": Balance(37, 0)}

    def test_lapses(self, store, clock):
        store.begin("t", ttl_ms=5_000)
        store.finish("t", rebuilt(("b1", 30), held=[Held("r1", 40, ("b1",))], ttl_ms=1_000))
        clock.ms += 1_000
        assert store.lapse() == ["r1"]
        assert store.balances(["b1"]) == {"b1": Balance(70, 0)}

    async def test_that_is_open_already_joins_with_its_own_cap(self, store, rebuild):
        await store.reserve(reserve("r1", 50, accounts=[account("old")]))
        rebuild(("b1", 30), held=[Held("r1", 40, ("b1", "old"))])
        assert store.balances(["b1", "old"]) == {"b1": Balance(30, 50), "old": Balance(0, 50)}
        store.settle_now([settle("r1", 7)])
        assert store.balances(["b1", "old"]) == {"b1": Balance(37, 0), "old": Balance(7, 0)}

    def test_that_settled_meanwhile_is_spent(self, store, rebuild):
        store.settle_now([settle("r1", 7), settle("r1", 7)])
        rebuild(("b1", 30), held=[Held("r1", 40, ("b1",))])
        assert store.balances(["b1"]) == {"b1": Balance(37, 0)}
        assert store.settle_now([settle("r1", 7)])[0].spent == ()

    async def test_that_settled_meanwhile_is_spent_once_where_it_was_reserved(self, store, rebuild):
        await store.reserve(reserve("r1", 40, accounts=[account("old")]))
        store.settle_now([settle("r1", 7)])
        rebuild(("b1", 30), held=[Held("r1", 40, ("b1", "old"))])
        assert store.balances(["b1", "old"]) == {"b1": Balance(37, 0), "old": Balance(7, 0)}

    def test_that_settled_before_an_earlier_rebuild_ended_is_open_again(self, store):
        store.begin("t", ttl_ms=5_000)
        store.settle_now([settle("r1", 7)])
        store.finish("t", rebuilt())
        store.begin("u", ttl_ms=5_000)
        store.finish("u", rebuilt(("b1", 30), held=[Held("r1", 40, ("b1",))]))
        assert store.balances(["b1"]) == {"b1": Balance(30, 40)}

    async def test_that_lapsed_is_charged_where_it_joins_until_it_settles(self, store, clock):
        await store.reserve(reserve("r1", 40, accounts=[account("old")], ttl_ms=1_000))
        clock.ms += 1_000
        store.lapse()
        store.begin("t", ttl_ms=5_000)
        store.finish("t", rebuilt(("b1", 30), held=[Held("r1", 40, ("b1", "old"))]))
        found = store.balances(["b1", "old"])
        assert [balance.spent + balance.open for balance in found.values()] == [70, 40]
        store.settle_now([settle("r1", 7)])
        assert store.balances(["b1", "old"]) == {"b1": Balance(37, 0), "old": Balance(7, 0)}


class TestAdopting:
    async def test_reserves_what_the_store_does_not_know(self, store):
        make_whole(store, ("b1", 90))
        await store.reserve(reserve("known", 5, accounts=[account("b2")]))
        assert store.unknown(["known", "lost"]) == ["lost"]
        store.adopt([Held("known", 40, ("b1", "b2")), Held("lost", 40, ("b1", "gone"))], ttl_ms=1_000)
        assert store.balances(["b1", "b2", "gone"]) == {"b1": Balance(90, 40), "b2": Balance(0, 5)}
        assert store.unknown(["known", "lost"]) == []
        assert store.settle_now([settle("lost", 7)])[0].spent == (("b1", 97),)

    async def test_knows_what_lapsed(self, store, clock):
        await store.reserve(reserve("r1", 40, ttl_ms=1_000))
        clock.ms += 1_000
        store.lapse()
        store.adopt([Held("r1", 40, ("b1",))], ttl_ms=1_000)
        assert (store.unknown(["r1"]), store.balances(["b1"])) == ([], {"b1": Balance(40, 0)})

    def test_holds_it_for_its_time(self, store, clock):
        make_whole(store, ("b1", 0))
        store.adopt([Held("r1", 40, ("b1",))], ttl_ms=1_000)
        clock.ms += 999
        assert store.lapse() == []
        clock.ms += 1
        assert (store.lapse(), store.balances(["b1"])) == (["r1"], {"b1": Balance(40, 0)})

    def test_does_nothing_before_the_store_is_whole(self, empty_store):
        empty_store.begin("t", ttl_ms=5_000)
        empty_store.adopt([Held("r1", 40, ("b1",))], ttl_ms=1_000)
        assert empty_store.unknown(["r1"]) == ["r1"]

    def test_of_nothing_does_nothing(self, store):
        store.adopt([], ttl_ms=1_000)
        assert store.unknown([]) == []


class TestWhatWasReservedWithoutAnAccount:
    @pytest.fixture
    def asked(self):
        return [account("old"), account("new", may_begin=False, may_miss=True)]

    async def test_is_open_in_it_when_it_is_rebuilt(self, store, rebuild, asked):
        await store.reserve(reserve("r1", 40, accounts=asked))
        rebuild(("new", 30))
        assert store.balances(["old", "new"]) == {"old": Balance(0, 40), "new": Balance(30, 40)}
        await store.reserve(reserve("r1", 50, accounts=asked))
        store.settle_now([settle("r1", 7)])
        assert store.balances(["old", "new"]) == {"old": Balance(7, 0), "new": Balance(37, 0)}

    async def test_is_spent_in_it_where_it_settled_meanwhile(self, store, rebuild, asked):
        await store.reserve(reserve("r1", 40, accounts=asked))
        store.settle_now([settle("r1", 7)])
        rebuild(("new", 30))
        assert store.balances(["old", "new"]) == {"old": Balance(7, 0), "new": Balance(37, 0)}

    async def test_counts_once_when_it_is_held_as_well(self, store, rebuild, asked):
        for id in ("open", "settled"):
            await store.reserve(reserve(id, 40, accounts=asked))
        store.settle_now([settle("settled", 7)])
        rebuild(("new", 30), held=[Held("open", 40, ("new", "old")), Held("settled", 40, ("new", "old"))])
        assert store.balances(["old", "new"]) == {"old": Balance(7, 40), "new": Balance(37, 40)}

    async def test_is_kept_also_by_a_store_that_is_yet_to_be_whole(self, empty_store, asked):
        empty_store.begin("t", ttl_ms=5_000)
        reserved = await empty_store.reserve(reserve("r1", 40, accounts=asked[1:]))
        assert (reserved.granted, reserved.missing) == (0, (0,))
        empty_store.finish("t", rebuilt(("new", 30)))
        assert empty_store.balances(["new"]) == {"new": Balance(30, 40)}


async def test_a_lapsed_request_that_the_ledger_knows_is_not_corrected_in_a_rebuilt_account(store, clock, rebuild):
    await store.reserve(reserve("r1", 40, ttl_ms=1_000))
    clock.ms += 1_000
    assert store.lapse() == ["r1"]
    rebuild(("b1", 7))
    store.settle_now([settle("r1", 7)])
    assert store.balances(["b1"]) == {"b1": Balance(7, 0)}
