"""Models that are out of order are planned around, and tried as a last resort. Plain values."""

from analytics import ids
from routing import decision, plan
from routing.circuit import Circuit, State
from routing.types import Bounds, DropReason, Live, Need, Score
from tests.unit.routing.test_plan import ANYONE, NOW, POLICY, candidate, dropped, snapshot, tried

AT = NOW.timestamp()
A, B, C = candidate("a", "L0", priority=0), candidate("b", "L0", priority=1), candidate("c", "L1")


def out(for_s=5.0, state=State.OPEN, cause="timeout"):
    return Circuit("print", state, since=AT - 1, until=AT + for_s, cause=cause)


def decide(*circuits, candidates=(A, B, C), **need):
    return plan.decide(
        Need(prompt="Hello", **need),
        score=Score(0.0),
        snapshot=snapshot(*candidates),
        caller=ANYONE,
        live=Live(now=AT, circuits={one.model.id: circuit for one, circuit in circuits}),
        policy=POLICY,
        draw=0.0,
    )


def test_a_model_that_is_out_is_dropped_and_the_plan_says_why_and_until_when():
    planned = decide((A, out()))
    assert tried(planned) == ["b", "c"]
    [gone] = planned.dropped
    assert (gone.reason, gone.detail) == (DropReason.CIRCUIT_OPEN, "timeout, until 00:00:05 UTC")


def test_so_is_one_that_another_request_tries():
    planned = decide((A, out(state=State.HALF_OPEN)))
    assert (tried(planned), planned.is_last_resort) == (["b", "c"], False)


def test_one_that_is_due_keeps_its_place():
    assert tried(decide((A, out(0.0)))) == ["a", "b", "c"]
    assert tried(decide((A, out(-1.0, state=State.HALF_OPEN)))) == ["a", "b", "c"]


def test_a_whole_layer_that_is_out_leads_to_the_next():
    assert tried(decide((A, out()), (B, out()))) == ["c"]


def test_with_nothing_left_the_one_that_is_due_first_is_tried_once():
    planned = decide((A, out(9.0)), (B, out(3.0)), (C, out(4.0)))
    assert (tried(planned), planned.is_last_resort) == (["b"], True)
    assert dropped(planned) == {"a": DropReason.CIRCUIT_OPEN, "c": DropReason.CIRCUIT_OPEN}


def test_of_several_that_are_due_at_once_the_usual_order_decides():
    assert tried(decide((A, out()), (B, out()), (C, out()))) == ["a"]


def test_what_cannot_be_used_for_another_reason_is_no_resort():
    small = candidate("small", "L0", max_output_tokens=10)
    planned = decide((small, out(1.0)), (A, out(9.0)), candidates=(small, A), max_output_tokens=100)
    assert tried(planned) == ["a"]
    planned = decide((small, out(1.0)), candidates=(small,), max_output_tokens=100)
    assert (tried(planned), planned.is_last_resort) == ([], False)


def test_a_model_asked_for_by_name_is_tried_though_it_is_out():
    planned = decide((A, out()), models=("a",))
    assert (tried(planned), planned.is_last_resort) == (["a"], True)


def test_the_ledger_keeps_what_was_known():
    request_id = ids.new()
    live = Live(now=AT, circuits={A.model.id: out(), 999_999: out()})
    planned = decide((A, out()))
    made = decision.Decision(
        request_id, NOW, Need(prompt=""), Score(0.0), planned, live, version="1", warnings=(), bounds=Bounds(6, 600.0)
    )
    kept = decision.stored(made)
    assert b'"circuits":{"acme/a":["open",%d.0,"timeout"]},"is_last_resort":false' % (AT + 5) in bytes(kept)


def test_the_ledger_says_nothing_of_circuits_while_all_are_closed():
    made = decision.Decision(
        ids.new(),
        NOW,
        Need(prompt=""),
        Score(0.0),
        decide(),
        Live(now=AT),
        version="1",
        warnings=(),
        bounds=Bounds(6, 600.0),
    )
    assert b"circuits" not in bytes(decision.stored(made))
