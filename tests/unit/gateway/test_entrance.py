"""How many requests and bytes of bodies are let in; that they are turned away over sockets, the process tests show."""

import resource

import pytest

from gateway import entrance
from gateway.asgi import short_way
from gateway.entrance import Entrance, Visit, most_at_once


def test_as_many_are_let_in_as_there_may_be_and_a_place_is_free_however_one_ends():
    door = Entrance(most=2, most_bytes=100)
    with Visit(door) as first, Visit(door) as second:
        with Visit(door) as third:
            assert [one.is_admitted for one in (first, second, third)] == [True, True, False]
        assert door.in_flight == 2
    with pytest.raises(LookupError), Visit(door) as broken:
        assert broken.is_admitted
        raise LookupError
    assert door.in_flight == 0


def test_bytes_are_held_until_their_request_ends():
    door = Entrance(most=9, most_bytes=100)
    with Visit(door) as first:
        assert [first.hold(60), first.hold(40)] == [True, True]
        with Visit(door) as second:
            assert (second.has_room(1), second.hold(1), second.hold(0)) == (False, False, True)
        assert door.held_bytes == 100
    assert door.held_bytes == 0


def test_who_is_turned_away_is_counted():
    door = Entrance(most=0, most_bytes=0)
    with Visit(door) as visit:
        assert visit.turn_away().status_code == 503
    assert (door.turned_away, door.in_flight) == (1, 0)


@pytest.mark.parametrize(
    ("descriptors", "most"),
    [(65_536, 10_000), (10_256, 5_000), (1_024, 384), (100, 1), (resource.RLIM_INFINITY, 10_000)],
)
def test_no_more_than_the_process_has_descriptors_for(monkeypatch, descriptors, most):
    monkeypatch.setattr(entrance.resource, "getrlimit", lambda which: (descriptors, descriptors))
    assert most_at_once(10_000) == most


def test_the_gateways_own_has_room_for_any_body(settings):
    assert short_way.entrance.most_bytes >= settings.MAX_BODY_BYTES
