"""How much Anthropic's models are asked to think, and when they must not."""

import pytest

from tests.unit.providers.anthropic.sending import CALL, HELLO, RESULT, refused, sent_fields, warnings

THOUGHT = {"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "anthropic-claude-v1"}
ADAPTIVE = {"thinking": {"type": "adaptive"}}
TOOL = {"type": "function", "function": {"name": "f"}}
OFF_IN_A_TOOL_TURN = "thinking is switched off: the conversation's last tool call came without its reasoning_details"


def enabled(tokens):
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def effort(level):
    return {"output_config": {"effort": level}}


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"reasoning_effort": "none"}, {}),
        ({"reasoning_effort": "minimal"}, ADAPTIVE | effort("low")),
        ({"reasoning_effort": "low"}, ADAPTIVE | effort("low")),
        ({"reasoning_effort": "medium"}, ADAPTIVE | effort("medium")),
        ({"reasoning_effort": "high"}, ADAPTIVE | effort("high")),
        ({"reasoning_effort": "xhigh"}, ADAPTIVE | effort("xhigh")),
        ({"reasoning_effort": "max"}, ADAPTIVE | effort("max")),
        ({"reasoning": {"effort": "high"}}, ADAPTIVE | effort("high")),
        ({"reasoning": {"effort": "none"}}, {}),
        ({"reasoning": {"enabled": True}}, ADAPTIVE),
        ({"reasoning": {"enabled": False, "effort": "high"}}, {}),
        ({"reasoning": {}}, {}),
        ({"reasoning": {"max_tokens": 2000}}, enabled(2000)),
        ({"reasoning": {"max_tokens": 2000, "effort": "high"}}, enabled(2000) | effort("high")),
        ({"reasoning": {"max_tokens": 9000}}, enabled(4095)),
        ({"reasoning_effort": "high", "output_config": {"effort": "low"}}, ADAPTIVE | effort("low")),
        (
            {"reasoning_effort": "high", "output_config": {"task_budget": {}}},
            ADAPTIVE | {"output_config": {"task_budget": {}, "effort": "high"}},
        ),
        ({"thinking": {"type": "adaptive", "display": "omitted"}},) * 2,
    ],
)
def test_a_model_that_takes_an_effort_is_told_it(fields, sent):
    assert sent_fields(fields) == sent
    assert warnings(fields) == ()


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"reasoning_effort": "none"}, {}),
        ({"reasoning_effort": "minimal", "max_tokens": 20_000}, enabled(2000)),
        ({"reasoning_effort": "low", "max_tokens": 20_000}, enabled(4000)),
        ({"reasoning_effort": "medium", "max_tokens": 20_000}, enabled(10_000)),
        ({"reasoning_effort": "high", "max_tokens": 20_000}, enabled(16_000)),
        ({"reasoning_effort": "xhigh", "max_tokens": 20_000}, enabled(19_000)),
        ({"reasoning_effort": "max", "max_tokens": 20_000}, enabled(19_000)),
        ({"reasoning_effort": "low", "max_tokens": 2000}, enabled(1024)),
        ({"reasoning_effort": "low", "max_tokens": 1025}, enabled(1024)),
        ({"reasoning": {"enabled": True}, "max_tokens": 20_000}, enabled(10_000)),
        ({"reasoning": {"max_tokens": 3000}, "max_tokens": 20_000}, enabled(3000)),
        ({"reasoning": {"max_tokens": 5}, "max_tokens": 20_000}, enabled(1024)),
        ({"reasoning": {"max_tokens": 50_000}, "max_tokens": 20_000}, enabled(19_999)),
    ],
)
def test_a_model_that_takes_a_budget_is_given_a_share_of_its_limit(fields, sent):
    found = sent_fields(fields, reasoning_control="budget")
    found.pop("max_tokens", None)
    assert found == sent
    assert warnings(fields, reasoning_control="budget") == ()


@pytest.mark.parametrize("limit", [1, 1024])
def test_a_limit_too_small_for_a_budget_switches_thinking_off(limit):
    body = {"reasoning_effort": "high", "max_tokens": limit}
    assert sent_fields(body, reasoning_control="budget") == {"max_tokens": limit}
    assert warnings(body, reasoning_control="budget") == ("thinking is switched off: it needs max_tokens above 1024",)


@pytest.mark.parametrize("fields", [{"reasoning_effort": "high"}, {"reasoning": {"effort": "high"}}])
def test_what_is_said_in_anthropics_words_wins(fields):
    assert sent_fields(fields | enabled(2000)) == enabled(2000)
    name = next(iter(fields))
    assert warnings(fields | enabled(2000)) == (f"{name} is not sent to Anthropic: thinking says it",)


def test_what_else_reasoning_says_is_left_out_with_a_warning():
    body = {"reasoning": {"effort": "low", "exclude": True}}
    assert sent_fields(body) == ADAPTIVE | effort("low")
    assert warnings(body) == ("reasoning.exclude is not sent to Anthropic",)


