"""The JSON edge: what a body and its headers must be, and what is said when they are not."""

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api import bodies
from gateway.api.bodies import BadBody
from routing.types import Wishes

HELLO = b'{"model":"auto","messages":[{"role":"user","content":"Hi"}]}'


def with_field(field):
    return HELLO[:-1] + b"," + field + b"}"


def refusal(read, *given):
    with pytest.raises(BadBody) as caught:
        read(*given)
    return caught.value.message, caught.value.param


class TestChatRequest:
    def test_what_routing_needs_is_read(self):
        request = bodies.chat_request(
            b'{"model":"a/b:c","models":["d"],"messages":[{"role":"user","content":"Hi"}],"stream":true,'
            b'"stream_options":{"include_usage":true},"max_tokens":7,"tools":[{}],'
            b'"response_format":{"type":"json_schema","json_schema":{}},"user":"ann","x":1}'
        )
        assert (request.model, request.models) == ("a/b:c", ("d",))
        assert request.messages == [{"role": "user", "content": "Hi"}]
        assert (request.is_stream, request.wants_usage, request.max_output_tokens) == (True, True, 7)
        assert (request.tools, request.response_format, request.session) == ([{}], "json_schema", "ann")
        assert bytes(request.fields["x"]) == b"1"

    def test_what_is_not_said_has_its_plain_meaning(self):
        request = bodies.chat_request(HELLO)
        assert (request.models, request.is_stream, request.wants_usage, request.tools) == ((), False, False, ())
        assert (request.response_format, request.max_output_tokens, request.session) == ("text", None, "")

    @pytest.mark.parametrize(
        "field",
        [
            b'"stream":null',
            b'"stream_options":null',
            b'"stream_options":{}',
            b'"max_tokens":null',
            b'"tools":null',
            b'"response_format":null',
            b'"user":null',
            b'"user":5',
            b'"temperature":"hot"',
            b'"messages":[{}]',
            b'"stop":[[[[]]]]',
        ],
    )
    def test_what_is_the_providers_to_judge_passes(self, field):
        assert bodies.chat_request(with_field(field)).model == "auto"

    @pytest.mark.parametrize(
        ("fields", "limit"),
        [
            (b'"max_tokens":5', 5),
            (b'"max_completion_tokens":6', 6),
            (b'"max_tokens":5,"max_completion_tokens":6', 6),
            (b'"max_tokens":9,"max_completion_tokens":6', 9),
            (b'"max_tokens":5,"max_completion_tokens":null', 5),
        ],
    )
    def test_of_two_limits_the_larger_counts(self, fields, limit):
        """Some vendors obey the one name and some the other."""
        assert bodies.chat_request(with_field(fields)).max_output_tokens == limit

    @pytest.mark.parametrize(("fields", "answers"), [(b'"n":3', 3), (b'"n":null', 1), (b'"x":1', 1)])
    def test_how_many_answers_are_asked_for(self, fields, answers):
        assert bodies.chat_request(with_field(fields)).answers == answers

    @pytest.mark.parametrize(
        ("field", "wanted"),
        [
            (b'"x":1', False),
            (b'"reasoning_effort":"low"', True),
            (b'"reasoning_effort":"none"', False),
            (b'"reasoning_effort":null', False),
            (b'"reasoning_effort":""', False),
            (b'"reasoning_effort":5', False),
            (b'"reasoning":{"effort":"high"}', True),
            (b'"reasoning":{"effort":"none"}', False),
            (b'"reasoning":{"effort":"none"},"reasoning_effort":"high"', False),
            (b'"reasoning":{"max_tokens":2000}', True),
            (b'"reasoning":{"enabled":true}', True),
            (b'"reasoning":{"enabled":false,"effort":"high"}', False),
            (b'"reasoning":{}', False),
            (b'"reasoning":{"effort":[]}', False),
            (b'"reasoning":"high"', False),
            (b'"thinking":{"type":"enabled","budget_tokens":1024}', True),
            (b'"thinking":{"type":"adaptive"}', True),
            (b'"thinking":{"type":"disabled"}', False),
            (b'"thinking":{"type":[]}', False),
            (b'"thinking":true', False),
        ],
    )
    def test_thinking_may_be_asked_for_in_any_vendors_words(self, field, wanted):
        assert bodies.chat_request(with_field(field)).wants_reasoning is wanted

    @pytest.mark.parametrize(
        ("field", "wanted"),
        [
            (b'"modalities":["text","audio"]', True),
            (b'"modalities":["text"]', False),
            (b'"modalities":null', False),
            (b'"modalities":"audio"', False),
            (b'"modalities":[[],{}]', False),
        ],
    )
    def test_the_answer_may_be_asked_for_as_audio(self, field, wanted):
        assert bodies.chat_request(with_field(field)).wants_audio is wanted

    def test_the_cache_key_names_the_session_before_the_user_does(self):
        assert bodies.chat_request(with_field(b'"user":"u","prompt_cache_key":"k"')).session == "k"

    @pytest.mark.parametrize("key", [b"7", b'""', b"null", b'["k"]'])
    def test_a_key_that_names_no_session_leaves_it_to_the_user(self, key):
        assert bodies.chat_request(with_field(b'"user":"u","prompt_cache_key":' + key)).session == "u"

    def test_a_name_written_twice_means_its_last_value_here_and_at_the_provider(self):
        request = bodies.chat_request(with_field(b'"model":"b","x":1,"x":2'))
        assert (request.model, bytes(request.fields["model"]), bytes(request.fields["x"])) == ("b", b'"b"', b"2")

    @pytest.mark.parametrize(
        ("body", "message", "param"),
        [
            (b"", "The body is empty", None),
            (b"{", "The body is not valid JSON", None),
            (b"hello", "The body is not valid JSON", None),
            (HELLO + b"}", "The body is not valid JSON", None),
            (with_field(b'"x":NaN'), "The body is not valid JSON", None),
            (b"[" * 100_000, "The body: expected `object`, got `array`", None),
            (b'{"x":' * 100_000, "The JSON body is nested too deeply", None),
            (with_field(b'"x":"\xff"'), "The body is not valid UTF-8: byte 65 cannot be decoded", None),
            (b"null", "The body: expected `object`, got `null`", None),
            (b"[]", "The body: expected `object`, got `array`", None),
            (b"{}", "model is missing", "model"),
            (b'{"model":"auto"}', "messages is missing", "messages"),
            (b'{"messages":[{}]}', "model is missing", "model"),
            (with_field(b'"model":null'), "model: expected `str`, got `null`", "model"),
            (with_field(b'"model":5'), "model: expected `str`, got `int`", "model"),
            (with_field(b'"model":""'), "model is empty", "model"),
            (with_field(b'"messages":[]'), "messages is empty", "messages"),
            (with_field(b'"messages":"Hi"'), "messages: expected `array`, got `str`", "messages"),
            (with_field(b'"messages":["Hi"]'), "messages[0]: expected `object`, got `str`", "messages[0]"),
            (with_field(b'"models":"a"'), "models: expected `array`, got `str`", "models"),
            (with_field(b'"models":[1]'), "models[0]: expected `str`, got `int`", "models[0]"),
            (with_field(b'"stream":"yes"'), "stream: expected `bool | null`, got `str`", "stream"),
            (with_field(b'"stream":1'), "stream: expected `bool | null`, got `int`", "stream"),
            (with_field(b'"stream_options":[]'), "stream_options: expected `object | null`", "stream_options"),
            (
                with_field(b'"stream_options":{"include_usage":1}'),
                "expected `bool | null`",
                "stream_options.include_usage",
            ),
            (with_field(b'"max_tokens":"5"'), "max_tokens: expected `int | null`, got `str`", "max_tokens"),
            (with_field(b'"max_tokens":1.5'), "max_tokens: expected `int | null`, got `float`", "max_tokens"),
            (with_field(b'"max_tokens":0'), "max_tokens must be at least 1", "max_tokens"),
            (with_field(b'"n":0'), "n must be at least 1", "n"),
            (
                with_field(b'"max_completion_tokens":-1'),
                "max_completion_tokens must be at least 1",
                "max_completion_tokens",
            ),
            (with_field(b'"tools":{}'), "tools: expected `array | null`, got `object`", "tools"),
            (with_field(b'"response_format":"json"'), "response_format: expected `object | null`", "response_format"),
            (with_field(b'"response_format":{"type":5}'), "expected `str`, got `int`", "response_format.type"),
        ],
    )
    def test_a_bad_body_is_told_with_the_field_it_is_about(self, body, message, param):
        said, about = refusal(bodies.chat_request, body)
        assert message in said
        assert (about, said[-1]) == (param, ".")

    @given(st.binary(max_size=200))
    def test_no_bytes_can_do_worse_than_be_refused(self, body):
        with pytest.raises(BadBody):
            bodies.chat_request(body)

    @settings(max_examples=50)
    @given(
        st.dictionaries(
            st.sampled_from(["model", "messages", "models", "stream", "stream_options", "max_tokens", "tools", "user"]),
            st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3),
        )
    )
    def test_no_values_can_do_worse_either(self, fields):
        try:
            bodies.chat_request(msgspec.json.encode(fields))
        except BadBody as refused:
            assert refused.message


