"""Errors in a stream that has begun: what the caller has to mend reaches it in the vendor's own words."""

from uuid import UUID

import msgspec
import pytest

from gateway.api import errors
from providers.dialects import openai
from providers.dialects.openai_stream import EventReader
from providers.types import ProviderError

REQUEST_ID = UUID("01a20000-0000-7000-8000-000000000000")
HELLO = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
TOLD = b'{"id":"c", "error":{"message":"No tool","code":400,"failed_generation":"\\u00e9"},"choices":[]}'


def failure(*events):
    reader = EventReader(keep_usage=False)
    with pytest.raises(ProviderError) as caught:
        for one in events:
            reader.feed(one)
        reader.check()
    return caught.value


def event(error):
    return errors.event(error, request_id=REQUEST_ID, trail=[])


def test_an_error_of_the_callers_is_relayed_byte_for_byte():
    assert event(failure(HELLO, b"event: error\ndata: " + TOLD + b"\n\n")) == b"data: " + TOLD + b"\n\n"


def test_so_is_one_over_several_lines():
    lines = b'data: {"error":\ndata: {"message":"No tool","code":400}}\n\n'
    assert event(failure(HELLO, lines)) == lines


def test_so_is_one_that_is_shaped_unlike_a_chunk():
    odd = b'data: {"choices":"odd","error":{"message":"No tool","code":"400"}}\n\n'
    assert event(failure(HELLO, odd)) == odd


@pytest.mark.parametrize("code", [401, 404, 429, 503, "overloaded", None])
def test_any_other_is_told_in_the_gateways_words(code):
    sent = b"data: " + msgspec.json.encode({"error": {"message": "Bad key", "code": code}, "x": 1}) + b"\n\n"
    told = msgspec.json.decode(event(failure(HELLO, sent)).removeprefix(b"data: "))
    assert set(told) == {"error"}
    assert told["error"]["gateway"] == {"request_id": str(REQUEST_ID), "trail": []}
    assert told["error"]["code"].startswith("provider_")
    assert ("Bad key" in told["error"]["message"]) is (code != 401)  # of a credential the ledger alone tells


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "rate_limit_exceeded"}, "rate_limited"),
        ({"code": "insufficient_quota"}, "rate_limited"),
        ({"code": "invalid_api_key"}, "credentials"),
        ({"code": "model_not_found"}, "not_found"),
        ({"code": "context_length_exceeded"}, "context_too_long"),
        ({"code": "content_filter"}, "rejected"),
        ({"code": "server_error"}, "server_error"),
        ({"code": "rate_limit_exceeded", "status_code": 413}, "rejected"),
        ({"code": "whatever"}, "bad_answer"),
        ({"code": ["rate_limit_exceeded"]}, "bad_answer"),
    ],
)
def test_in_a_200_it_is_judged_by_its_status_or_else_its_code(error, kind):
    body = msgspec.json.encode({"error": {"message": "No"} | error})
    with pytest.raises(ProviderError) as caught:
        openai.read_answer(body)
    assert (caught.value.kind, failure(b"data: " + body + b"\n\n").kind) == (kind, kind)


def test_a_credential_repeated_in_it_is_masked():
    error = failure(HELLO, TOLD.join([b"data: ", b"\n\n"]).replace(b"No tool", b'Not with sk-\\"secret'))
    error.mask('sk-"secret')
    assert b"secret" not in event(error) + str(error.body).encode() + error.message.encode()


@pytest.mark.parametrize("before", [470, 480, 490])
def test_so_is_its_beginning_where_the_words_were_cut_amid_it(before):
    secret = "sk-abcdefghijklmnopqrstuvwxyz0123456789"
    body = msgspec.json.encode({"error": {"message": "x" * before + secret, "code": 401}})
    error = openai.read_error(401, body=body, retry_after=None)
    error.mask(secret)
    assert "sk-" not in error.message + str(error)
    assert secret not in str(error.body)
