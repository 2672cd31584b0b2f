"""Every kind of content block in a stream: its deltas, and what OpenAI's own client makes of them."""

import json

import pytest

from providers.dialects.anthropic import read_answer
from tests.unit.providers.anthropic.events import (
    answer,
    begin,
    block,
    cited,
    cites,
    delta,
    deltas_of,
    end,
    gives,
    message_of,
    relay,
    says,
    signs,
    start,
    stop,
    text,
    thinking,
    thinks,
    tool_use,
)

THINKING = {"type": "thinking", "thinking": "", "signature": ""}
REDACTED = {"type": "redacted_thinking", "data": "xyz"}
SERVER_TOOL = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
RESULT = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "x", "page_age": None}]}


def streamed(*blocks):
    return start(), *blocks, end()


def native_of(*blocks):
    """The blocks that the client gets verbatim, without the numbers that only put them together."""
    entries = message_of(*streamed(*blocks)).get("native_content", [])
    assert [entry.pop("index") for entry in entries] == list(range(len(entries)))
    return entries


class TestThinking:
    def test_is_told_as_text_and_in_detail(self):
        told = deltas_of(*streamed(block(0, THINKING, thinks("Hm"), thinks("."), thinks(""), signs("sig"))))
        assert told == [
            {
                "reasoning": "Hm",
                "reasoning_details": [
                    {"index": 0, "type": "reasoning.text", "format": "anthropic-claude-v1", "text": "Hm"}
                ],
            },
            {"reasoning": ".", "reasoning_details": [{"index": 0, "type": "reasoning.text", "text": "."}]},
            {"reasoning_details": [{"index": 0, "type": "reasoning.text", "signature": "sig"}]},
        ]

    def test_whose_text_is_left_out_keeps_its_signature(self):
        [told] = deltas_of(*streamed(block(0, THINKING, signs("sig"))))
        assert "reasoning" not in told
        assert told["reasoning_details"] == [
            {"index": 0, "type": "reasoning.text", "format": "anthropic-claude-v1", "text": "", "signature": "sig"}
        ]

    def test_that_says_nothing_leaves_no_gap_in_the_numbers(self):
        told = deltas_of(*streamed(block(0, THINKING), block(1, REDACTED), block(2, THINKING, thinks("b"))))
        assert [one["reasoning_details"][0]["index"] for one in told] == [0, 1]

    def test_that_stands_in_the_blocks_start_is_told(self):
        [told] = deltas_of(*streamed(block(0, thinking("Hm", "sig"))))
        assert (told["reasoning"], told["reasoning_details"][0]["signature"]) == ("Hm", "sig")


class TestToolCalls:
    def test_come_name_first_and_arguments_as_they_are(self):
        pieces = [gives(""), gives('{"a":\n'), gives(" 1.0}")]
        told = deltas_of(*streamed(block(0, tool_use(caller={"type": "direct"}), *pieces)))
        assert told == [
            {
                "tool_calls": [
                    {
                        "caller": {"type": "direct"},
                        "id": "toolu_1",
                        "type": "function",
                        "function": {"name": "look", "arguments": ""},
                        "index": 0,
                    }
                ]
            },
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":\n'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": " 1.0}"}}]},
        ]

    @pytest.mark.parametrize("pieces", [[], [gives("")]])
    def test_without_arguments_say_so_in_json(self, pieces):
        [call] = message_of(*streamed(block(0, tool_use(), *pieces)))["tool_calls"]
        assert call["function"]["arguments"] == "{}"

    def test_whose_arguments_stand_in_the_blocks_start_have_them(self):
        [call] = message_of(*streamed(block(0, tool_use(input={"a": 1}))))["tool_calls"]
        assert call["function"]["arguments"] == '{"a": 1}'

    def test_in_parallel_are_told_apart(self):
        calls = message_of(
            *streamed(
                block(0, text(""), says("So:")),
                begin(1, tool_use("a")),
                begin(2, tool_use("b")),
                delta(2, **gives('{"b":')),
                delta(1, **gives('{"a":1}')),
                delta(2, **gives("2}")),
                stop(1),
                stop(2),
            )
        )["tool_calls"]
        assert [(call["id"], call["function"]["arguments"]) for call in calls] == [("a", '{"a":1}'), ("b", '{"b":2}')]

    def test_that_break_off_are_passed_on_as_far_as_they_came(self):
        _, cut = deltas_of(start(), begin(0, tool_use()), delta(0, **gives('{"a":"x')), end("max_tokens"))
        assert cut["tool_calls"][0]["function"]["arguments"] == '{"a":"x'


class TestAnnotations:
    def test_point_at_the_text_that_they_are_about(self):
        message = message_of(
            *streamed(
                block(0, text(""), says("Hé😀")),
                block(1, text("", citations=[]), cites(cited()), says("sunny"), cites(cited("https://b.example/"))),
                block(2, text(""), says(" and ")),
                block(3, text(""), cites(cited("https://c.example/", None)), says("warm")),
            )
        )
        notes = [note["url_citation"] for note in message["annotations"]]
        assert message["content"] == "Hé😀sunny and warm"
        assert [(note["url"], note["title"], note["start_index"], note["end_index"]) for note in notes] == [
            ("https://a.example/", "A", 3, 8),
            ("https://b.example/", "A", 3, 8),
            ("https://c.example/", "", 13, 17),
        ]

    def test_come_together_once_the_text_is_whole_and_are_numbered(self):
        first = block(0, text(""), cites(cited()), says("a"), cites(cited()))
        told = deltas_of(*streamed(first, block(1, text(""), says("b"), cites(cited()))))
        assert [[note["index"] for note in one["annotations"]] for one in told if "annotations" in one] == [[0, 1], [2]]

    def test_need_an_address(self):
        page = {"type": "page_location", "document_index": 0, "cited_text": "so"}
        pieces = block(0, text(""), says("a"), cites(page))
        assert deltas_of(*streamed(pieces))[0] == {"content": "a"}
        assert native_of(pieces) == [text("a", citations=[page])]


