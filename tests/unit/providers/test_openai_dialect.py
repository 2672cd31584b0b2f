"""OpenAI's dialect: which bytes go out, and what whole answers and errors that come back mean."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api import bodies
from providers.dialects import openai
from providers.types import FailureKind, Model, Provider, ProviderError, Timeouts

ACME = Provider(
    id=1,
    slug="acme",
    name="Acme",
    dialect="openai",
    base_url="https://api.acme.test/v1",
    is_local=False,
    needs_credential=True,
    credential="sk-of-acme",
    usage_in_streams=True,
    extra_body={},
    timeouts=Timeouts(connect_s=1.0, headers_s=1.0, first_content_s=1.0, between_frames_s=1.0),
)
ANSWER = b'{"id":"x","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":null}'


def model(name="acme/large:v1", **provider):
    return Model(
        id=1,
        provider=replace(ACME, **provider),
        name=name,
        title=name,
        context_tokens=None,
        max_output_tokens=None,
        max_input_tokens_per_file=2000,
        capabilities=frozenset(),
        prices=(),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def body(*fields, messages=b'[{"role":"user","content":"Hi"}]'):
    return b'{"model":"auto","messages":' + messages + b"".join(b"," + field for field in fields) + b"}"


def composed(*fields, **provider):
    """The top-level fields that go out for a body with `fields`, each in its bytes."""
    request = bodies.chat_request(body(*fields))
    sent = openai.compose(request, model=model(**provider)).body
    return {name: bytes(raw) for name, raw in msgspec.json.decode(sent, type=dict[str, msgspec.Raw]).items()}


def failure(body):
    with pytest.raises(ProviderError) as caught:
        openai.read_answer(body)
    return caught.value


class TestCompose:
    def test_the_model_is_the_one_routed_to_under_the_providers_own_id(self):
        assert composed()["model"] == b'"acme/large:v1"'

    def test_a_body_without_anything_to_edit_keeps_its_other_fields_and_their_order(self):
        assert list(composed(b'"temperature":0', b'"seed":7')) == ["model", "messages", "temperature", "seed"]

    def test_the_gateways_models_list_does_not_go_out(self):
        assert "models" not in composed(b'"models":["a","b"]')

    @pytest.mark.parametrize(
        "value",
        [
            b"12345678901234567890123456789",
            b"0.1000000000000000055511151231257827",
            b"1.0",
            b"1",
            b"-0",
            b"1E5",
            b"1e400",
            b"null",
            b'{ "b" : 1 ,\n\t"a":[ 1.0, 1 ], "a" : 2 }',
            rb'"caf\u00e9 \ud83d\ude00 \/ \u0000"',
            '"café 😀"'.encode(),
            b'"<script>"',
        ],
    )
    def test_an_unknown_field_goes_out_byte_for_byte(self, value):
        assert composed(b'"x_vendor":' + value)["x_vendor"] == value

    def test_messages_go_out_byte_for_byte(self):
        messages = rb'[ {"content" :"\u00e9\n", "role":"user", "x":1.0,"n":123456789012345678901234567890} ]'
        sent = openai.compose(bodies.chat_request(body(messages=messages)), model=model()).body
        assert b'"messages":' + messages in sent

    @settings(max_examples=40)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
            max_leaves=8,
        )
    )
    def test_whatever_else_a_client_sends_means_the_same_to_the_provider(self, value):
        sent = msgspec.json.encode(value)
        assert composed(b'"x_vendor":' + sent)["x_vendor"] == sent

    def test_a_whole_answer_carries_its_usage_unasked(self):
        assert "stream_options" not in composed()
        assert "stream_options" not in composed(b'"stream":false')

    def test_usage_is_asked_for_at_the_end_of_a_stream(self):
        assert composed(b'"stream":true')["stream_options"] == b'{"include_usage":true}'

    def test_usage_is_not_asked_for_where_the_provider_does_not_understand_it(self):
        assert "stream_options" not in composed(b'"stream":true', usage_in_streams=False)

    @pytest.mark.parametrize("options", [b"null", b"{}", b'{"include_usage":false}', b'{"include_usage":null}'])
    def test_usage_is_asked_for_whatever_the_client_said_instead(self, options):
        sent = composed(b'"stream":true', b'"stream_options":' + options)
        assert msgspec.json.decode(sent["stream_options"]) == {"include_usage": True}

    def test_other_stream_options_are_kept_beside_it(self):
        sent = composed(b'"stream":true', b'"stream_options":{"include_obfuscation":false,"x":[1]}')
        assert msgspec.json.decode(sent["stream_options"]) == {
            "include_obfuscation": False,
            "x": [1],
            "include_usage": True,
        }

    def test_stream_options_that_ask_for_usage_go_out_byte_for_byte(self):
        options = b'{ "include_usage" : true, "x" : 1.0 }'
        assert composed(b'"stream":true', b'"stream_options":' + options)["stream_options"] == options

    def test_the_providers_extra_fields_are_added(self):
        sent = composed(extra_body={"provider": {"sort": "price"}, "top_k": 0})
        assert (sent["provider"], sent["top_k"]) == (b'{"sort":"price"}', b"0")

    @pytest.mark.parametrize("own", [b"0", b"null", b"false"])
    def test_the_clients_own_value_wins_over_an_extra_field(self, own):
        assert composed(b'"top_k":' + own, extra_body={"top_k": 40})["top_k"] == own

    def test_the_request_itself_stays_as_it_is_for_the_next_model(self):
        request = bodies.chat_request(body(b'"stream":true', b'"models":["b"]'))
        before = dict(request.fields)
        openai.compose(request, model=model(extra_body={"top_k": 1}))
        assert request.fields == before


class TestHeaders:
    def test_nothing_goes_out_but_what_the_provider_needs(self):
        assert openai.headers(ACME) == {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "ai-mcp-gateway",
            "Authorization": "Bearer sk-of-acme",
        }

    def test_a_provider_without_a_credential_gets_no_authorization(self):
        assert "Authorization" not in openai.headers(replace(ACME, credential=None))

    def test_the_address_is_below_the_base_url(self):
        assert openai.url(ACME) == "https://api.acme.test/v1/chat/completions"


class TestReadAnswer:
    def test_the_body_is_kept_byte_for_byte(self):
        answer = openai.read_answer(ANSWER)
        assert (answer.body, answer.usage, answer.finish_reason) == (ANSWER, None, "stop")

    @pytest.mark.parametrize(
        "message",
        [
            b'{"content":"Hi"}',
            b'{"content":null,"tool_calls":[{"id":"1"}]}',
            b'{"content":"","refusal":"No."}',
            b'{"content":null,"reasoning":"Hm"}',
            b'{"content":null,"reasoning_content":"Hm"}',
            b'{"content":null,"audio":{"id":"a"}}',
            b'{"content":null,"function_call":{"name":"f"}}',
        ],
    )
    def test_anything_a_user_would_see_is_an_answer(self, message):
        assert openai.read_answer(b'{"choices":[{"message":' + message + b"}]}").finish_reason == ""

    @pytest.mark.parametrize("message", [b"null", b"{}", b'{"role":"assistant","content":""}', b'{"tool_calls":[]}'])
    def test_nothing_to_see_and_no_completion_tokens_is_empty(self, message):
        text = b'{"choices":[{"finish_reason":"stop","message":' + message + b'}],"usage":{"prompt_tokens":9}}'
        assert (failure(text).kind, failure(text).message) == (FailureKind.BAD_ANSWER, "its answer is empty")

    def test_nothing_to_see_is_an_answer_when_completion_tokens_were_spent_on_it(self):
        text = b'{"choices":[{"finish_reason":"length","message":{"content":""}}],"usage":{"completion_tokens":16}}'
        assert openai.read_answer(text).usage.output_tokens == 16

    def test_a_second_choice_may_hold_the_content(self):
        text = b'{"choices":[{"message":{"content":""}},{"message":{"content":"Hi"}}]}'
        assert openai.read_answer(text).body == text

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(ANSWER[:40], id="cut"),
            pytest.param(b"<!DOCTYPE html><html></html>", id="html"),
            pytest.param(b"\xff\xfe", id="no text"),
            pytest.param(b"[" * 100_000, id="deep"),
            pytest.param(b"[]", id="a list"),
            pytest.param(b'"Hi"', id="a string"),
            pytest.param(b"{}", id="no choices"),
            pytest.param(b'{"choices":null}', id="null for choices"),
            pytest.param(b'{"choices":[]}', id="an empty list of choices"),
            pytest.param(b'{"choices":{"0":{}}}', id="choices as an object"),
            pytest.param(b'{"choices":["Hi"]}', id="a choice that is a string"),
            pytest.param(b'{"choices":[{"message":{"content":""}},null]}', id="a second choice that is null"),
            pytest.param(b'{"choices":[{"message":{"content":NaN}}]}', id="a word that is no number"),
        ],
    )
    def test_what_is_no_answer_is_a_bad_one(self, body):
        assert failure(body).kind is FailureKind.BAD_ANSWER

    @pytest.mark.parametrize(
        ("error", "kind", "status"),
        [
            (b'{"message":"busy","code":429}', FailureKind.RATE_LIMITED, 429),
            (b'{"message":"busy","code":"429"}', FailureKind.RATE_LIMITED, 429),
            (b'{"message":"busy","status":429}', FailureKind.RATE_LIMITED, 429),
            (b'{"message":"no","code":"tool_use_failed","status_code":400}', FailureKind.REJECTED, 400),
            (b'{"message":"no","code":null,"status":"error","status_code":"503"}', FailureKind.SERVER_ERROR, 503),
            (b'{"message":"down","code":502}', FailureKind.SERVER_ERROR, 502),
            (b'{"message":"key","code":401}', FailureKind.CREDENTIALS, 401),
            (b'{"message":"maximum context length is 8192","code":400}', FailureKind.CONTEXT_TOO_LONG, 400),
            (b'{"message":"odd","code":200}', FailureKind.BAD_ANSWER, 200),
            (b'{"message":"odd","code":"rate_limit_exceeded"}', FailureKind.RATE_LIMITED, 429),
            (b'{"message":"odd"}', FailureKind.BAD_ANSWER, 200),
            (b'"odd"', FailureKind.BAD_ANSWER, 200),
        ],
    )
    def test_an_error_object_in_a_200_is_judged_by_its_own_code(self, error, kind, status):
        found = failure(b'{"error":' + error + b"}")
        assert (found.kind, found.status) == (kind, status)

    def test_an_error_of_null_beside_choices_is_none(self):
        assert openai.read_answer(b'{"error":null,' + ANSWER[1:]).finish_reason == "stop"


class TestReadError:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, FailureKind.REJECTED),
            (401, FailureKind.CREDENTIALS),
            (402, FailureKind.CREDENTIALS),
            (403, FailureKind.CREDENTIALS),
            (404, FailureKind.NOT_FOUND),
            (408, FailureKind.SERVER_ERROR),
            (409, FailureKind.REJECTED),
            (413, FailureKind.REJECTED),
            (422, FailureKind.REJECTED),
            (429, FailureKind.RATE_LIMITED),
            (500, FailureKind.SERVER_ERROR),
            (503, FailureKind.SERVER_ERROR),
            (529, FailureKind.SERVER_ERROR),
            (204, FailureKind.BAD_ANSWER),
            (302, FailureKind.BAD_ANSWER),
        ],
    )
    def test_a_status_means_a_kind(self, status, kind):
        error = openai.read_error(status, body=b"", retry_after=None)
        assert (error.kind, error.status) == (kind, status)

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, b'{"message":"Too big.","code":"context_length_exceeded"}'),
            (400, b'{"message":"This model\'s maximum context length is 8192 tokens"}'),
            (413, b'{"message":"The prompt is too long: 210000 tokens"}'),
            (400, b'"Requested tokens exceed context window of 4096"'),
        ],
    )
    def test_a_context_that_is_too_long_is_told_from_other_refusals(self, status, error):
        found = openai.read_error(status, body=b'{"error":' + error + b"}", retry_after=None)
        assert found.kind is FailureKind.CONTEXT_TOO_LONG

    @pytest.mark.parametrize("metadata", [b'{"reasons":["violence"]}', b'{"flagged_input":"how to ..."}'])
    def test_words_that_moderation_flags_are_the_requests_own_fault(self, metadata):
        text = b'{"error":{"message":"Flagged","code":403,"metadata":' + metadata + b"}}"
        error = openai.read_error(403, body=text, retry_after=None)
        assert (error.kind, error.status, error.message) == (FailureKind.REJECTED, 403, "Flagged")

    @pytest.mark.parametrize("metadata", [b"null", b'{"provider_name":null}', b'"x"'])
    def test_another_403_is_not(self, metadata):
        text = b'{"error":{"message":"No","code":403,"metadata":' + metadata + b"}}"
        assert openai.read_error(403, body=text, retry_after=None).kind is FailureKind.CREDENTIALS

    def test_a_422_about_the_context_is_a_plain_refusal(self):
        text = b'{"error":{"message":"maximum context length"}}'
        assert openai.read_error(422, body=text, retry_after=None).kind is FailureKind.REJECTED

    def test_the_vendors_error_object_is_kept(self):
        text = b'{"error":{"message":"Bad temperature.","param":"temperature","code":"x"}}'
        error = openai.read_error(400, body=text, retry_after=None)
        assert (error.message, error.body) == (
            "Bad temperature.",
            {"message": "Bad temperature.", "param": "temperature", "code": "x"},
        )

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"detail":{}}', b'{"error":{"message":5}}', b"\xff"])
    def test_a_body_that_says_nothing_leaves_the_status_to_speak(self, body):
        assert openai.read_error(503, body=body, retry_after=None).message == "answered 503"

    def test_an_endless_message_is_cut(self):
        text = b'{"error":{"message":"' + b"x" * 10_000 + b'"}}'
        assert len(openai.read_error(500, body=text, retry_after=None).message) == 500

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("2", 2.0),
            ("0.5", 0.5),
            ("-3", 0.0),
            ("", None),
            (None, None),
            ("soon", None),
            ("inf", None),
            ("1e999", None),
        ],
    )
    def test_the_wait_it_asks_for(self, header, seconds):
        assert openai.read_error(429, body=b"", retry_after=header).retry_after_s == seconds

    @pytest.mark.parametrize(("ahead_s", "about_s"), [(90, 90), (-90, 0)])
    def test_a_wait_may_be_a_date(self, ahead_s, about_s):
        header = formatdate(time.time() + ahead_s, usegmt=True)
        waits_s = openai.read_error(429, body=b"", retry_after=header).retry_after_s
        assert about_s - 2 < waits_s <= about_s + 1
