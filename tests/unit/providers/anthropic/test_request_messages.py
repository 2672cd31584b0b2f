"""Who said what, and in which order, when a conversation goes to Anthropic."""

import pytest

from tests.unit.providers.anthropic.sending import (
    CALL,
    HELLO,
    RESULT,
    SAID_HELLO,
    TOLD,
    USE,
    refused,
    sent,
    sent_messages,
    warnings,
)

KIND = {"role": "system", "content": "Be kind."}
BRIEF = {"role": "developer", "content": "Be brief."}
CACHE = {"cache_control": {"type": "ephemeral"}}


def text(words, **more):
    return {"type": "text", "text": words} | more


class TestSystem:
    @pytest.mark.parametrize(
        ("opening", "system"),
        [
            ([KIND], "Be kind."),
            ([BRIEF], "Be brief."),
            ([KIND, BRIEF], [text("Be kind."), text("Be brief.")]),
            ([{"role": "system", "content": [text("Be kind.", **CACHE)]}], [text("Be kind.", **CACHE)]),
            ([{"role": "system", "content": [text("A"), text("B")]}, BRIEF], [text("A"), text("B"), text("Be brief.")]),
            ([KIND | CACHE], [text("Be kind.", **CACHE)]),
            ([KIND | {"name": "x"}], "Be kind."),
            ([KIND, {"role": "system", "content": ""}], [text("Be kind.")]),
        ],
    )
    def test_what_stands_before_all_else_is_the_system(self, opening, system):
        found = sent({"messages": opening + HELLO})
        assert (found["system"], found["messages"]) == (system, SAID_HELLO)

    @pytest.mark.parametrize("content", ["", " \n", [], [text("")]])
    def test_an_empty_one_is_left_out(self, content):
        assert "system" not in sent({"messages": [{"role": "system", "content": content}, *HELLO]})

    def test_later_ones_stay_where_they_are(self):
        added = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "f"}}
        later = {"role": "developer", "content": [text("Now this."), added]}
        assert sent_messages(*HELLO, later, {"role": "user", "content": "Well?"}) == [
            *SAID_HELLO,
            {"role": "system", "content": [text("Now this."), added]},
            {"role": "user", "content": [text("Well?")]},
        ]

    def test_where_the_model_does_not_take_them_there_they_move_to_the_beginning(self):
        body = {"messages": [KIND, *HELLO, BRIEF, {"role": "user", "content": "Well?"}]}
        found = sent(body, inline_system=False)
        assert found["system"] == [text("Be kind."), text("Be brief.")]
        assert found["messages"] == [{"role": "user", "content": [text("Hi"), text("Well?")]}]
        assert warnings(body, inline_system=False) == (
            "system messages amid the conversation are moved to its beginning",
        )

    @pytest.mark.parametrize(
        ("own", "system"),
        [
            ("Own.", [text("Own."), text("Be kind.")]),
            ([text("Own.", **CACHE)], [text("Own.", **CACHE), text("Be kind.")]),
        ],
    )
    def test_anthropics_own_field_stands_before_system_messages(self, own, system):
        assert sent({"system": own, "messages": [KIND, *HELLO]})["system"] == system

    def test_anthropics_own_field_alone_passes(self):
        assert sent({"system": "Own."})["system"] == "Own."


class TestUser:
    def test_several_in_a_row_become_one(self):
        assert sent_messages(*HELLO, {"role": "user", "content": [text("you", **CACHE)]}) == [
            {"role": "user", "content": [text("Hi"), text("you", **CACHE)]}
        ]

    def test_parts_without_a_word_are_left_out(self):
        content = [text(""), text("Hi"), text(" \n")]
        assert sent_messages({"role": "user", "content": content}) == SAID_HELLO

    def test_a_message_without_a_word_is_left_out(self):
        assert sent_messages(*HELLO, {"role": "user", "content": ""}) == SAID_HELLO

    def test_what_else_a_message_carries_stands_on_its_last_block(self):
        message = {"role": "user", "content": [text("A"), text("B")]} | CACHE | {"name": "ann", "x": None}
        assert sent_messages(message) == [{"role": "user", "content": [text("A"), text("B", **CACHE)]}]

    def test_a_name_is_left_out_with_a_warning(self):
        assert warnings({"messages": [HELLO[0] | {"name": "ann"}]}) == ("name of a message is not sent to Anthropic",)


