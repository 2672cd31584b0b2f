"""Who of several equals is tried first: by session, by draw, by the calls under way. Plain values."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing import balancing
from tests.unit.routing.test_plan import candidate

SESSIONS = [f"chat-{number}" for number in range(4000)]


def order(*candidates, draw=0.0, session="", busy=None):
    """`busy`: calls under way by a model's name."""
    outstanding = {one.model.id: busy[one.model.name] for one in candidates if busy and one.model.name in busy}
    return balancing.in_order(balancing.ranked(candidates), draw=draw, session=session, outstanding=outstanding)


def names(*candidates, **options):
    return [one.model.name for one in order(*candidates, **options)]


def draws(seed=7, many=8000):
    random = Random(seed)  # noqa: S311 - a fixed seed, no secret
    return [random.random() for _ in range(many)]


def shares(firsts):
    found = Counter(firsts)
    return {name: number / found.total() for name, number in found.items()}


class TestPlaces:
    """Who is equal to whom, and where equals stand."""

    def test_priority_comes_before_cost_and_cost_before_weight(self):
        dear = candidate("dear", cost=9)
        ladder = [candidate("later", priority=1, cost=0), dear, candidate("cheap", cost=1, weight=0.001)]
        for draw in (0.0, 0.5, 0.99):
            assert names(*ladder, draw=draw) == ["cheap", "dear", "later"]

    def test_a_weight_does_not_lift_a_model_over_its_priority(self):
        candidates = [candidate("first"), *(candidate(f"w{n}", priority=1, weight=100.0) for n in range(2))]
        for draw in (0.0, 0.5, 0.99):
            assert names(*candidates, draw=draw)[0] == "first"

    def test_one_weight_alone_changes_nothing_where_costs_differ(self):
        candidates = [candidate("a", cost=1), candidate("b", cost=2, weight=100.0), candidate("c", cost=3)]
        assert names(*candidates, draw=0.9) == ["a", "b", "c"]

    def test_the_weighted_ones_stand_where_the_cheapest_of_them_stood(self):
        a, b = candidate("a", cost=1), candidate("b", cost=3)
        w1, w2 = candidate("w1", cost=2, weight=1.0), candidate("w2", cost=4, weight=1.0)
        assert names(a, w1, b, w2, draw=0.0) == ["a", "w1", "w2", "b"]
        assert names(a, w1, b, w2, draw=0.9) == ["a", "w2", "w1", "b"]

    def test_models_without_a_price_are_equals_too(self):
        candidates = [candidate(name, cost="Infinity") for name in "ab"]
        assert {names(*candidates, draw=draw)[0] for draw in (0.1, 0.9)} == {"a", "b"}

    @given(
        st.lists(st.tuples(st.none() | st.floats(0.001, 1000), st.integers(0, 2)), min_size=1, max_size=6),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["", "chat-1"]),
        st.integers(0, 3),
    )
    def test_whatever_is_drawn_each_model_is_tried_once(self, rows, draw, session, calls):
        candidates = [candidate(f"m{number}", weight=weight, cost=cost) for number, (weight, cost) in enumerate(rows)]
        found = order(*candidates, draw=draw, session=session, busy={"m0": calls})
        assert Counter(one.model.id for one in found) == Counter(one.model.id for one in candidates)


class TestDrawn:
    @pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0), (5.0, 3.0, 2.0), (0.001, 1.0)])
    def test_weights_are_shares_of_the_first_place(self, weights):
        candidates = [candidate(f"w{number}", weight=weight) for number, weight in enumerate(weights)]
        first = Counter(names(*candidates, draw=step / 2000)[0] for step in range(2000))
        for number, weight in enumerate(weights):
            assert first[f"w{number}"] / 2000 == pytest.approx(weight / sum(weights), abs=0.002)

    def test_requests_drawn_at_random_are_shared_by_weight(self):
        candidates = [candidate(name, weight=weight) for name, weight in (("a", 6.0), ("b", 3.0), ("c", 1.0))]
        found = shares(names(*candidates, draw=draw)[0] for draw in draws())
        assert found == pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1}, abs=0.02)

    def test_without_weights_equals_share_equally(self):
        candidates = [candidate(name) for name in "abcd"]
        found = shares(names(*candidates, draw=draw)[0] for draw in draws())
        assert found == pytest.approx(dict.fromkeys("abcd", 0.25), abs=0.02)

    def test_a_missing_weight_counts_as_one(self):
        candidates = [candidate("plain"), candidate("w", weight=3.0)]
        found = shares(names(*candidates, draw=draw)[0] for draw in draws())
        assert found["w"] == pytest.approx(0.75, abs=0.02)

    def test_when_the_first_fails_the_others_share_by_weight_too(self):
        candidates = [candidate("a", weight=6.0), candidate("b", weight=3.0), candidate("c", weight=1.0)]
        orders = [names(*candidates, draw=draw) for draw in draws()]
        found = shares(each[1] for each in orders if each[0] == "a")
        assert found["b"] == pytest.approx(3 / 4, abs=0.02)


