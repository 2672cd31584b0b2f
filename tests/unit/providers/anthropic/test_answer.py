"""A whole answer of the Messages API, in OpenAI's words: nothing of it is lost."""

import json
import time

import pytest
from hypothesis import given, settings
from openai.types.chat import ChatCompletion

from providers.dialects.anthropic import read_answer
from providers.types import Answer, FailureKind, ProviderError
from tests.unit.providers.anthropic import odd
from tests.unit.providers.anthropic.events import USAGE, answer, cited, text, thinking, tool_use

SERVER_TOOL = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
PLAIN = answer(text("Hello"))


def completion(*blocks, **fields):
    """The composed answer, as OpenAI's client reads it too."""
    composed = json.loads(read_answer(answer(*blocks, **fields)).body)
    ChatCompletion.model_validate(composed)
    return composed


def choice(*blocks, **fields):
    [only] = completion(*blocks, **fields)["choices"]
    return only


def message(*blocks, **fields):
    return choice(*blocks, **fields)["message"]


def failure(body):
    with pytest.raises(ProviderError) as caught:
        read_answer(body)
    return caught.value


class TestTheAnswer:
    def test_has_every_field_that_openais_has(self):
        composed = completion(text("Hello"))
        assert abs(composed.pop("created") - time.time()) < 60
        assert composed.pop("usage")["total_tokens"] == 15
        assert composed == {
            "id": "msg_1",
            "object": "chat.completion",
            "model": "claude-x",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello", "refusal": None, "annotations": []},
                    "logprobs": None,
                    "finish_reason": "stop",
                    "native_finish_reason": "end_turn",
                }
            ],
        }

    def test_keeps_what_openais_has_no_name_for(self):
        composed = completion(text("Hello"), container={"id": "c"}, context_management={"applied_edits": []}, odd=None)
        assert (composed["container"], composed["context_management"]) == ({"id": "c"}, {"applied_edits": []})
        assert "odd" not in composed

    def test_is_not_overwritten_by_a_vendors_field_of_the_same_name(self):
        assert completion(text("Hello"), choices=[], object="x")["object"] == "chat.completion"

    def test_without_an_id_or_usage_is_an_answer_all_the_same(self):
        read = read_answer(b'{"content":[{"type":"text","text":"Hi"}]}')
        assert (read.usage, json.loads(read.body)["id"], "usage" in json.loads(read.body)) == (None, "", False)

    @pytest.mark.parametrize(
        ("stop_reason", "finish_reason"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("pause_turn", "stop"),
            ("compaction", "stop"),
            ("of_tomorrow", "stop"),
            (None, "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("tool_use", "tool_calls"),
            ("refusal", "content_filter"),
        ],
    )
    def test_ends_for_a_reason(self, stop_reason, finish_reason):
        ended = choice(text("Hello"), stop_reason=stop_reason)
        assert (ended["finish_reason"], ended["native_finish_reason"]) == (finish_reason, stop_reason)
        assert read_answer(answer(text("Hello"), stop_reason=stop_reason)).finish_reason == finish_reason

    def test_says_which_stop_sequence_ended_it(self):
        assert choice(text("Hello"), stop_sequence="END")["stop_sequence"] == "END"

    def test_declined_says_why(self):
        details = {"type": "refusal", "category": "bio", "explanation": "Not this."}
        declined = choice(stop_reason="refusal", stop_details=details)
        assert (declined["message"]["refusal"], declined["stop_details"]) == ("Not this.", details)

    @pytest.mark.parametrize("details", [None, {}, {"explanation": None}, {"explanation": 5}])
    def test_declined_without_a_word_says_so(self, details):
        declined = message(stop_reason="refusal", stop_details=details)
        assert (declined["content"], declined["refusal"]) == ("", "The model declined to answer.")


class TestText:
    def test_of_several_blocks_is_joined(self):
        assert message(text("Hé"), text("llo 😀", citations=None))["content"] == "Héllo 😀"

    def test_is_null_where_only_tools_are_called(self):
        assert message(tool_use())["content"] is None

    def test_is_empty_where_there_is_nothing(self):
        assert message()["content"] == ""


class TestToolCalls:
    def test_keep_their_arguments_byte_for_byte(self):
        given = b'{"a": 1.0,  "big":123456789012345678901234567890, "\\u00e9": [1e400]}'
        body = answer(tool_use(input={"here": 0})).replace(b'{"here": 0}', given)
        [call] = json.loads(read_answer(body).body)["choices"][0]["message"]["tool_calls"]
        assert call["function"] == {"name": "look", "arguments": given.decode()}

    def test_in_parallel_keep_their_order(self):
        calls = message(text("So:"), tool_use("a", input={"x": 1}), tool_use("b"))["tool_calls"]
        assert [(call["id"], call["type"], call["function"]["arguments"]) for call in calls] == [
            ("a", "function", '{"x": 1}'),
            ("b", "function", "{}"),
        ]

    @pytest.mark.parametrize("given", [b'"input": null', b'"x": null'])
    def test_without_arguments_say_so_in_json(self, given):
        body = answer(tool_use()).replace(b'"input": {}', given)
        [call] = json.loads(read_answer(body).body)["choices"][0]["message"]["tool_calls"]
        assert call["function"]["arguments"] == "{}"

    def test_take_other_keys_of_their_block_along(self):
        [call] = message(tool_use(caller={"type": "direct"}, function="x"))["tool_calls"]
        assert (call["caller"], call["function"]["name"]) == ({"type": "direct"}, "look")

    def test_are_not_named_where_there_are_none(self):
        assert "tool_calls" not in message(text("Hello"))


class TestReasoning:
    def test_comes_as_text_and_with_its_signature(self):
        told = message(thinking("Hm. "), thinking("Well.", "sig2"), text("Hello"))
        assert told["reasoning"] == "Hm. Well."
        assert told["reasoning_details"] == [
            {"type": "reasoning.text", "text": words, "signature": sig, "format": "anthropic-claude-v1", "index": at}
            for at, (words, sig) in enumerate([("Hm. ", "sig"), ("Well.", "sig2")])
        ]

    def test_that_is_encrypted_stays_so(self):
        told = message({"type": "redacted_thinking", "data": "xyz"}, text("Hello"))
        assert told["reasoning_details"] == [
            {"type": "reasoning.encrypted", "data": "xyz", "format": "anthropic-claude-v1", "index": 0}
        ]
        assert "reasoning" not in told

    def test_that_is_left_out_keeps_its_signature(self):
        told = message(thinking(""), text("Hello"))
        assert (told["reasoning_details"][0]["signature"], "reasoning" in told) == ("sig", False)


class TestAnnotations:
    def test_point_at_the_text_that_they_are_about(self):
        told = message(text("Hé😀"), text("sunny", citations=[cited(), cited("https://b.example/", None)]), text("."))
        assert [told["content"][note["url_citation"]["start_index"] :][:5] for note in told["annotations"]] == [
            "sunny",
            "sunny",
        ]
        assert told["annotations"][1] == {
            "type": "url_citation",
            "url_citation": {
                "url": "https://b.example/",
                "title": "",
                "start_index": 3,
                "end_index": 8,
                "content": "so",
            },
        }

    @pytest.mark.parametrize("citation", [{"type": "char_location", "document_index": 0}, {"url": 5}, "odd", None])
    def test_need_an_address(self, citation):
        told = message(text("sunny", citations=[citation]))
        assert (told["annotations"], told["native_content"][0]["citations"]) == ([], [citation])


class TestNativeContent:
    @pytest.mark.parametrize(
        "blocks",
        [
            [text("a"), SERVER_TOOL, text("b")],
            [{"type": "compaction", "content": "So far: ..."}],
            [text("a", citations=[cited()])],
            [text("a", of_tomorrow=1)],
            [text("a"), thinking("b")],
            [tool_use(), text("a")],
            [thinking("a"), tool_use(), thinking("b"), tool_use("c")],
        ],
    )
    def test_holds_all_blocks_where_the_rest_cannot(self, blocks):
        assert message(*blocks)["native_content"] == blocks

    @pytest.mark.parametrize(
        "blocks",
        [
            [],
            [text("a"), text("b")],
            [text("a", citations=[]), text("b", citations=None)],
            [
                thinking("a"),
                {"type": "redacted_thinking", "data": "x"},
                thinking("b"),
                text("c"),
                tool_use(),
                tool_use(),
            ],
            [thinking("a"), tool_use(caller={"type": "direct"})],
        ],
    )
    def test_is_not_there_where_the_rest_says_it_all(self, blocks):
        assert "native_content" not in message(*blocks)

    def test_keeps_its_bytes(self):
        body = answer(text("a"), SERVER_TOOL).replace(b'"query": "x"', b'"n": 1.0, "e": 1e400')
        assert b'"input": {"n": 1.0, "e": 1e400}' in read_answer(body).body


class TestWhatIsNoAnswer:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"\xff",
            b'{"content":[{"type":"text","text":"\xff"}]}',
            b"[]",
            b"null",
            b"[" * 50_000,
            b"{}",
            b'{"content":null}',
            b'{"content":{}}',
            b'{"content":["a"]}',
            b'{"content":[{"text":"a"}]}',
            b'{"content":[{"type":5}]}',
            b'{"content":[{"type":"text","text":5}]}',
            b'{"content":[{"type":"tool_use","id":"a"}]}',
            b'{"content":[{"type":"text","text":"a"}],"stop_reason":{}}',
            b'{"content":[{"type":"text","text":"a"}],"id":[]}',
            b'{"content":[{"type":"text","text":"a"}],"usage":{"input_tokens":1e999}}',
            answer(usage=None),
            answer(usage=USAGE | {"output_tokens": 0}),
            answer(text(""), usage=USAGE | {"output_tokens": 0}),
        ],
    )
    def test_is_a_bad_one(self, body):
        error = failure(body)
        assert (error.kind, error.status) == (FailureKind.BAD_ANSWER, 200)

    def test_is_not_one_that_was_paid_for(self):
        assert read_answer(answer()).usage.output_tokens == 5

    @settings(max_examples=50, deadline=None)
    @given(odd.OBJECTS | odd.ANSWERS)
    def test_never_raises_anything_else(self, content):
        try:
            read = read_answer(json.dumps(content).encode())
        except ProviderError:
            return
        assert isinstance(read, Answer)
        json.loads(read.body)


def test_a_plain_answer_is_one():
    assert read_answer(PLAIN).finish_reason == "stop"
