"""What the Messages API's errors mean, whichever way they come."""

import json

import pytest

from providers.dialects.anthropic import read_answer, read_error
from providers.types import FailureKind, ProviderError
from tests.unit.providers.anthropic.events import relay, start

STATUSES = [
    ("invalid_request_error", 400, FailureKind.REJECTED),
    ("authentication_error", 401, FailureKind.CREDENTIALS),
    ("billing_error", 402, FailureKind.CREDENTIALS),
    ("permission_error", 403, FailureKind.CREDENTIALS),
    ("not_found_error", 404, FailureKind.NOT_FOUND),
    ("request_too_large", 413, FailureKind.REJECTED),
    ("rate_limit_error", 429, FailureKind.RATE_LIMITED),
    ("api_error", 500, FailureKind.SERVER_ERROR),
    ("timeout_error", 504, FailureKind.SERVER_ERROR),
    ("overloaded_error", 529, FailureKind.SERVER_ERROR),
]


def body(type="api_error", message="No.", **fields):
    return json.dumps({"type": "error", "error": {"type": type, "message": message}, **fields}).encode()


def in_a_200(content):
    with pytest.raises(ProviderError) as caught:
        read_answer(content)
    return caught.value


class TestAStatus:
    @pytest.mark.parametrize(("type", "status", "kind"), STATUSES)
    def test_means_a_kind(self, type, status, kind):
        error = read_error(status, body=body(type), retry_after=None)
        assert (error.kind, error.status, error.message) == (kind, status, "No.")

    def test_gives_the_client_openais_error_object_with_the_vendors_request_id(self):
        error = read_error(400, body=body("invalid_request_error", request_id="req_1"), retry_after=None)
        assert error.body == {
            "message": "No.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
            "request_id": "req_1",
        }

    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (400, "prompt is too long: 210000 tokens > 200000 maximum"),
            (413, "Prompt is too long"),
            (400, "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"),
        ],
    )
    def test_tells_a_context_that_is_too_long_from_other_refusals(self, status, message):
        error = read_error(status, body=body("invalid_request_error", message), retry_after=None)
        assert error.kind is FailureKind.CONTEXT_TOO_LONG

    def test_tells_an_empty_account_from_other_refusals(self):
        message = "Your credit balance is too low to access the Anthropic API."
        error = read_error(400, body=body("invalid_request_error", message), retry_after=None)
        assert error.kind is FailureKind.CREDENTIALS

    def test_leads_to_the_next_model_when_a_field_is_another_vendors(self):
        error = read_error(
            400, body=body("invalid_request_error", "top_a: Extra inputs are not permitted"), retry_after=None
        )
        assert error.kind is FailureKind.UNSUPPORTED

    def test_may_ask_for_a_wait(self):
        assert read_error(429, body=body(), retry_after="7").retry_after_s == 7

    @pytest.mark.parametrize(
        "content", [b"", b"<html>", b"[]", b"{}", b'{"error":{"message":5}}', b"\xff", b"[" * 50_000]
    )
    def test_speaks_alone_where_the_body_says_nothing(self, content):
        assert read_error(503, body=content, retry_after=None).message == "answered 503"

    def test_of_a_proxy_in_front_may_carry_plain_words(self):
        error = read_error(502, body=b'{"error":"no upstream"}', retry_after=None)
        assert (error.message, error.body) == ("no upstream", None)

    def test_of_a_proxy_in_front_may_have_its_fields_at_the_top(self):
        content = b'{"object":"error","message":"No such tier.","type":"Bad","param":"tier","code":7,"request_id":"r"}'
        error = read_error(400, body=content, retry_after=None)
        assert (error.message, error.body) == (
            "No such tier.",
            {"message": "No such tier.", "type": "Bad", "param": "tier", "code": 7, "request_id": "r"},
        )

    def test_with_an_endless_message_is_cut(self):
        assert len(read_error(500, body=body(message="x" * 10_000), retry_after=None).message) == 500


class TestAnErrorObject:
    @pytest.mark.parametrize(("type", "status", "kind"), STATUSES)
    def test_in_a_200_is_judged_by_its_type(self, type, status, kind):
        error = in_a_200(body(type))
        assert (error.kind, error.status, error.message) == (kind, status, "No.")

    @pytest.mark.parametrize(("type", "status", "kind"), STATUSES)
    def test_as_an_event_is_judged_by_its_type(self, type, status, kind):
        with pytest.raises(ProviderError) as caught:
            relay(b"event: error\ndata: " + body(type) + b"\n\n")
        assert (caught.value.kind, caught.value.status) == (kind, status)

    @pytest.mark.parametrize(
        "content",
        [
            body("of_tomorrow"),
            b'{"type":"error"}',
            b'{"type":"error","error":{"type":5}}',
            b'{"error":{"message":"x"}}',
        ],
    )
    def test_of_an_unknown_type_is_a_broken_answer(self, content):
        assert in_a_200(content).kind is FailureKind.BAD_ANSWER
        with pytest.raises(ProviderError) as caught:
            relay(b"data: " + content + b"\n\n")
        assert (caught.value.kind, caught.value.status) == (FailureKind.BAD_ANSWER, 200)

    def test_that_holds_a_figure_nobody_can_read_is_still_one(self):
        with pytest.raises(ProviderError):
            relay(start(), b'data: {"type":"error","error":1e999}\n\n', b"\n\n")
