"""What every store must do about registers: entries that processes change by compare-and-set."""

import threading

import pytest

from analytics.counters.steps import Change, Entry
from tests.unit.analytics.counters.stores import STORES, make_whole, opener


def put(store, name="m1", value=b"open", *, known=0, ttl_ms=60_000, kind="circuit"):
    return store.register(kind, [Change(name, known, value, ttl_ms)]) == [True]


def version(store, name="m1", kind="circuit"):
    found = store.registered(kind).get(name)
    return 0 if found is None else found.version


def values(store, kind="circuit"):
    return {name: entry.value for name, entry in store.registered(kind).items()}


def test_nothing_stands_in_a_register_that_nobody_wrote(store):
    assert store.registered("circuit") == {}


def test_what_was_written_is_read_by_another_process(store, open_store):
    assert put(store, value=b'{"a": 1}|\x00\xff')
    assert open_store().registered("circuit")["m1"].value == b'{"a": 1}|\x00\xff'


def test_registers_of_different_kinds_are_apart(store):
    assert put(store, kind="circuit")
    assert put(store, kind="other", value=b"else")
    assert (values(store), values(store, "other")) == ({"m1": b"open"}, {"m1": b"else"})


def test_only_who_knows_the_version_changes_an_entry(store):
    put(store)
    known = version(store)
    assert not put(store, value=b"a")
    assert not put(store, value=b"b", known=known + 1)
    assert put(store, value=b"c", known=known)
    assert not put(store, value=b"d", known=known)
    assert values(store) == {"m1": b"c"}


def test_each_change_is_answered_by_itself(store):
    put(store, "m1")
    changes = [Change("m1", 0, b"x"), Change("m2", 0, b"y"), Change("m3", 7, b"z"), Change("m4", 0, None)]
    assert store.register("circuit", changes) == [False, True, False, True]
    assert values(store) == {"m1": b"open", "m2": b"y"}


def test_an_entry_is_taken_out_by_who_knows_it(store):
    put(store)
    assert store.register("circuit", [Change("m1", 5, None)]) == [False]
    assert store.register("circuit", [Change("m1", version(store), None)]) == [True]
    assert store.registered("circuit") == {}


def test_no_version_is_given_twice(store, clock):
    """Not in one millisecond, nor after an entry was taken out: who read it long ago must not take it for his."""
    seen = set()
    for _ in range(3):
        assert put(store)
        seen.add(version(store))
        assert put(store, known=version(store))
        seen.add(version(store))
        store.register("circuit", [Change("m1", version(store), None)])
    clock.ms += 1
    put(store)
    assert len(seen | {version(store)}) == 7


def test_an_entry_ends(store, clock):
    put(store, "m1", ttl_ms=5_000)
    put(store, "m2", ttl_ms=10_000)
    known = version(store)
    clock.ms += 4_999
    assert set(values(store)) == {"m1", "m2"}
    clock.ms += 1
    assert set(values(store)) == {"m2"}
    assert not put(store, known=known)
    assert put(store)


def test_an_entry_lasts_from_its_last_change(store, clock):
    put(store, ttl_ms=5_000)
    clock.ms += 4_000
    assert put(store, known=version(store), ttl_ms=5_000)
    clock.ms += 4_000
    assert values(store) == {"m1": b"open"}


def test_what_has_ended_is_tidied_away_and_nothing_else(store, clock):
    put(store, "m1", ttl_ms=5_000)
    put(store, "m2", ttl_ms=10_000)
    clock.ms += 5_000
    store.tidy()
    assert values(store) == {"m2": b"open"}
    assert put(store, "m1")


def test_a_rebuild_leaves_registers_alone(empty_store):
    put(empty_store)
    make_whole(empty_store)
    assert values(empty_store) == {"m1": b"open"}


def test_no_change_at_all_is_no_mistake(store):
    assert store.register("circuit", []) == []


@pytest.mark.parametrize("kind", STORES)
async def test_of_several_at_once_one_wins(kind, clock, tmp_path, request):
    server = request.getfixturevalue("redis_server") if kind == "redis" else None
    opens, close = opener(kind, folder=tmp_path, clock=clock, server=server)
    stores = [opens() for _ in range(4)]
    won = []

    def claim(store, number):
        for turn in range(20):
            if put(store, f"m{turn}", f"{number}".encode()):
                won.append(turn)

    threads = [threading.Thread(target=claim, args=(store, number)) for number, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(20))
    assert all(isinstance(entry, Entry) for entry in stores[0].registered("circuit").values())
    await close()