class TestWishes:
    def test_no_headers_are_no_wishes(self):
        found = bodies.wishes({})
        assert found == Wishes()

    @pytest.mark.parametrize(
        ("header", "layer", "fenced"),
        [("L2", "L2", False), ("=L2", "L2", True), (" L2 ", "L2", False), ("", None, False)],
    )
    def test_an_equals_sign_fences(self, header, layer, fenced):
        found = bodies.wishes({"HTTP_X_GATEWAY_LAYER": header})
        assert (found.layer, found.fenced) == (layer, fenced)

    @pytest.mark.parametrize(("text", "usd"), [("0.05", "0.05"), ("1e-6", "0.000001"), ("3", "3"), (" 2 ", "2")])
    def test_a_ceiling_is_exact(self, text, usd):
        assert bodies.wishes({"HTTP_X_GATEWAY_MAX_COST": text}).max_cost_usd == Decimal(usd)

    def test_a_timeout_comes_in_milliseconds(self):
        assert bodies.wishes({"HTTP_X_GATEWAY_TIMEOUT_MS": "1500"}).timeout_s == 1.5

    @pytest.mark.parametrize("name", ["X-Gateway-Max-Cost", "X-Gateway-Timeout-Ms"])
    @pytest.mark.parametrize("text", ["-1", "free", "NaN", "Infinity", "-Infinity", "1,5", "0x10"])
    def test_what_is_no_positive_number_is_told_with_the_header(self, name, text):
        said, about = refusal(bodies.wishes, {"HTTP_" + name.upper().replace("-", "_"): text})
        assert said.startswith(f"{name} must be a positive number, such as ")
        assert about == name

    def test_a_ceiling_of_nothing_asks_for_free_models(self):
        assert bodies.wishes({"HTTP_X_GATEWAY_MAX_COST": "0"}).max_cost_usd == 0

    @pytest.mark.parametrize("text", ["0", "1e-400"])
    def test_no_time_at_all_is_refused(self, text):
        assert refusal(bodies.wishes, {"HTTP_X_GATEWAY_TIMEOUT_MS": text})[1] == "X-Gateway-Timeout-Ms"

    @pytest.mark.parametrize(
        ("text", "most"), [("2", 2), (" 7 ", 7), ("007", 7), ("", None), ("9" * 5000, 999_999_999)]
    )
    def test_attempts_are_a_whole_number(self, text, most):
        assert bodies.wishes({"HTTP_X_GATEWAY_MAX_ATTEMPTS": text}).max_attempts == most

    @pytest.mark.parametrize("text", ["0", "000", "-1", "+2", "2.0", "1e3", "two", "1_000", "1,5", "\u0662", "0x10"])
    def test_what_is_none_is_told_what_to_write(self, text):
        assert refusal(bodies.wishes, {"HTTP_X_GATEWAY_MAX_ATTEMPTS": text}) == (
            "X-Gateway-Max-Attempts must be a whole number from 1 on, such as 2.",
            "X-Gateway-Max-Attempts",
        )

    def test_a_session_is_cut_to_what_a_column_holds(self):
        assert bodies.wishes({"HTTP_X_SESSION_ID": " " + "s" * 500}).session == "s" * 200


