"""Which tools a message calls, and with what arguments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.upstream.exchange import Asked, Tool
from tests.upstream.tool_calls import calls_for


def tool(name: str, **properties: Any) -> Tool:
    return Tool(name=name, schema={"type": "object", "properties": properties})


INTEGER, NUMBER, STRING = {"type": "integer"}, {"type": "number"}, {"type": "string"}
MAGIC = tool("magic_function", input=INTEGER)
NO_ARGUMENTS = tool("magic_function_no_args")
ADD = tool("add", a=NUMBER, b=NUMBER)
WEATHER = tool("getWeather", location=STRING)
CUSTOMER = tool("unicode_customer", customer_name=STRING, description=STRING)
MOVE = tool("move", origin=STRING, destination=STRING)
ALL = (MAGIC, NO_ARGUMENTS, ADD, WEATHER, CUSTOMER, MOVE)


def called(message: str, **options: Any) -> list[tuple[str, Any]]:
    asked = Asked(model="m", message=message, **({"tools": ALL} | options))
    return [(call.name, call.arguments) for call in calls_for(asked)]


class TestWhich:
    def test_a_name_in_the_message_is_a_call(self) -> None:
        assert called("What is the value of magic_function(3)?") == [("magic_function", {"input": 3})]

    def test_a_longer_name_is_another_tool(self) -> None:
        assert called("What is the value of magic_function_no_args()?") == [("magic_function_no_args", {})]

    def test_the_telling_words_of_a_name_are_enough(self) -> None:
        assert called("What is the weather in 'Bern'?") == [("getWeather", {"location": "Bern"})]

    def test_two_argument_names_are_enough(self) -> None:
        assert called("From origin 'A' to destination 'B', please") == [("move", {"origin": "A", "destination": "B"})]

    def test_another_message_calls_none(self) -> None:
        assert called("Hello, where is the destination?") == []

    def test_several_names_are_several_calls_in_their_order(self) -> None:
        message = "Use add with 1.5 and 2, then magic_function on 7"
        assert called(message) == [("add", {"a": 1.5, "b": 2}), ("magic_function", {"input": 7})]
        assert called(message, parallel_calls=False) == [("add", {"a": 1.5, "b": 2})]

    def test_the_script_line_of_a_message_does_not_call(self) -> None:
        assert called("#!cached=3;content=add\nHello") == []

    def test_where_one_must_be_called_it_is_the_first_or_the_one_asked_for(self) -> None:
        assert called("Hello", must_call=True) == [("magic_function", {"input": 1})]
        assert called("add 1 to 2", must_call=True) == [("add", {"a": 1, "b": 2})]

    def test_where_the_user_asks_nothing_new_nothing_is_called_unless_it_must_be(self) -> None:
        assert called("add 1 to 2", user_asks=False) == []
        assert called("add 1 to 2", user_asks=False, must_call=True) == [("add", {"a": 1, "b": 2})]

    def test_a_script_calls_what_it_names_offered_or_not(self) -> None:
        asked = Asked(model="m", message="Take 4", tools=(MAGIC,))
        assert [call.arguments for call in calls_for(asked, tool="magic_function")] == [{"input": 4}]
        assert [call.arguments for call in calls_for(replace(asked, tools=()), tool="other")] == [{}]


class TestArguments:
    @pytest.mark.parametrize("quoted", ["'你好啊集团'", '"你好啊集团"', "“你好啊集团”", "`你好啊集团`"])
    def test_quoted_strings_fill_strings(self, quoted: str) -> None:
        message = f"It's Tom's wish: unicode_customer named {quoted} (Hello Group)"
        assert called(message) == [("unicode_customer", {"customer_name": "你好啊集团", "description": "text"})]

    def test_values_before_the_name_count_where_none_follow(self) -> None:
        assert called("What is -2 plus 3? Use add.") == [("add", {"a": -2, "b": 3})]

    def test_numbers_inside_words_and_quotes_are_none(self) -> None:
        assert called("add L2 and 'room 9' and 3.") == [("add", {"a": 3, "b": 1})]
