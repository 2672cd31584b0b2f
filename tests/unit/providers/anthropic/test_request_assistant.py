"""What the assistant said before, when it goes back to Anthropic."""

import pytest
from msgspec import Raw, json

from tests.unit.providers.anthropic.sending import CALL, HELLO, USE, composed, refused, sent_messages, warnings

FORMAT = {"format": "anthropic-claude-v1"}
THOUGHT = {"type": "reasoning.text", "text": "Hm.", "signature": "sig", "index": 0} | FORMAT
HIDDEN = {"type": "reasoning.encrypted", "data": "xyz", "index": 1} | FORMAT
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
REDACTED = {"type": "redacted_thinking", "data": "xyz"}
CACHE = {"cache_control": {"type": "ephemeral"}}


def text(words, **more):
    return {"type": "text", "text": words} | more


def said(**message):
    """The blocks of an assistant message; None when it is left out."""
    turns = sent_messages(*HELLO, {"role": "assistant"} | message)
    return turns[1]["content"] if len(turns) > 1 else None


def told(**message):
    """What is told of an assistant message."""
    return warnings({"messages": [*HELLO, {"role": "assistant"} | message]})


def renamed(name):
    return {"tool_calls": [CALL | {"function": CALL["function"] | {"name": name}}]}


def called_with(arguments):
    return {"tool_calls": [CALL | {"function": {"name": "f", "arguments": arguments}}]}


@pytest.mark.parametrize(
    ("message", "blocks"),
    [
        ({"content": "4"}, [text("4")]),
        ({"content": [text("4", **CACHE), {"type": "refusal", "refusal": "No."}]}, [text("4", **CACHE), text("No.")]),
        ({"content": "4", "refusal": "No."}, [text("4"), text("No.")]),
        ({"content": None, "refusal": "No."}, [text("No.")]),
        ({"content": None, "tool_calls": [CALL]}, [USE]),
        ({"tool_calls": [CALL]}, [USE]),
        ({"content": "", "tool_calls": [CALL]}, [USE]),
        ({"content": "\n\n", "tool_calls": [CALL]}, [USE]),
        ({"content": "So:", "tool_calls": [CALL, CALL | {"id": "b"}]}, [text("So:"), USE, USE | {"id": "b"}]),
        ({"content": "4", "reasoning_details": [THOUGHT]}, [THINKING, text("4")]),
        (
            {"content": "So:", "tool_calls": [CALL], "reasoning_details": [THOUGHT, HIDDEN]},
            [THINKING, REDACTED, text("So:"), USE],
        ),
        ({"content": "4", "reasoning_details": [THOUGHT | {"text": None}]}, [THINKING | {"thinking": ""}, text("4")]),
        ({"content": "4", "reasoning": "Hm.", "reasoning_content": "Hm."}, [text("4")]),
        ({"content": "4"} | CACHE, [text("4", **CACHE)]),
        ({"content": None, "tool_calls": [CALL | CACHE]}, [USE | CACHE]),
        (
            {"content": None, "tool_calls": [CALL | {"caller": {"type": "direct"}, "index": 0}]},
            [USE | {"caller": {"type": "direct"}}],
        ),
        (
            {"content": "4", "annotations": [], "audio": None, "function_call": None, "tool_calls": None, "x": None},
            [text("4")],
        ),
        ({"content": "4", "tool_calls": []}, [text("4")]),
        ({"content": [{"type": "compaction", "content": "Once."}]}, [{"type": "compaction", "content": "Once."}]),
    ],
)
def test_it_becomes_thinking_then_text_then_tool_calls(message, blocks):
    assert said(**message) == blocks


@pytest.mark.parametrize(
    "detail",
    [
        THOUGHT | {"format": "openai-responses-v1"},
        {"type": "reasoning.text", "text": "Hm.", "signature": "sig"},
        THOUGHT | {"signature": None},
        THOUGHT | {"signature": ""},
        THOUGHT | {"text": 5},
        HIDDEN | {"data": 5},
        {"type": "reasoning.summary", "summary": "Hm."} | FORMAT,
        "Hm.",
        None,
    ],
)
def test_reasoning_that_anthropic_did_not_sign_is_not_sent(detail):
    assert said(content="4", reasoning_details=[detail]) == [text("4")]
    assert said(content="4", reasoning_details=detail) == [text("4")]


