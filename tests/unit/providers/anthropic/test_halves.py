"""Text that Anthropic cut between the halves of a surrogate pair reaches the client, the pair whole where it can be."""

import json

import pytest

from providers.dialects.anthropic import read_answer
from tests.unit.providers.anthropic.events import (
    PING,
    answer,
    begin,
    delta,
    deltas_of,
    end,
    gives,
    message_of,
    relay,
    says,
    start,
    stop,
    text,
    thinking,
    thinks,
    tool_use,
)

FIRST, OTHER = "\\ud83d", "\\ude00"


def cut(piece):
    """The bytes with escaped halves where the marks stand."""
    return piece.replace(b"FIRST", FIRST.encode()).replace(b"OTHER", OTHER.encode())


def told(*pieces, content=None):
    return message_of(start(), begin(0, content or text("")), *map(cut, pieces), stop(0), end())


def test_a_pair_cut_between_two_deltas_is_whole():
    assert told(delta(0, **says("aFIRST")), delta(0, **says("OTHERb")))["content"] == "a😀b"


def test_so_is_one_with_a_ping_between_them():
    assert told(delta(0, **says("aFIRST")), PING, delta(0, **says("OTHERb")))["content"] == "a😀b"


def test_so_is_one_after_another():
    pieces = [delta(0, **says(words)) for words in ("aFIRST", "OTHER b FIRST", "OTHER", "c")]
    assert told(*pieces)["content"] == "a😀 b 😀c"


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ((says("aFIRST"), says("b")), "a\ufffdb"),
        ((says("aFIRST"),), "a\ufffd"),
        ((says("OTHERb"), says("c")), "\ufffdbc"),
        ((says("aFIRSTb"), says("c")), "a\ufffdbc"),
        ((says("FIRST"), says("FIRST"), says("OTHER")), "\ufffd😀"),
    ],
)
def test_a_half_alone_is_a_mark_and_nothing_else_is_lost(pieces, words):
    assert told(*(delta(0, **piece) for piece in pieces))["content"] == words


def test_nothing_of_it_counts_as_malformed():
    pieces = [start(), begin(0, text("")), cut(delta(0, **says("aFIRST"))), cut(delta(0, **says("OTHER"))), end()]
    _, reader = relay(*pieces)
    assert (reader.malformed, reader.finish_reason, reader.said.chars) == (0, "stop", 2)


def test_thinking_and_arguments_are_joined_too():
    pieces = [delta(0, **thinks("aFIRST")), delta(0, **thinks("OTHER"))]
    assert told(*pieces, content=thinking("", ""))["reasoning"] == "a😀"
    call = told(delta(0, **gives('{"a":"FIRST')), delta(0, **gives('OTHER"}')), content=tool_use())["tool_calls"][0]
    assert call["function"]["arguments"] == '{"a":"😀"}'


def test_a_half_in_a_blocks_start_is_a_mark():
    pieces = [start(), cut(begin(0, text("aFIRST"))), delta(0, **says("b")), stop(0), end()]
    assert deltas_of(*pieces)[0] == {"content": "a\ufffd"}
    assert message_of(*pieces)["content"] == "a\ufffdb"


@pytest.mark.parametrize(
    "payload", [b"{", b'{"type":"content_block_delta","index":0,"delta":{"text":"\\ud83d"', b"NaN"]
)
def test_what_is_no_json_is_still_counted(payload):
    _, reader = relay(start(), begin(0, text("")), b"data: " + payload + b"\n\n", delta(0, **says("b")), end())
    assert (reader.malformed, reader.said.chars) == (1, 1)


class TestAnAnswer:
    def test_holds_a_mark_for_a_half(self):
        body = cut(answer(thinking("tFIRST"), text("aFIRST"), text("OTHERb"), tool_use(input={"x": "FIRST"})))
        message = json.loads(read_answer(body).body)["choices"][0]["message"]
        assert (message["content"], message["reasoning"]) == ("a\ufffd\ufffdb", "t\ufffd")
        assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"x": "\ufffd"}

    def test_keeps_its_whole_pairs(self):
        body = cut(answer(text("FIRSTOTHER FIRST")))
        assert json.loads(read_answer(body).body)["choices"][0]["message"]["content"] == "😀 \ufffd"