class TestNativeContent:
    def test_holds_all_blocks_with_their_deltas(self):
        blocks = native_of(
            block(0, THINKING, thinks("H"), thinks("m"), signs("si"), signs("g")),
            block(1, REDACTED),
            block(2, SERVER_TOOL, gives('{"query":\n'), gives(' "x", "n": 1.0}')),
            block(3, RESULT),
            block(4, text("", citations=[cited("https://0.example/")]), cites(cited()), says("a"), says("b")),
            block(5, tool_use(caller={"type": "direct"}), gives("{}")),
        )
        assert blocks == [
            thinking("Hm", "sig"),
            REDACTED,
            SERVER_TOOL | {"input": {"query": "x", "n": 1.0}},
            RESULT,
            text("ab", citations=[cited("https://0.example/"), cited()]),
            tool_use(caller={"type": "direct"}),
        ]

    def test_comes_in_the_finish_chunk_alone(self):
        frames, _ = relay(*streamed(block(0, SERVER_TOOL), block(1, text(""), says("a"))))
        [chunk] = [line for line in frames.split(b"\n\n") if b"native_content" in line]
        assert b'"finish_reason":"stop"' in chunk

    @pytest.mark.parametrize(
        "blocks",
        [
            [block(0, text(""), says("a")), block(1, THINKING, thinks("b"))],
            [block(0, tool_use()), block(1, text(""), says("a"))],
            [block(0, text("", of_tomorrow=1), says("a"))],
            [block(0, text(""), says("a"), {"type": "shine_delta", "shine": 1})],
        ],
    )
    def test_is_there_where_the_rest_cannot_say_it(self, blocks):
        assert len(native_of(*blocks)) == len(blocks)

    @pytest.mark.parametrize(
        "blocks",
        [
            [],
            [block(0, text("", citations=[]), says("a")), block(1, text("", citations=None), says("b"))],
            [
                block(0, THINKING, thinks("a"), signs("s")),
                block(1, REDACTED),
                block(2, text(""), says("a")),
                block(3, tool_use(), gives("{}")),
                block(4, tool_use()),
            ],
        ],
    )
    def test_is_not_there_where_the_rest_says_it_all(self, blocks):
        assert native_of(*blocks) == []

    def test_joins_the_strings_of_an_unknown_delta_and_takes_over_its_other_values(self):
        compaction = {"type": "compaction", "content": None}
        pieces = [
            {"type": "compaction_delta", "content": "So "},
            {"type": "compaction_delta", "content": "far", "kept": [1.0], "text": 5},
        ]
        assert native_of(block(0, compaction, *pieces)) == [
            compaction | {"content": "So far", "kept": [1.0], "text": 5}
        ]

    def test_takes_a_delta_of_another_kind_of_block_for_an_unknown_one(self):
        odd = {"type": "sign", "text": "a"}
        pieces = block(0, odd, says("b")), block(1, THINKING, thinks("c"), says("d")), block(2, text("e"), signs("f"))
        told = deltas_of(*streamed(*pieces))
        assert [one.get("content") for one in told] == [None, "e", None]
        assert native_of(*pieces) == [
            odd | {"text": "ab"},
            thinking("c", "") | {"text": "d"},
            text("e", signature="f"),
        ]

    @pytest.mark.parametrize("piece", ['{"cut":', "{} {}", "no"])
    def test_leaves_an_input_that_is_no_json_as_it_began(self, piece):
        assert native_of(block(0, SERVER_TOOL, gives(piece))) == [SERVER_TOOL]

    def test_survives_a_block_that_starts_with_other_kinds_of_values(self):
        odd = {"type": "sign", "shine": 5, "citations": "none"}
        pieces = block(0, odd, {"type": "shine_delta", "shine": "a"}, cites(cited()))
        assert native_of(pieces) == [odd | {"shine": "a", "citations": [cited()]}]


class TestBeside:
    @pytest.mark.parametrize(
        ("blocks", "stream"),
        [
            ([text("Hello")], [block(0, text(""), says("Hel"), says("lo"))]),
            (
                [thinking("Hm"), REDACTED, text("So:"), tool_use(input={"a": 1})],
                [
                    block(0, THINKING, thinks("Hm"), signs("sig")),
                    block(1, REDACTED),
                    block(2, text(""), says("So:")),
                    block(3, tool_use(), gives('{"a": 1}')),
                ],
            ),
            (
                [text("a", citations=[cited()]), SERVER_TOOL | {"input": {"q": 1}}, RESULT, text("b")],
                [
                    block(0, text(""), says("a"), cites(cited())),
                    block(1, SERVER_TOOL, gives('{"q": 1}')),
                    block(2, RESULT),
                    block(3, text(""), says("b")),
                ],
            ),
        ],
    )
    def test_a_stream_says_what_the_whole_answer_says(self, blocks, stream):
        whole = json.loads(read_answer(answer(*blocks)).body)["choices"][0]["message"]
        told = message_of(*streamed(*stream))
        calls = told["tool_calls"] or []
        for entry in [*(told["annotations"] or []), *told.get("native_content", []), *calls]:
            del entry["index"]
        for call in calls:
            del call["function"]["parsed_arguments"]
        assert said(told) == said(whole)


def said(message):
    return {name: value for name, value in message.items() if value not in (None, [])}
