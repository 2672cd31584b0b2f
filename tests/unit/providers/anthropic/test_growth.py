"""Long requests and answers: what they cost grows with their length, not with its square, and has its limits."""

import pytest

from providers.dialects.anthropic import messages, read_answer
from providers.dialects.anthropic.messages import Turns
from providers.dialects.anthropic.stream import EventReader
from providers.types import FailureKind, ProviderError
from tests.unit.providers.anthropic.events import answer, begin, delta, says, start, stop, text
from tests.unit.providers.anthropic.sending import TOLD, composed
from tests.unit.providers.growth import is_in_proportion

QUESTION = {"type": "text", "text": "Well?"}


def allowed_tools(count):
    tools = [{"type": "function", "function": {"name": f"f{number}"}} for number in range(count)]
    allowed = {"mode": "auto", "tools": tools}
    return {"tools": tools, "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}}


def system_amid(count):
    return [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be kind."}] * count


def test_many_allowed_tools_are_picked_in_proportion():
    assert is_in_proportion(composed, made=allowed_tools, size=1500)


def test_many_system_messages_are_moved_in_proportion():
    def apply(said):
        messages.apply({}, messages=said, inline_system=False, warnings=[])

    assert is_in_proportion(apply, made=system_amid, size=8000)


def test_many_results_amid_questions_are_placed_in_proportion():
    def ask(times):
        turns = Turns()
        for _ in range(times):
            turns.ask([QUESTION, TOLD])

    assert is_in_proportion(ask, made=int, size=20_000)


class TestMoreBlocksThanAnyAnswerHas:
    EMPTY = begin(0, text("")) + stop(0)

    @pytest.mark.parametrize(
        ("first", "kind"),
        [
            (start(), FailureKind.BAD_ANSWER),
            (start() + begin(0, text("")) + delta(0, **says("Hi")), FailureKind.BROKEN_STREAM),
        ],
    )
    def test_end_a_stream(self, first, kind):
        reader = EventReader(keep_usage=False)
        reader.feed(first)
        with pytest.raises(ProviderError, match="more than 10000 blocks") as caught:
            for _ in range(101):
                reader.feed(self.EMPTY * 100)
        assert caught.value.kind is kind

    def test_are_no_answer(self):
        assert read_answer(answer(*[text("Hi")] * 10_000)).finish_reason == "stop"
        with pytest.raises(ProviderError, match="more than 10000 blocks") as caught:
            read_answer(answer(*[text("Hi")] * 10_001))
        assert caught.value.kind is FailureKind.BAD_ANSWER
