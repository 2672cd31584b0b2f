"""Every fault, in each mode, alone and beside a healthy model: what the client sees, the row, what the providers saw.

What has to come of each is worked out in `cases`, from DESIGN's failure table, and never from what the gateway does.
"""

from __future__ import annotations

import pytest

from routing.circuit import JITTER, RELOOK_S
from tests.faults import catalog, report
from tests.faults.asking import Circuit, Outcome, Run
from tests.faults.cases import CASES, DEADLINE_S, Beside, Case, expected
from tests.faults.table import Fault, Health, Mode, Row, Where
from tests.upstream.log import Ending

pytestmark = pytest.mark.process


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def outcome(case: Case, whole_run: Run) -> Outcome:
    return whole_run.outcomes[case.name]


def test_a_case(case: Case, outcome: Outcome) -> None:
    assert_told(case, outcome)
    assert_recorded(case, outcome)
    assert_called(case, outcome)
    assert_circuits(case, outcome)


def assert_told(case: Case, outcome: Outcome) -> None:
    """The client."""
    wanted, got = expected(case), outcome.got
    assert (got.status, got.text, got.is_done) == (wanted.status, wanted.text, wanted.is_whole), got
    assert got.error.get("code") == wanted.code, got.error
    assert bool(got.error) == (wanted.outcome == "error")
    assert got.headers["X-Gateway-Attempts"] == str(len(wanted.kinds))
    told_s = int(got.headers["Retry-After"]) if "Retry-After" in got.headers else None
    assert told_s == wanted.retry_after_s
    if wanted.is_whole:
        assert got.finish_reason == "stop"
    else:
        assert [step["outcome"] for step in got.error["gateway"]["trail"]] == list(wanted.kinds)
        assert got.error["gateway"]["request_id"] == got.headers["X-Gateway-Request-Id"]


def assert_recorded(case: Case, outcome: Outcome) -> None:
    """The ledger."""
    wanted = expected(case)
    [row] = outcome.rows
    assert (row.outcome, row.status, row.error_kind) == (wanted.outcome, wanted.status, wanted.error_kind), row.trail
    assert (row.attempts, [step["outcome"] for step in row.trail]) == (len(wanted.kinds), list(wanted.kinds)), row.trail
    models = [case.model] * wanted.calls + [case.healthy_model] * wanted.healthy_calls
    assert [step["model"] for step in row.trail] == models
    assert (row.model, row.is_stream) == (models[-1], case.mode is Mode.SSE)
    assert sum(step.get("malformed", 0) for step in row.trail) == case.fault.malformed


def assert_called(case: Case, outcome: Outcome) -> None:
    """The providers."""
    wanted, fault = expected(case), case.fault
    is_server = fault.where in (Where.UPSTREAM, Where.CUTTING)
    assert len(outcome.healthy_calls) == wanted.healthy_calls
    if fault.is_hasty and is_server:  # one given up before a busy machine's provider came to read it is not in its log
        assert 1 <= len(outcome.calls) <= wanted.calls
    else:
        assert len(outcome.calls) == (wanted.calls if is_server else 0)
    ending = Ending.CLIENT_LEFT if fault.is_given_up else Ending.CUT if fault.is_cut else Ending.FINISHED
    assert {call.answer.how if call.answer else None for call in outcome.calls} <= {ending}
    assert {call.is_finished for call in outcome.healthy_calls} <= {True}


def assert_circuits(case: Case, outcome: Outcome) -> None:
    """What it says of the models' health."""
    closed, fault = Circuit("closed", None, None), case.fault
    assert outcome.healthy_circuit in (None, closed)
    if (least_s := _held_at_least_s(fault)) is None:
        assert outcome.circuit == closed
    else:
        held_s = outcome.circuit.held_s
        assert (outcome.circuit.state, outcome.circuit.cause) == ("open", fault.kind)
        assert held_s is not None
        assert least_s <= held_s <= least_s / (1 - JITTER) + DEADLINE_S  # from its first failure, until after its last


def _held_at_least_s(fault: Fault) -> float | None:
    """How long its model is left alone; None: not at all."""
    health = fault.meaning.against_health
    if health is Health.NO:
        return None
    if health is Health.UNTIL_MENDED:
        return RELOOK_S
    return fault.waits_s or catalog.OPEN_S * (1 - JITTER)


def test_a_wait_that_was_asked_for_is_kept(whole_run: Run) -> None:
    for mode in Mode:
        first, second = whole_run.outcomes[f"429-soon_{mode}_alone"].calls
        assert 1.0 <= second.at - first.at < 3.0


def test_nothing_is_left_open(whole_run: Run) -> None:
    """Descriptors, tasks of the event loop and connections to providers are as many as before, after every block, and
    after one of clients that left."""
    assert whole_run.left_over == []


def test_who_leaves_has_a_row(whole_run: Run) -> None:
    """Where a healthy model stands beside, its answer may be on its way just as the client leaves."""
    alone = {case.name for case in CASES if case.beside is Beside.NOTHING and case.fault.is_hasty}
    assert len(alone & whole_run.left_early.keys()) >= 6
    for name, rows in whole_run.left_early.items():
        [row] = rows
        assert (row.outcome, row.status) == ("cancelled", 499) or (name not in alone and row.outcome == "ok"), name


def test_every_row_of_the_table_is_met() -> None:
    assert {case.fault.row for case in CASES} == set(Row)
    assert len({case.name for case in CASES}) == len(CASES) > 180


def test_the_page_tells_what_this_run_found(whole_run: Run) -> None:
    """`python -m tests.faults --write` writes it anew."""
    assert report.committed(report.PAGE.read_text()) == report.table(whole_run)
