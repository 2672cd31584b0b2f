"""Long requests: what it costs to compose them grows with their length, not with its square."""

from providers.dialects.anthropic import messages
from providers.dialects.anthropic.messages import Turns
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
