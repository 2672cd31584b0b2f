"""What a request asks of the router, read from its body and headers."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import bodies
from providers.types import Capability
from routing import need
from routing.need import UnknownLayer
from routing.types import Wishes

LAYERS = ["L0", "L1", "L2", "L3"]
LONG = "x" * 1000
HELLO = [{"role": "user", "content": "Hello"}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
PAPER = {"type": "file", "file": {"file_id": "f"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def read(model="auto", *, messages=HELLO, wishes=None, **fields):
    body = msgspec.json.encode({"model": model, "messages": messages} | fields)
    return need.read(bodies.chat_request(body), wishes=wishes or Wishes(), layers=LAYERS)


def asking(*parts, role="user"):
    return [{"role": role, "content": list(parts)}]


class TestWhatIsWanted:
    def test_auto_leaves_the_layer_to_the_score(self):
        found = read("auto")
        assert (found.enter, found.fenced, found.models) == (None, False, ())

    @pytest.mark.parametrize("model", ["auto:L2", "L2"])
    def test_a_layers_name_enters_there_and_may_go_up(self, model):
        found = read(model)
        assert (found.enter, found.fenced, found.models) == ("L2", False, ())

    @pytest.mark.parametrize(
        "model",
        ["gpt-4o", "acme/large:v1", "meta/llama-3:70b:free", "a/b/c", "auto/router", "AUTO", "l2", ":L2", "x:L2"],
    )
    def test_everything_else_is_an_exact_id(self, model):
        found = read(model)
        assert (found.enter, found.models) == (None, (model,))

    def test_a_list_of_models_follows_the_model(self):
        assert read("a", models=["b", "a", "c/d:e"]).models == ("a", "b", "c/d:e")

    def test_auto_with_a_list_means_the_list(self):
        assert read("auto", models=["b", "c"]).models == ("b", "c")

    def test_an_unknown_layer_is_told_with_those_there_are(self):
        with pytest.raises(UnknownLayer, match="no layer 'L9'; the layers are L0, L1, L2, L3") as caught:
            read("auto:L9")
        assert caught.value.name == "L9"


class TestHeaders:
    def test_the_headers_layer_wins_over_the_bodys(self):
        assert read("auto:L2", wishes=Wishes(layer="L1")).enter == "L1"

    def test_it_wins_over_exact_models_too(self):
        found = read("gpt-4o", models=["b"], wishes=Wishes(layer="L1"))
        assert (found.enter, found.models) == ("L1", ())

    @pytest.mark.parametrize("fenced", [True, False])
    def test_a_fence_holds_in_the_layer_named(self, fenced):
        assert read(wishes=Wishes(layer="L1", fenced=fenced)).fenced is fenced

    def test_an_unknown_layer_there_is_an_error_too(self):
        with pytest.raises(UnknownLayer):
            read(wishes=Wishes(layer="L9"))

    def test_the_headers_session_wins_over_the_bodys(self):
        assert read(user="body", wishes=Wishes(session="header")).session == "header"
        assert read(user="body").session == "body"

    def test_a_cost_ceiling_is_passed_on(self):
        assert read(wishes=Wishes(max_cost_usd=5)).max_cost_usd == 5


class TestCapabilities:
    @pytest.mark.parametrize(
        ("messages", "fields", "needed"),
        [
            (HELLO, {}, set()),
            (HELLO, {"tools": []}, set()),
            (HELLO, {"tools": [TOOL]}, {Capability.TOOLS}),
            (HELLO, {"response_format": {"type": "json_schema", "json_schema": {}}}, {Capability.JSON_SCHEMA}),
            (HELLO, {"response_format": {"type": "json_object"}}, set()),
            (HELLO, {"response_format": {"type": "text"}}, set()),
            (asking(PICTURE), {}, {Capability.VISION}),
            (asking(SOUND), {}, {Capability.AUDIO}),
            (asking(PAPER), {}, set()),
            (asking({"type": "text", "text": "image_url"}), {}, set()),
            (asking(PICTURE, SOUND), {"tools": [TOOL]}, {Capability.VISION, Capability.AUDIO, Capability.TOOLS}),
            (asking(PICTURE) + HELLO, {}, {Capability.VISION}),
        ],
    )
    def test_they_come_from_parts_tools_and_format(self, messages, fields, needed):
        assert read(messages=messages, **fields).capabilities == needed

    @pytest.mark.parametrize(
        ("messages", "needed"),
        [
            (asking({"type": "image", "source": {}}), {Capability.VISION}),
            (asking({"type": "document", "source": {}}, {"type": "container_upload", "file_id": "f"}), set()),
            (asking(PICTURE, role="tool"), {Capability.VISION}),
            (asking({"type": "tool_result", "content": [{"type": "image"}]}), {Capability.VISION}),
            (
                asking({"type": "tool_result", "content": [{"type": "tool_result", "content": [PICTURE]}]}),
                {Capability.VISION},
            ),
            (asking({"type": "tool_result", "content": "image"}), set()),
        ],
    )
    def test_anthropics_own_parts_and_what_tools_give_count_as_well(self, messages, needed):
        assert read(messages=messages).capabilities == needed

    def test_anthropics_own_files_are_counted(self):
        own = [{"type": "image"}, {"type": "document"}, {"type": "container_upload"}]
        assert read(messages=asking(*own) + asking(PICTURE, role="tool")).files == 4
        assert read(messages=asking({"type": "tool_result", "content": own})).files == 3

    def test_thinking_asked_for_needs_a_model_that_can(self):
        assert read(reasoning_effort="low").capabilities == {Capability.REASONING}

    def test_a_spoken_answer_needs_a_model_that_can(self):
        assert read(modalities=["text", "audio"]).capabilities == {Capability.AUDIO}

    def test_images_and_files_are_counted(self):
        assert read(messages=asking(PICTURE, {"type": "text", "text": "?"}, PAPER) + asking(SOUND)).files == 3


class TestText:
    MESSAGES = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "text", "text": "Last"}, PICTURE, {"type": "text", "text": "words"}]},
        {"role": "tool", "content": "42"},
    ]

    def test_the_prompt_is_the_last_thing_the_user_said(self):
        assert read(messages=self.MESSAGES).prompt == "Last\nwords"

    def test_instructions_are_joined(self):
        assert read(messages=self.MESSAGES).system == "Be kind.\nBe brief."

    def test_turns_are_messages_and_tools_are_counted(self):
        found = read(messages=self.MESSAGES, tools=[TOOL, TOOL])
        assert (found.turns, found.tools) == (6, 2)

    @pytest.mark.parametrize(
        "content", [None, 5, {}, [], ["text"], [{"type": "text"}], [{"type": "text", "text": 5}], [None]]
    )
    def test_odd_content_is_no_text_and_no_error(self, content):
        assert read(messages=[{"role": "user", "content": content}]).prompt == ""

    @pytest.mark.parametrize(
        "message", [{}, {"role": 5}, {"role": "user"}, {"role": "user", "content": "", "tool_calls": 5}]
    )
    def test_an_odd_message_is_no_error(self, message):
        assert read(messages=[message]).turns == 1


class TestUpperTokens:
    # Tokens as today's large vocabularies cut these texts, give or take a few.
    @pytest.mark.parametrize(
        ("text", "tokens"),
        [
            ("", 0),
            ("Hello, world!", 4),
            ("The quick brown fox jumps over the lazy dog.", 10),
            ("3.14159265358979", 7),
            ("Schöne Grüße aus München", 6),
            ("日本語のテキストです。", 6),
            ("👩‍👩‍👧‍👦", 10),
            ("def f(x):\n    return x**2\n", 10),
        ],
    )
    def test_it_is_not_below_what_tokenizers_count(self, text, tokens):
        assert need.upper_tokens(text) >= tokens

    @given(st.text())
    def test_it_is_at_least_half_the_bytes_and_at_most_all_of_them(self, text):
        size = len(text.encode("utf-8", "surrogatepass"))
        assert size / 2 <= need.upper_tokens(text) <= size + 1

    @given(st.text(alphabet=st.characters(min_codepoint=0x400)))
    def test_beyond_latin_every_byte_counts(self, text):
        assert need.upper_tokens(text) >= len(text.encode("utf-8", "surrogatepass"))

    def test_all_messages_tool_calls_and_tools_count(self):
        plain = read().input_tokens
        long = "x" * 1000
        assert read(messages=[{"role": "system", "content": long}, *HELLO]).input_tokens >= plain + 500
        assert read(tools=[TOOL | {"description": long}]).input_tokens >= plain + 500
        called = [{"role": "assistant", "content": None, "tool_calls": [{"function": {"arguments": long}}]}]
        assert read(messages=called + HELLO).input_tokens >= plain + 500

    @pytest.mark.parametrize(
        "message",
        [
            {"role": "tool", "tool_call_id": "a", "content": LONG},
            {"role": "user", "content": [{"type": "search_result", "content": [{"type": "text", "text": LONG}]}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": LONG}]},
            {"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": LONG}}]},
            {"role": "user", "content": [{"type": "file", "file": {"file_data": f"data:text/plain,{LONG}"}}]},
            {"role": "user", "content": f"data:image/png;base64,{LONG}"},
            {"role": "user", "content": [{"type": "text", "text": f"data:image/png;base64,{LONG}"}]},
            {"role": "user", "content": [{"type": "text", "text": f"data:application/x;base64,{LONG}"}]},
            {"role": "user", "content": [{"type": "base64", "text": LONG}]},
            {"role": "user", "content": [{"type": "text", "data": LONG}]},
            {
                "role": "tool",
                "tool_call_id": "a",
                "content": [{"type": "text", "text": f"data:audio/wav;base64,{LONG}"}],
            },
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:image/svg+xml,{LONG}"}}]},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"detail": f"data:image/a;base64,{LONG}"}}],
            },
            {"role": "user", "content": [{"type": "input_audio", "input_audio": [{"text": LONG}]}]},
            {"role": "assistant", "content": "", "native_content": [{"type": "text", "text": LONG}]},
            {"role": "assistant", "content": "", "reasoning_details": [{"type": "reasoning.text", "text": LONG}]},
            {"role": "assistant", "content": "", "reasoning": LONG},
            {"role": "assistant", "content": None, "refusal": LONG},
        ],
        ids=str,
    )
    def test_text_counts_wherever_a_message_holds_it(self, message):
        assert read(messages=[message, *HELLO]).input_tokens >= len(LONG) // 2

    @pytest.mark.parametrize("field", ["system", "response_format", "output_config"])
    def test_so_does_what_stands_beside_the_messages(self, field):
        assert read(**{field: {"type": "text", "description": LONG}}).input_tokens >= len(LONG) // 2

    @pytest.mark.parametrize(
        "part",
        [
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": LONG}},
            {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{LONG}"}},
            {"type": "input_audio", "input_audio": {"data": LONG, "format": "wav"}},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{LONG}"}},
            {"type": "image_url", "image_url": f"data:image/png;base64,{LONG}"},
            {
                "type": "tool_result",
                "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": LONG}}],
            },
        ],
        ids=lambda part: part["type"],
    )
    def test_media_in_base64_do_not(self, part):
        assert read(messages=asking(part)).input_tokens < 100

    def test_tools_in_another_script_count_each_byte_as_well(self):
        described = TOOL | {"description": "日" * 1000}
        assert read(tools=[described]).input_tokens >= 3000

    def test_an_images_bytes_are_no_text(self):
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
        assert read(messages=asking(picture)).input_tokens < 100


class TestTheLongestAnswer:
    @pytest.mark.parametrize(
        ("fields", "tokens"),
        [
            ({}, None),
            ({"max_tokens": 5}, 5),
            ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
            ({"max_tokens": 5, "n_predict": 100}, 100),
            ({"max_tokens": 100, "n_predict": 5}, 100),
            ({"n_predict": 5}, 5),
            ({"max_length": 5, "max_new_tokens": 6, "num_predict": 8, "max_output_tokens": 7}, 8),
            ({"max_tokens": 5, "MAX_TOKENS": 100}, 100),
            ({"max_tokens": 5, "n_predict": 100.9}, 100),
            ({"max_tokens": 5, "n_predict": None}, 5),
        ],
        ids=str,
    )
    def test_is_the_longest_that_is_named(self, fields, tokens):
        assert read(**fields).max_output_tokens == tokens

    @pytest.mark.parametrize("no_limit", [-1, 0, "100", [100], {}, 1e300, False], ids=repr)
    def test_has_no_end_where_one_that_is_named_is_none(self, no_limit):
        assert read(max_tokens=5, n_predict=no_limit).max_output_tokens is None


class TestWhatCostsBeside:
    SEARCH = {"type": "web_search_20250305", "name": "web_search"}

    @pytest.mark.parametrize(
        ("fields", "searches"),
        [
            ({}, 0),
            ({"tools": [TOOL]}, 0),
            ({"web_search_options": {}}, 10),
            ({"web_search_options": None}, 0),
            ({"tools": [SEARCH]}, 10),
            ({"tools": [SEARCH | {"max_uses": 3}]}, 3),
            ({"tools": [SEARCH | {"max_uses": 0}]}, 10),
            ({"tools": [SEARCH | {"max_uses": "3"}]}, 10),
            ({"tools": [SEARCH | {"max_uses": True}]}, 10),
            ({"tools": [TOOL, SEARCH | {"max_uses": 3}, {"type": "web_search"}]}, 13),
        ],
        ids=str,
    )
    def test_web_searches_are_as_many_as_declared_or_else_ten(self, fields, searches):
        assert read(**fields).web_searches == searches

    def test_a_prediction_counts_as_its_text(self):
        assert read(prediction={"type": "content", "content": LONG}).prediction_tokens >= len(LONG) // 2
        assert (read().prediction_tokens, read(prediction=None).prediction_tokens) == (0, 0)

    @pytest.mark.parametrize(
        "fields",
        [
            {"messages": asking({"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}})},
            {"tools": [TOOL | {"cache_control": {"type": "ephemeral"}}]},
            {"system": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]},
            {"cache_control": {"type": "ephemeral"}},
        ],
        ids=["messages", "tools", "system", "top level"],
    )
    def test_its_input_may_be_written_to_a_cache_wherever_it_says_so(self, fields):
        assert read(**fields).writes_cache

    @pytest.mark.parametrize("name", [r"cache\u005fcontrol", r"\u0063ache_control", r"cache_c\u006Fntrol"])
    def test_spelling_it_otherwise_hides_nothing(self, name):
        part = b'{"type": "text", "text": "Hi", "NAME": {"type": "ephemeral"}}'.replace(b"NAME", name.encode())
        body = b'{"model": "auto", "messages": [{"role": "user", "content": [%s]}]}' % part
        assert need.read(bodies.chat_request(body), wishes=Wishes(), layers=LAYERS).writes_cache

    def test_it_is_not_where_nobody_says_so(self):
        assert not read(messages=[{"role": "user", "content": "Grüße \n \u0000 <b>"}], tools=[TOOL]).writes_cache


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        (HELLO * 10_001, "at most 10,000 messages"),
        ([{"role": "user", "content": [{"type": "text", "text": "Hi"}] * 20_001}], "at most 20,000 parts"),
    ],
    ids=["messages", "parts"],
)
def test_more_than_one_request_may_hold_up_is_refused(messages, says):
    with pytest.raises(need.TooMany, match=says):
        read(messages=messages)


def test_tools_nested_beyond_reading_are_refused():
    """The decoder may go deeper than the encoder that measures them."""
    tool = {}
    for _ in range(5000):
        tool = {"x": tool}
    request = bodies.chat_request(msgspec.json.encode({"model": "auto", "messages": HELLO}))
    with pytest.raises(need.TooDeep, match="nested too deeply"):
        need.read(msgspec.structs.replace(request, tools=[tool]), wishes=Wishes(), layers=LAYERS)