class TestReadObject:
    def test_an_object_is_read(self):
        assert bodies.read_object(b'{"a":[1]}') == {"a": [1]}

    @pytest.mark.parametrize("body", [b"", b"[]", b"5", b"{", b'{"a":"\xff"}', b"[" * 100_000, b'{"a":' * 100_000])
    def test_anything_else_is_refused(self, body):
        assert refusal(bodies.read_object, body)[0].startswith(("The body is not", "The JSON body"))


@pytest.mark.parametrize(
    ("fields", "about"),
    [
        ({"model": "x" * (bodies.LONGEST_ID + 1)}, "model"),
        ({"models": ["x" * (bodies.LONGEST_ID + 1)]}, "model"),
        ({"models": ["x"] * 51}, "models"),
    ],
)
def test_what_no_model_is_called_is_refused_before_anyone_looks_for_it(fields, about):
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]} | fields
    assert refusal(bodies.chat_request, json.dumps(body).encode())[1] == about


@pytest.mark.parametrize("half", [rb"\ud83d", rb"\ude00", rb"x\\\ud83d x", rb"\ud83d\ud83d\ude00"])
def test_half_of_a_surrogate_pair_is_told_as_what_it_is(half):
    with pytest.raises(bodies.BadBody, match="half of a surrogate pair"):
        bodies.chat_request(b'{"model":"auto","messages":[{"role":"user","content":"' + half + b'"}]}')


@pytest.mark.parametrize("whole", [rb"\ud83d\ude00", rb"\\ud83d"])
def test_a_whole_pair_or_its_name_is_not(whole):
    bodies.chat_request(b'{"model":"auto","messages":[{"role":"user","content":"' + whole + b'"}]}')
