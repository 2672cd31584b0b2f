"""A stored body as people read it, whatever a client sent."""

import msgspec
import pytest

from gateway import conversation
from gateway.conversation import Piece


def pieces(**message):
    (turn,) = conversation.turns({"messages": [{"role": "user"} | message]})
    return [(piece.title, piece.text) for piece in turn.pieces]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"content": "Hi"}, [("", "Hi")]),
        ({"content": None, "refusal": "No"}, [("refused", "No")]),
        ({"content": ["a", {"type": "text", "text": "b"}]}, [("", "a"), ("", "b")]),
        ({"content": [{"type": "image_url", "image_url": {"url": "[image, 3 KB]"}}]}, [("image", "[image, 3 KB]")]),
        ({"content": [{"type": "file", "file": 1}]}, [("file", '{\n  "type": "file",\n  "file": 1\n}')]),
        ({"content": "x", "tool_call_id": "c1"}, [("result of c1", "x")]),
        ({"reasoning": "hm", "content": "x"}, [("thought", "hm"), ("", "x")]),
        ({"function_call": {"name": "f", "arguments": "{}"}}, [("calls f", "{}")]),
        ({"tool_calls": [7]}, [("tool call", "7")]),
        ({"tool_calls": "[cut]", "content": 5}, [("", "5")]),
        ({"content": "x", "cache": True}, [("", "x"), ("more", '{\n  "cache": true\n}')]),
    ],
)
def test_each_form_is_told_as_what_it_is(message, told):
    assert pieces(**message) == told


@pytest.mark.parametrize("messages", [None, "[cut]", {"a": 1}, []])
def test_without_messages_there_are_no_turns(messages):
    assert conversation.turns({"messages": messages}) == []


def test_what_was_cut_before_is_a_turn_of_nobody():
    first, second = conversation.turns({"messages": ["[5 earlier messages cut]", {"role": "user", "name": "ann"}]})
    assert (first.who, first.pieces) == ("", (Piece("[5 earlier messages cut]"),))
    assert (second.who, second.pieces) == ("user (ann)", ())


def test_other_fields_are_json():
    assert conversation.others({"messages": []}) == ""
    assert msgspec.json.decode(conversation.others({"messages": [], "n": 1})) == {"n": 1}


def test_the_beginning_of_a_long_one_is_a_line():
    piece = Piece("one\n two " + "word " * 1000)
    assert piece.is_long
    assert piece.beginning.startswith("one two word")
    assert len(piece.beginning) <= conversation.BEGINNING_CHARS
