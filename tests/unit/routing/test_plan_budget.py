"""What a budget near its end, or one that degrades, does to a plan. Plain values, no counters."""

from dataclasses import replace
from decimal import Decimal

import pytest

from routing import plan
from routing.types import DropReason, Live, Need, Score
from tests.unit.routing.test_plan import ANYONE, LAYER_NAMES, NOW, POLICY, candidate, snapshot

HELLO = {"prompt": "hello", "input_tokens": 9}
LADDER = [candidate(name.lower(), name, usd=usd) for name, usd in zip(LAYER_NAMES, ("0", "0.1", "1", "9"), strict=True)]


def decide(*candidates, left=None, ceiling=None, caller=ANYONE, layers=LAYER_NAMES, **need):
    live = Live(now=NOW.timestamp(), left_usd=None if left is None else Decimal(left), ceiling=ceiling)
    return plan.decide(
        Need(**(HELLO | need)),
        score=Score(0.9),
        snapshot=snapshot(*(candidates or LADDER), layers=layers),
        caller=caller,
        live=live,
        policy=POLICY,
        draw=0.0,
    )


def names(planned):
    return [one.model.name for one in planned.attempts]


def reasons(planned):
    return {dropped.candidate.model.name: dropped.reason for dropped in planned.dropped}


class TestLeft:
    @pytest.mark.parametrize(
        ("left", "tried"),
        [
            (None, ["l0", "l1", "l2", "l3"]),
            ("90", ["l0", "l1", "l2", "l3"]),
            ("89.9", ["l0", "l1", "l2"]),
            ("1", ["l0", "l1"]),
            ("0", ["l0"]),
        ],
    )
    def test_models_whose_shortest_answer_costs_more_are_dropped(self, left, tried):
        planned = decide(left=left, enter="L0")
        assert names(planned) == tried
        assert set(reasons(planned).values()) <= {DropReason.OVER_BUDGET}

    def test_they_are_dropped_when_asked_for_by_name_too(self):
        assert reasons(decide(left="1", models=("l2",))) == {"l2": DropReason.OVER_BUDGET}

    def test_several_answers_cost_as_often(self):
        assert names(decide(left="1", enter="L1", fenced=True)) == ["l1"]
        assert names(decide(left="1", enter="L1", fenced=True, answers=5)) == []


class TestCeiling:
    def test_lowers_a_higher_entry(self):
        planned = decide(ceiling="L1", enter="L3")
        assert (names(planned), planned.entry) == (["l1"], "L1")
        assert planned.entry_reason == "asked for by the caller, lowered to what the budget allows"

    def test_leaves_a_lower_entry_and_goes_up_no_further(self):
        planned = decide(ceiling="L1", enter="L0")
        assert (names(planned), planned.entry) == (["l0", "l1"], "L0")
        assert reasons(planned) == {"l2": DropReason.DEGRADED, "l3": DropReason.DEGRADED}

    def test_holds_for_a_model_asked_for_by_name(self):
        planned = decide(ceiling="L1", models=("l3",))
        assert (names(planned), planned.entry) == (["l1"], "L1")

    def test_leaves_nothing_to_a_fence_above_it(self):
        planned = decide(ceiling="L1", enter="L3", fenced=True)
        assert (names(planned), reasons(planned)["l3"]) == ([], DropReason.DEGRADED)

    @pytest.mark.parametrize("need", [{}, {"models": ("l0",)}, {"enter": "L0"}])
    def test_that_is_no_layer_lets_nothing_through(self, need):
        planned = decide(ceiling="gone", **need)
        assert names(planned) == []
        assert set(reasons(planned).values()) == {DropReason.DEGRADED}

    def test_does_not_open_a_layer_to_a_key_that_may_not_use_it(self):
        only_high = replace(ANYONE, allowed_layers=("L3",))
        assert names(decide(ceiling="L1", models=("l3",), caller=only_high)) == []


def test_worst_cost_is_of_answers_as_long_as_they_may_get():
    asked = candidate(usd="1", max_output_tokens=50).model
    need = Need(**HELLO, answers=3)
    assert plan.worst_cost(asked, need=need, at=NOW.timestamp()) == 9 + 3 * 50
    assert plan.worst_cost(asked, need=need, at=NOW.timestamp(), answer_tokens=7) == 9 + 3 * 7


@pytest.mark.parametrize(("said", "models", "longest"), [(20, 50, 20), (None, 50, 50), (None, None, 4096)])
def test_the_longest_answer_is_by_the_requests_word_else_the_models(said, models, longest):
    asked = candidate(max_output_tokens=models).model
    assert plan.longest_answer(asked, need=Need(**HELLO, max_output_tokens=said)) == longest
