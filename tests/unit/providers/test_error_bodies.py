"""A vendor's error reaches the caller in its own words, whatever stands around them."""

import msgspec
import pytest

from providers.dialects import anthropic, openai
from providers.dialects.openai_stream import EventReader
from providers.types import FailureKind, ProviderError

SAID = "Bad temperature."
BODIES = [
    pytest.param({"error": {"message": SAID}}, id="OpenAI"),
    pytest.param({"object": "error", "message": SAID, "code": 400}, id="older vLLM"),
    pytest.param({"object": "error", "message": {"detail": [{"msg": SAID}]}, "type": "invalid"}, id="Mistral"),
    pytest.param({"message": SAID}, id="a message alone"),
    pytest.param({"error": "Bad Request", "message": SAID, "statusCode": 400}, id="a message beside a title"),
    pytest.param({"error": SAID}, id="Ollama"),
    pytest.param({"detail": SAID}, id="FastAPI"),
    pytest.param({"detail": {"message": SAID}}, id="FastAPI with an object"),
    pytest.param({"detail": {"error": {"message": SAID}}}, id="FastAPI with an error"),
    pytest.param([{"error": {"message": SAID, "code": 400, "status": "INVALID_ARGUMENT"}}], id="Gemini"),
    pytest.param(SAID, id="a string"),
]
DIALECTS = pytest.mark.parametrize("dialect", [openai, anthropic])
VLLM = {"object": "error", "message": "maximum context length is 8192", "type": "BadRequest", "code": 400}


@DIALECTS
class TestRead:
    @pytest.mark.parametrize("content", BODIES)
    @pytest.mark.parametrize("status", [400, 422])
    def test_it_is_found(self, dialect, content, status):
        error = dialect.read_error(status, body=msgspec.json.encode(content), retry_after=None)
        assert (error.kind, error.message) == (FailureKind.REJECTED, SAID)
        assert error.body is None or error.body["message"] == SAID

    def test_so_is_each_mistake_in_a_list_with_its_place(self, dialect):
        mistakes = [{"loc": ["body", "messages", 0, "role"], "msg": "Field required"}, {"loc": [], "msg": "Odd"}, 5]
        body = msgspec.json.encode({"detail": mistakes})
        error = dialect.read_error(422, body=body, retry_after=None)
        assert error.message == "messages.0.role: Field required; Odd"

    def test_so_is_a_line_of_plain_text(self, dialect):
        error = dialect.read_error(400, body=b" No such\r\n model. ", retry_after=None)
        assert (error.message, error.body) == ("No such model.", None)

    @pytest.mark.parametrize(
        "body", [b"\n<!DOCTYPE html>", b'{"error":{"mess', b"\x00\x01", b"\xff", b"[[[]]]", b"[]", b'{"detail":[{}]}']
    )
    def test_a_page_or_a_broken_body_says_nothing(self, dialect, body):
        assert dialect.read_error(400, body=body, retry_after=None).message == "answered 400"

    @pytest.mark.parametrize("content", [{"message": "x" * 2_000}, {"detail": "x" * 2_000}, "x" * 2_000])
    def test_it_is_cut(self, dialect, content):
        error = dialect.read_error(400, body=msgspec.json.encode(content), retry_after=None)
        assert len(error.message) == 500
        assert error.body is None or len(error.body["message"]) == 500

    @pytest.mark.parametrize(
        "content", [VLLM, {"detail": VLLM["message"]}, [{"error": VLLM}], {"detail": [{"msg": VLLM["message"]}]}]
    )
    def test_a_context_that_is_too_long_is_known_in_it(self, dialect, content):
        error = dialect.read_error(400, body=msgspec.json.encode(content), retry_after=None)
        assert error.kind is FailureKind.CONTEXT_TOO_LONG

    @pytest.mark.parametrize("content", [{"message": "Not sk-secret"}, {"detail": "Not sk-secret"}, "Not sk-secret"])
    def test_a_credential_in_it_is_masked(self, dialect, content):
        error = dialect.read_error(400, body=msgspec.json.encode(content), retry_after=None)
        error.mask("sk-secret")
        assert error.message == "Not ..."
        assert "sk-secret" not in str(error.body)


def test_type_param_and_code_are_kept_without_what_wraps_them():
    content = b'{"object":"error","message":"No.","type":"BadRequestError","param":"n","code":400}'
    error = openai.read_error(400, body=content, retry_after=None)
    assert error.body == {"message": "No.", "type": "BadRequestError", "param": "n", "code": 400}


def test_an_unwrapped_error_in_a_200_is_judged_by_its_code():
    with pytest.raises(ProviderError) as caught:
        openai.read_answer(msgspec.json.encode(VLLM))
    assert (caught.value.kind, caught.value.status) == (FailureKind.CONTEXT_TOO_LONG, 400)


@pytest.mark.parametrize("before", [b"", b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'])
def test_so_is_one_in_a_stream_and_a_client_gets_it_wrapped(before):
    reader = EventReader(keep_usage=False)
    with pytest.raises(ProviderError) as caught:
        reader.feed(before + b"data: " + msgspec.json.encode(VLLM) + b"\n\n")
        reader.check()
    assert (caught.value.kind, caught.value.event) == (FailureKind.CONTEXT_TOO_LONG, None)