class TestReasoningDetails:
    START = {"index": 0, "text": "hm "} | FORMAT
    SIGNED = {"index": 0, "type": "reasoning.text", "signature": "SIG"}
    BLOCK = {"type": "thinking", "thinking": "hm ok", "signature": "SIG"}
    UNUSABLE = ("a part of reasoning_details is not sent to Anthropic: its text, signature or format is missing",)

    def test_they_may_come_in_the_pieces_of_a_stream(self):
        pieces = [self.START, {"index": 0, "text": "ok"}, self.SIGNED]
        assert said(content="4", reasoning_details=pieces) == [self.BLOCK, text("4")]
        assert told(content="4", reasoning_details=pieces) == ()

    def test_pieces_of_several_are_told_apart_by_their_index(self):
        second = [piece | {"index": 1} for piece in (self.START, {"text": "ok"}, self.SIGNED)]
        pieces = [self.START, {"index": 0, "text": "ok"}, self.SIGNED, *second, HIDDEN | {"index": 2}]
        assert said(content="4", reasoning_details=pieces) == [self.BLOCK, self.BLOCK, REDACTED, text("4")]

    def test_whole_ones_stay_apart_under_one_index(self):
        details = [THOUGHT, THOUGHT | {"text": "So."}, HIDDEN | {"index": 0}]
        assert said(content="4", reasoning_details=details) == [
            THINKING,
            THINKING | {"thinking": "So."},
            REDACTED,
            text("4"),
        ]

    def test_a_signature_may_come_in_pieces_too(self):
        pieces = [THOUGHT, {"index": 0, "type": "reasoning.text", "signature": "nature"}]
        assert said(content="4", reasoning_details=pieces)[0]["signature"] == "signature"

    @pytest.mark.parametrize("edit", [{"signature": None}, {"format": None}, {"type": "reasoning.new"}, {"text": 5}])
    def test_what_cannot_be_used_is_told(self, edit):
        details = [THOUGHT | edit]
        assert said(content="4", reasoning_details=details) == [text("4")]
        assert told(content="4", reasoning_details=details) == self.UNUSABLE

    @pytest.mark.parametrize("format", ["openai-responses-v1", "google-gemini-v1"])
    def test_another_vendors_are_left_out_in_silence(self, format):
        assert told(content="4", reasoning_details=[THOUGHT | {"format": format}]) == ()


@pytest.mark.parametrize("message", [{}, {"content": None}, {"content": ""}, {"content": []}, {"reasoning": "Hm."}])
def test_one_with_nothing_in_it_is_left_out(message):
    assert said(**message) is None


def test_what_openais_sdk_makes_of_an_answer_is_not_sent_back():
    """Its typed messages hold `parsed` and `parsed_arguments` beside what they were parsed from."""
    assert said(content="4", parsed={"sum": 4}) == [text("4")]
    call = CALL | {"function": CALL["function"] | {"parsed_arguments": {"a": 1}}}
    assert said(tool_calls=[call]) == [USE]