@pytest.mark.parametrize(
    ("sampling", "sent", "left_out"),
    [
        ({"temperature": 1, "top_p": 0.95}, {"temperature": 1, "top_p": 0.95}, []),
        ({"temperature": 0}, {}, ["temperature"]),
        ({"temperature": 0.5, "top_p": 0.5}, {}, ["temperature", "top_p"]),
    ],
)
def test_sampling_that_cannot_be_had_beside_thinking_is_left_out(sampling, sent, left_out):
    body = {"reasoning_effort": "low"} | sampling
    assert sent_fields(body) == ADAPTIVE | effort("low") | sent
    assert warnings(body) == tuple(f"{name} is not sent to Anthropic: the model is to think" for name in left_out)


class TestAmidToolCalls:
    CALLED = {"role": "assistant", "content": "So:", "tool_calls": [CALL]}
    THOUGHT_OF = CALLED | {"reasoning_details": [THOUGHT]}
    NATIVE = {
        "role": "assistant",
        "content": None,
        "tool_calls": [CALL],
        "native_content": [
            {"type": "redacted_thinking", "data": "x"},
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
        ],
    }

    def asked(self, *messages, **fields):
        body = {"messages": [*HELLO, *messages]} | fields
        found = sent_fields(body, reasoning_control="budget")
        return found.get("thinking"), warnings(body, reasoning_control="budget")

    @pytest.mark.parametrize("fields", [{"reasoning": {"max_tokens": 2000}}, enabled(2000)])
    @pytest.mark.parametrize("behind", [(RESULT,), (RESULT, RESULT), (RESULT, {"role": "system", "content": "Now."})])
    def test_thinking_is_switched_off_where_its_beginning_is_lost(self, fields, behind):
        assert self.asked(self.CALLED, *behind, **fields) == (None, (OFF_IN_A_TOOL_TURN,))

    def test_sampling_is_sent_where_it_is_switched_off(self):
        sampling = {"temperature": 0.2, "top_p": 0.5}
        body = {"messages": [*HELLO, self.CALLED, RESULT], "reasoning": {"max_tokens": 2000}} | sampling
        assert sent_fields(body).items() >= sampling.items()
        assert warnings(body) == (OFF_IN_A_TOOL_TURN,)

    @pytest.mark.parametrize(
        "messages",
        [
            (THOUGHT_OF, RESULT),
            (NATIVE, RESULT),
            (CALLED, RESULT, *HELLO),
            (CALLED, RESULT, {"role": "assistant", "content": "42"}, *HELLO),
            (CALLED, RESULT, THOUGHT_OF, RESULT),
            (),
        ],
    )
    def test_otherwise_it_stays_on(self, messages):
        assert self.asked(*messages, **enabled(2000)) == (enabled(2000)["thinking"], ())

    @pytest.mark.parametrize("thinking", [{"type": "adaptive"}, {"type": "disabled"}, 5])
    def test_only_a_fixed_budget_asks_for_it(self, thinking):
        assert self.asked(self.CALLED, RESULT, thinking=thinking) == (thinking, ())


class TestForcedTools:
    FORCED = ["required", {"type": "function", "function": {"name": "f"}}, {"type": "any"}]

    @pytest.mark.parametrize("choice", FORCED)
    @pytest.mark.parametrize("control", ["effort", "budget"])
    def test_a_forced_call_switches_derived_thinking_off(self, choice, control):
        body = {"reasoning_effort": "high", "tools": [TOOL], "tool_choice": choice}
        assert "thinking" not in sent_fields(body, reasoning_control=control)
        assert warnings(body, reasoning_control=control) == (
            "thinking is switched off: tool_choice forces a tool call",
        )

    def test_what_is_said_in_anthropics_words_is_the_vendors_to_judge(self):
        body = {"tools": [TOOL], "tool_choice": "required"} | enabled(2000)
        assert sent_fields(body)["thinking"] == enabled(2000)["thinking"]

    def test_a_free_choice_leaves_it_on(self):
        body = {"reasoning_effort": "high", "tools": [TOOL], "tool_choice": "auto", "messages": HELLO}
        assert sent_fields(body).items() >= ADAPTIVE.items()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"reasoning_effort": 5}, "reasoning_effort"),
        ({"reasoning_effort": []}, "reasoning_effort"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
        ({"reasoning": {"max_tokens": 0}}, "reasoning.max_tokens"),
        ({"reasoning": {"max_tokens": 1.5}}, "reasoning.max_tokens"),
        ({"reasoning": {"max_tokens": True}}, "reasoning.max_tokens"),
        ({"reasoning_effort": "low", "output_config": 5}, "output_config"),
    ],
)
def test_what_is_no_wish_is_refused(fields, param):
    assert refused(fields)[0] == param


def test_nothing_is_said_of_thinking_unasked():
    assert sent_fields({"messages": HELLO}) == {}