class TestSessions:
    def test_a_session_goes_to_the_same_model_whatever_is_drawn_and_however_busy_it_is(self):
        candidates = [candidate(name) for name in "abc"]
        first = names(*candidates, session="chat-42")[0]
        for draw in (0.0, 0.3, 0.99):
            assert names(*candidates, session="chat-42", draw=draw, busy={first: 50})[0] == first

    def test_it_does_in_every_process_and_in_whatever_order_the_models_stand(self):
        a, b, c = (candidate(name) for name in "abc")
        assert names(a, b, c, session="chat-42") == names(c, a, b, session="chat-42") == ["c", "a", "b"]

    def test_sessions_spread_equally(self):
        candidates = [candidate(name) for name in "abcd"]
        found = shares(names(*candidates, session=session)[0] for session in SESSIONS)
        assert found == pytest.approx(dict.fromkeys("abcd", 0.25), abs=0.03)

    def test_they_spread_by_weight(self):
        candidates = [candidate(name, weight=weight) for name, weight in (("a", 6.0), ("b", 3.0), ("c", 1.0))]
        orders = [names(*candidates, session=session) for session in SESSIONS]
        assert shares(each[0] for each in orders) == pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1}, abs=0.03)
        assert shares(each[1] for each in orders if each[0] == "a")["b"] == pytest.approx(3 / 4, abs=0.04)

    def test_a_model_that_leaves_moves_only_its_own_sessions_and_those_by_weight(self):
        candidates = {name: candidate(name, weight=weight) for name, weight in (("a", 2.0), ("b", 2.0), ("c", 1.0))}
        before = {session: names(*candidates.values(), session=session)[0] for session in SESSIONS}
        del candidates["a"]
        after = {session: names(*candidates.values(), session=session)[0] for session in SESSIONS}
        assert {before[session] for session in SESSIONS if before[session] != after[session]} == {"a"}
        moved = shares(after[session] for session in SESSIONS if before[session] == "a")
        assert moved == pytest.approx({"b": 2 / 3, "c": 1 / 3}, abs=0.04)

    def test_a_model_that_comes_takes_only_what_is_its_share(self):
        a, b, c = (candidate(name) for name in "abc")
        moved = [after for s in SESSIONS if (after := names(a, b, c, session=s)[0]) != names(a, b, session=s)[0]]
        assert set(moved) == {"c"}
        assert len(moved) / len(SESSIONS) == pytest.approx(1 / 3, abs=0.03)


class TestLeastOutstanding:
    def test_the_one_with_the_fewest_calls_under_way_comes_first(self):
        a, b, c = (candidate(name) for name in "abc")
        for draw in (0.0, 0.5, 0.99):
            assert names(a, b, c, draw=draw, busy={"a": 2, "c": 1}) == ["b", "c", "a"]

    def test_ties_are_drawn_by_weight(self):
        a, b, c = candidate("a", weight=3.0), candidate("b", weight=1.0), candidate("c", weight=1.0)
        found = shares(names(a, b, c, draw=draw, busy={"c": 1})[0] for draw in draws())
        assert found == pytest.approx({"a": 0.75, "b": 0.25}, abs=0.02)

    def test_weights_divide_the_count(self):
        big, small = candidate("big", weight=4.0), candidate("small", weight=1.0)
        assert names(big, small, busy={"big": 3, "small": 1}, draw=0.99) == ["big", "small"]
        assert names(big, small, busy={"big": 5, "small": 1}, draw=0.0) == ["small", "big"]

    def test_it_orders_equals_alone(self):
        cheap, dear = candidate("cheap", cost=1), candidate("dear", cost=2)
        assert names(cheap, dear, busy={"cheap": 100}) == ["cheap", "dear"]

    def test_calls_that_never_end_share_by_weight(self):
        a, b = candidate("a", weight=3.0), candidate("b", weight=1.0)
        busy = Counter()
        for draw in draws(many=400):
            busy[names(a, b, draw=draw, busy=busy)[0]] += 1
        assert busy["a"] == pytest.approx(300, abs=2)
