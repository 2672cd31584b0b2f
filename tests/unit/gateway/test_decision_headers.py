"""What an answer's headers tell of the decision stays small, whatever a client sends."""

import msgspec
import pytest

from gateway.api.chat import decision_headers
from tests.unit.routing.test_decision import make
from tests.unit.routing.test_plan import candidate


def told(*warnings):
    headers = decision_headers(make(), candidate=candidate(), attempts=1, warnings=warnings)
    return headers.get("X-Gateway-Warnings")


def test_no_warning_is_no_header():
    assert told() is None


def test_a_few_warnings_are_told_whole():
    assert told("a is not sent", "b is not sent") == "a is not sent; b is not sent"


@pytest.mark.parametrize("count", [60, 5_000])
def test_of_many_the_first_are_told_and_the_others_counted(count):
    found = told(*(f"key_{number:04} is not sent" for number in range(count)))
    assert len(found) < 1_050
    parts = found.split("; ")
    assert parts[0] == "key_0000 is not sent"
    assert parts[-1] == f"and {count - len(parts) + 1} more"


def test_an_endless_one_is_cut():
    assert told("é" * 5_000) == "é" * 1_000
    assert told("x" * 5_000, "y").endswith("x; and 1 more")


def test_a_layer_lowered_for_a_budget_is_a_warning():
    lowered = msgspec.structs.replace(make(), warnings=("a budget is reached: no layer above L0",))
    headers = decision_headers(lowered, candidate=candidate(), attempts=1)
    assert headers["X-Gateway-Warnings"] == "a budget is reached: no layer above L0"