class TestArguments:
    @pytest.mark.parametrize(
        "arguments",
        [
            "{}",
            '{ "a" : 1.0 }',
            '{"a":1e400,"b":1E5}',
            '{"a":1,"a":2}',
            '{"a":1000000000000000000000000000000}',
            '{"a":"é"}',
        ],
    )
    def test_they_keep_their_bytes(self, arguments):
        call = CALL | {"function": {"name": "f", "arguments": arguments}}
        body = composed({"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}).body
        blocks = json.decode(json.decode(body, type=dict[str, Raw])["messages"], type=list[dict[str, Raw]])
        use = json.decode(blocks[0]["content"], type=list[dict[str, Raw]])[0]
        assert bytes(use["input"]).decode() == arguments

    @pytest.mark.parametrize("function", [{"arguments": ""}, {"arguments": None}, {}])
    def test_none_are_an_empty_object(self, function):
        call = CALL | {"function": {"name": "f"} | function}
        assert said(tool_calls=[call]) == [USE | {"input": {}}]


class TestNativeContent:
    SEARCH = [
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
    ]
    NATIVE = [text("I look. "), *SEARCH, text("It is 4.", citations=[{"url": "https://x.test"}]), USE]
    BESIDE = {"content": "I look. It is 4.", "tool_calls": [CALL]}

    def test_it_goes_back_as_it_came(self):
        assert said(native_content=self.NATIVE, **self.BESIDE) == self.NATIVE

    def test_it_goes_back_without_the_marks_of_a_stream(self):
        marked = [block | {"index": index} for index, block in enumerate(self.NATIVE)]
        assert said(native_content=marked, **self.BESIDE) == self.NATIVE

    def test_thinking_is_not_said_twice(self):
        native = [THINKING, *self.NATIVE]
        assert said(native_content=native, reasoning_details=[THOUGHT], **self.BESIDE) == native

    def test_empty_text_does_not_go_back(self):
        assert said(native_content=[text(""), *self.NATIVE], **self.BESIDE) == self.NATIVE

    def test_content_may_be_in_parts_or_none(self):
        parts = [text("I look. "), text("It is 4.")]
        assert said(native_content=self.NATIVE, content=parts, tool_calls=[CALL]) == self.NATIVE
        assert said(native_content=self.SEARCH, content=None) == self.SEARCH

    @pytest.mark.parametrize(
        ("edit", "blocks"),
        [
            ({"content": "Edited."}, [text("Edited."), USE]),
            ({"content": None}, [USE]),
            ({"tool_calls": []}, [text("I look. It is 4.")]),
            ({"tool_calls": [CALL | {"id": "b"}]}, [text("I look. It is 4."), USE | {"id": "b"}]),
            (renamed("g"), [text("I look. It is 4."), USE | {"name": "g"}]),
            (called_with('{"a":2}'), [text("I look. It is 4."), USE | {"input": {"a": 2}}]),
            (called_with('{"a":true}'), [text("I look. It is 4."), USE | {"input": {"a": True}}]),
            (called_with('{"a":[1]}'), [text("I look. It is 4."), USE | {"input": {"a": [1]}}]),
            (called_with(""), [text("I look. It is 4."), USE | {"input": {}}]),
        ],
    )
    def test_what_the_client_has_edited_wins_over_it_and_that_is_told(self, edit, blocks):
        message = {"native_content": self.NATIVE} | self.BESIDE | edit
        assert said(**message) == blocks
        assert told(**message) == ("native_content is not sent: the message beside it was changed",)

    @pytest.mark.parametrize("arguments", ['{ "a": 1 }', '{"a":1.0}'])
    def test_arguments_written_otherwise_are_the_same(self, arguments):
        message = {"native_content": self.NATIVE} | self.BESIDE | called_with(arguments)
        assert (said(**message), told(**message)) == (self.NATIVE, ())

    @pytest.mark.parametrize(
        ("edit", "blocks"),
        [
            ({"native_content": []}, [text("I look. It is 4."), USE]),
            ({"native_content": "odd"}, [text("I look. It is 4."), USE]),
            ({"native_content": ["odd"]}, [text("I look. It is 4."), USE]),
        ],
    )
    def test_one_that_is_no_list_of_blocks_is_not_sent(self, edit, blocks):
        assert said(**({"native_content": self.NATIVE} | self.BESIDE | edit)) == blocks


@pytest.mark.parametrize(
    ("message", "param", "about"),
    [
        ({"content": 5}, "content", "must be a string"),
        ({"refusal": 5}, "refusal", "must be a string"),
        ({"audio": {"id": "a"}}, "audio", "send its transcript as content instead"),
        ({"function_call": {"name": "f"}}, "function_call", "send tool_calls instead"),
        ({"tool_calls": {"a": 1}}, "tool_calls", "must be a list of objects."),
        ({"tool_calls": ["f"]}, "tool_calls", "must be a list of objects."),
        ({"tool_calls": [CALL, {}]}, "tool_calls[1].function", "must be an object."),
        ({"tool_calls": [CALL | {"id": None}]}, "tool_calls[0].id", "must be a string"),
        ({"tool_calls": [CALL | {"function": {}}]}, "tool_calls[0].function.name", "must be a string"),
        (
            {"tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
            "tool_calls[0]",
            "know no custom tools",
        ),
        *(
            (
                {"tool_calls": [CALL | {"function": {"name": "f", "arguments": arguments}}]},
                "tool_calls[0].function.arguments",
                said,
            )
            for arguments, said in [
                ("{", "must be a JSON object: "),
                ("[]", "must be a JSON object: "),
                ("5", "must be a JSON object: "),
                ("null", "must be a JSON object: "),
                ({"a": 1}, "must be a string that holds a JSON object."),
                (5, "must be a string that holds a JSON object."),
            ]
        ),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_path(message, param, about):
    body = {"messages": [*HELLO, {"role": "assistant"} | message]}
    path, told = refused(body)
    assert path == f"messages[1].{param}"
    assert about in told