class TestToolResults:
    TWO = {"role": "assistant", "content": None, "tool_calls": [CALL, CALL | {"id": "call_2"}]}
    SECOND = {"role": "tool", "tool_call_id": "call_2", "content": "43"}
    TOLD_SECOND = {"type": "tool_result", "tool_use_id": "call_2", "content": "43"}

    def test_those_of_parallel_calls_are_one_message_with_what_the_user_says_behind(self):
        assert sent_messages(*HELLO, self.TWO, RESULT, self.SECOND, *HELLO) == [
            *SAID_HELLO,
            {"role": "assistant", "content": [USE, USE | {"id": "call_2"}]},
            {"role": "user", "content": [TOLD, self.TOLD_SECOND, text("Hi")]},
        ]

    def test_they_come_first_whatever_the_user_said_before_them(self):
        assert sent_messages(*HELLO, self.TWO, RESULT, *HELLO, self.SECOND)[2:] == [
            {"role": "user", "content": [TOLD, self.TOLD_SECOND, text("Hi")]}
        ]

    def test_they_stand_together_though_a_system_message_came_between(self):
        assert sent_messages(*HELLO, self.TWO, RESULT, KIND, self.SECOND, *HELLO)[2:] == [
            {"role": "user", "content": [TOLD, self.TOLD_SECOND]},
            {"role": "system", "content": [text("Be kind.")]},
            {"role": "user", "content": [text("Hi")]},
        ]

    def test_they_follow_the_call_though_a_system_message_stood_before_them(self):
        one = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        assert sent_messages(*HELLO, one, KIND, RESULT)[2:] == [
            {"role": "user", "content": [TOLD]},
            {"role": "system", "content": [text("Be kind.")]},
        ]

    def test_each_turn_keeps_its_own(self):
        one = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        found = sent_messages(*HELLO, one, RESULT, one, RESULT)
        assert [turn["role"] for turn in found] == ["user", "assistant", "user", "assistant", "user"]
        assert found[2] == found[4] == {"role": "user", "content": [TOLD]}

    def test_those_in_anthropics_own_words_come_first_too(self):
        assert sent_messages(*HELLO, {"role": "user", "content": [text("Look"), TOLD]}) == [
            {"role": "user", "content": [TOLD, text("Hi"), text("Look")]}
        ]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("", {"content": ""}),
            (None, {}),
            ([text("")], {}),
            ([text("a"), text("b")], {"content": [text("a"), text("b")]}),
            (
                [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
                {
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
                    ]
                },
            ),
            (
                [{"type": "tool_reference", "tool_name": "f"}],
                {"content": [{"type": "tool_reference", "tool_name": "f"}]},
            ),
        ],
    )
    def test_their_content_is_a_string_or_blocks(self, content, told):
        message = {"role": "tool", "tool_call_id": "call_1", "content": content}
        expected = {"type": "tool_result", "tool_use_id": "call_1"} | told
        assert sent_messages(message) == [{"role": "user", "content": [expected]}]

    def test_what_else_they_carry_passes(self):
        more = {"is_error": True} | CACHE
        assert sent_messages(RESULT | more) == [{"role": "user", "content": [TOLD | more]}]

    def test_ids_of_another_vendor_are_respelled_alike_in_call_and_result(self):
        call = CALL | {"id": "functions.f:0"}
        found = sent_messages(
            {"role": "assistant", "content": None, "tool_calls": [call]}, RESULT | {"tool_call_id": "functions.f:0"}
        )
        assert found[0]["content"][0]["id"] == found[1]["content"][0]["tool_use_id"] == "functions_2e_f_3a_0"


@pytest.mark.parametrize(
    ("message", "param", "said"),
    [
        ({}, "role", "must be system, developer, user, assistant or tool."),
        ({"content": "Hi"}, "role", "must be system"),
        ({"role": 5}, "role", "must be system"),
        ({"role": []}, "role", "must be system"),
        ({"role": "robot"}, "role", "must be system"),
        ({"role": "function", "name": "f", "content": "4"}, "role", "send tool instead of function"),
        ({"role": "user"}, "content", "must be a string or a list of parts."),
        ({"role": "user", "content": None}, "content", "must be a string"),
        ({"role": "user", "content": {}}, "content", "must be a string"),
        ({"role": "system", "content": 5}, "content", "must be a string"),
        ({"role": "user", "content": ["Hi"]}, "content[0]", "must be an object with a type."),
        ({"role": "user", "content": [{"text": "Hi"}]}, "content[0].type", "is missing"),
        ({"role": "user", "content": [{"type": 5}]}, "content[0].type", "is missing"),
        ({"role": "user", "content": [text("a"), {"type": "text"}]}, "content[1].text", "must be a string."),
        ({"role": "user", "content": [{"type": "refusal"}]}, "content[0].refusal", "must be a string."),
        ({"role": "tool", "content": "4"}, "tool_call_id", "must be a string that is not empty."),
        ({"role": "tool", "content": "4", "tool_call_id": ""}, "tool_call_id", "must be a string"),
        ({"role": "tool", "content": 4, "tool_call_id": "a"}, "content", "must be a string or a list"),
        ({"role": "tool", "content": [4], "tool_call_id": "a"}, "content[0]", "must be an object"),
    ],
)
def test_a_malformed_message_is_refused_by_its_path(message, param, said):
    path, told = refused({"messages": [*HELLO, message]})
    assert path == f"messages[1].{param}"
    assert said in told


class TestWhatAMessageCarries:
    def test_its_cache_control_stands_on_its_last_block(self):
        parts = [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]
        (turn,) = sent_messages({"role": "user", "content": parts} | CACHE)
        assert turn["content"] == [parts[0], parts[1] | CACHE]

    def test_what_another_vendor_put_beside_its_answer_is_left_out_and_told(self):
        foreign = {"role": "assistant", "content": "4", "executed_tools": [], "prefix": True}
        assert sent_messages(*HELLO, foreign)[1]["content"] == [{"type": "text", "text": "4"}]
        assert warnings({"messages": [*HELLO, foreign]}) == (
            "executed_tools of a message is not sent to Anthropic",
            "prefix of a message is not sent to Anthropic",
        )

    def test_of_thousands_of_such_keys_only_some_are_told(self):
        foreign = {"role": "user", "content": "Hi"} | {f"key_{index}": 1 for index in range(5_000)}
        told = warnings({"messages": [foreign, foreign]})
        assert (len(told), told[-1]) == (51, "more is not sent to Anthropic")
