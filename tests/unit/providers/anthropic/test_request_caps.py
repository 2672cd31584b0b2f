"""What a budget's cap on an answer's length makes of a request to Anthropic, thinking included."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import bodies
from providers.dialects import anthropic
from tests.unit.providers.anthropic.sending import HELLO, SAID_HELLO, claude

OFF = "thinking is switched off: it needs more than the {} tokens that the budget leaves for the answer"


def capped(fields, *, cap_tokens, **row):
    """What goes out beyond model and messages, and the warnings."""
    request = bodies.chat_request(msgspec.json.encode({"model": "auto", "messages": HELLO} | fields))
    found = anthropic.compose(request, model=claude(**row), cap_tokens=cap_tokens)
    body = msgspec.json.decode(found.body)
    assert (body.pop("model"), body.pop("messages")) == ("claude-5", SAID_HELLO)
    return body, found.warnings


def enabled(tokens, **others):
    return {"thinking": {"type": "enabled", "budget_tokens": tokens} | others}


def allowing(tokens):
    return {"max_tokens": tokens}


class TestTheLimit:
    @pytest.mark.parametrize(
        ("fields", "row", "limit"),
        [
            ({}, None, 60),
            ({}, 50, 50),
            ({}, 70, 60),
            ({"max_tokens": 50}, 70, 50),
            ({"max_tokens": 70}, None, 60),
            ({"max_completion_tokens": 70}, None, 60),
            ({"max_tokens": 50, "max_completion_tokens": 70}, None, 60),
            ({"max_tokens": None}, None, 60),
        ],
    )
    def test_is_lowered_to_the_cap_and_never_raised(self, fields, row, limit):
        assert capped(fields, cap_tokens=60, max_output_tokens=row) == (allowing(limit), ())

    def test_no_cap_changes_nothing(self):
        fields = {"max_tokens": 9000, "reasoning_effort": "high"} | enabled(8000)
        assert capped(fields, cap_tokens=None) == capped(fields, cap_tokens=9000)

    def test_what_the_providers_row_adds_is_fitted_as_well(self):
        found, warnings = capped({}, cap_tokens=2000, extra_body=enabled(3000))
        assert found == allowing(2000) | enabled(1999)
        assert len(warnings) == 1


class TestThinkingInTheClientsWords:
    def test_a_budget_below_the_cap_stays(self):
        assert capped(enabled(2000), cap_tokens=2001) == (allowing(2001) | enabled(2000), ())

    @pytest.mark.parametrize("cap", [1025, 1999, 2000])
    def test_a_budget_that_fits_no_longer_is_lowered(self, cap):
        found, warnings = capped(enabled(2000, display="omitted"), cap_tokens=cap)
        assert found == allowing(cap) | enabled(cap - 1, display="omitted")
        assert warnings == (f"thinking.budget_tokens is lowered to {cap - 1}: the budget leaves {cap} for the answer",)

    @pytest.mark.parametrize("cap", [1, 1024])
    def test_thinking_is_switched_off_where_less_than_the_least_is_left(self, cap):
        assert capped(enabled(2000), cap_tokens=cap) == (allowing(cap), (OFF.format(cap),))

    def test_what_stands_beside_a_budget_keeps_its_bytes(self):
        fields = b'"thinking":{"type":"enabled","budget_tokens":2000,"x":{ "a":1.0 }}'
        request = bodies.chat_request(b'{"model":"auto","messages":[{"role":"user","content":"Hi"}],' + fields + b"}")
        assert b'"x":{ "a":1.0 }' in anthropic.compose(request, model=claude(), cap_tokens=1500).body

    @pytest.mark.parametrize("thinking", [{"type": "adaptive"}, {"type": "disabled"}, {"type": "enabled"}, "odd"])
    def test_what_has_no_budget_stays(self, thinking):
        fields = {"thinking": thinking}
        assert capped(fields, cap_tokens=60) == (allowing(60) | fields, ())

    def test_a_budget_that_was_too_large_before_is_the_vendors_to_judge(self):
        """With thinking between tool calls it may be larger than one answer."""
        fields = {"max_tokens": 2000} | enabled(5000)
        assert capped(fields, cap_tokens=1500) == (allowing(1500) | enabled(5000), ())


class TestThinkingInOpenAIsWords:
    def test_an_effort_is_a_share_of_the_cap(self):
        found = capped(
            {"reasoning_effort": "medium", "max_tokens": 20_000}, cap_tokens=6000, reasoning_control="budget"
        )
        assert found == (allowing(6000) | enabled(3000), ())

    def test_a_wish_in_tokens_stays_below_the_cap(self):
        found = capped({"reasoning": {"max_tokens": 3000}}, cap_tokens=2000, reasoning_control="budget")
        assert found == (allowing(2000) | enabled(1999), ())

    def test_a_cap_too_small_for_a_budget_switches_thinking_off(self):
        found, warnings = capped({"reasoning_effort": "high"}, cap_tokens=1024, reasoning_control="budget")
        assert found == allowing(1024)
        assert warnings == ("thinking is switched off: it needs max_tokens above 1024",)


@given(cap=st.integers(1, 6000), own=st.none() | st.integers(1, 6000), budget=st.integers(1024, 5000))
def test_a_request_that_the_vendor_took_is_still_one(cap, own, budget):
    own_limit = own or 4096
    found, _ = capped(({"max_tokens": own} if own else {}) | enabled(budget), cap_tokens=cap)
    assert found["max_tokens"] == min(own_limit, cap)
    if budget < own_limit and "thinking" in found:
        assert 1024 <= found["thinking"]["budget_tokens"] < found["max_tokens"]
