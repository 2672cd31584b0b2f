"""Values that a careless relay changes: numbers, escapes, halves of surrogate pairs. They pass untouched both ways."""

import msgspec
import pytest

from gateway.api import bodies
from providers.dialects import openai, openai_stream, unusual_json
from providers.dialects.openai_stream import EventReader
from providers.types import FailureKind, ProviderError
from tests.unit.providers.growth import is_in_proportion
from tests.unit.providers.test_openai_dialect import model

PLAIN = [
    b"1.0",
    b"1E5",
    b"-0.0",
    b"1" + b"0" * 30,
    b"0.1000000000000000055511151231257827",
    rb'"\u00e9"',
    '"é"'.encode(),
    rb'"\u0000"',
    rb'"\ud83d\ude00 \/ \\ud83d"',
    rb'{"a":1,"\u0061":2}',
]
UNUSUAL = [b"1e400", b"-1e999", rb'"\ud83d"', rb'"\uDE00 and more"', rb'"\\\ud83d"', rb'"\ud83d\ud83d\ude00"']


def answer(value):
    return b'{"id":"x","vendor":' + value + b',"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'


def chunk(value, name=b"vendor"):
    return b'{"choices":[{"index":0,"delta":{"content":"Hi"},"' + name + b'":' + value + b"}]}"


def relay(stream):
    reader = EventReader(keep_usage=False)
    return reader.feed(stream) + reader.end(), reader


@pytest.mark.parametrize("value", PLAIN + UNUSUAL)
class TestAnswers:
    def test_a_whole_answer_keeps_it(self, value):
        body = answer(value)
        read = openai.read_answer(body)
        assert (read.body, read.finish_reason) == (body, "stop")

    def test_a_stream_keeps_it(self, value):
        stream = b"data: " + chunk(value) + b"\n\n"
        relayed, reader = relay(stream)
        assert (relayed, reader.malformed, reader.has_content) == (stream, 0, True)

    def test_a_tool_call_in_a_stream_keeps_it(self, value):
        stream = b'data: {"choices":[{"delta":{"tool_calls":[{"x":' + value + b"}]}}]}\n\n"
        relayed, reader = relay(stream)
        assert (relayed, reader.malformed, reader.has_content) == (stream, 0, True)


@pytest.mark.parametrize("text", [value for value in PLAIN + UNUSUAL if value[:1] == b'"'])
def test_as_the_answers_text_it_is_content(text):
    body = b'{"choices":[{"message":{"content":' + text + b"}}]}"
    stream = b'data: {"choices":[{"delta":{"content":' + text + b'},"finish_reason":"stop"}]}\n\n'
    relayed, reader = relay(stream)
    assert openai.read_answer(body).body == body
    assert (relayed, reader.has_content, reader.finish_reason) == (stream, True, "stop")


class TestRequests:
    @pytest.mark.parametrize("value", PLAIN)
    def test_messages_tools_and_unknown_fields_keep_it(self, value):
        messages = b'[{"role":"user","content":"Hi","x":' + value + b"}]"
        tools = b'[{"type":"function","function":{"name":"f","parameters":{"x":' + value + b"}}}]"
        body = b'{"model":"auto","messages":' + messages + b',"tools":' + tools + b',"vendor":' + value + b"}"
        sent = msgspec.json.decode(
            openai.compose(bodies.chat_request(body), model=model()).body, type=dict[str, msgspec.Raw]
        )
        assert [bytes(sent[name]) for name in ("messages", "tools", "vendor")] == [messages, tools, value]

    @pytest.mark.parametrize("value", UNUSUAL)
    def test_what_the_gateway_cannot_read_is_refused_and_never_changed(self, value):
        with pytest.raises(bodies.BadBody):
            bodies.chat_request(b'{"model":"auto","messages":[{"role":"user","content":[' + value + b"]}]}")


class TestUnusualJson:
    def test_half_a_pair_reads_as_the_replacement_character(self):
        assert unusual_json.decode(rb'["\ud83d", "\ud83d\ude00", "\\ud83d"]') == ["\ufffd", "😀", r"\ud83d"]
        assert unusual_json.decode(rb'["\\ud83d\ude00", "\\\uD83D\ud83d\ude00"]') == ["\\ud83d\ufffd", "\\\ufffd😀"]

    def test_a_number_beyond_a_double_is_infinite(self):
        assert unusual_json.decode(b"[1e400]") == [float("inf")]

    @pytest.mark.parametrize("text", [b"NaN", b"[Infinity]", b'"\\ud83', b"{'a':1}", b'"\n"', b""])
    def test_what_is_no_json_stays_none(self, text):
        with pytest.raises(msgspec.DecodeError):
            unusual_json.decode(text)

    @pytest.mark.parametrize("text", [rb"\ud800\n" * 9 + b"}", b"{" + rb'"\ud800' * 9, rb"\n" * 9])
    def test_no_escape_of_what_is_no_json_is_looked_at(self, text, monkeypatch):
        monkeypatch.setattr(unusual_json, "_whole", lambda _: pytest.fail("looked at"))
        with pytest.raises(msgspec.DecodeError):
            unusual_json.decode(text)

    def test_only_escapes_of_surrogates_are_looked_at(self, monkeypatch):
        seen = []
        monkeypatch.setattr(unusual_json, "_whole", lambda found: seen.append(found[0]) or rb"\ufffd")
        assert unusual_json.decode(rb'["\n\n\u00e9\ud83d\\ud83d"]') == ["\n\né\ufffd\\ud83d"]
        assert seen == [rb"\ud83d"]

    @pytest.mark.parametrize("piece", [b"\\", b"\\\\", rb"\ud83d", rb"\n"])
    def test_escapes_are_read_in_proportion(self, piece):
        def made(count):
            return rb'["\ud83d", "' + piece * 2 * count + b'"]'

        assert is_in_proportion(unusual_json.decode, made=made, size=5000)

    def test_a_vendors_error_told_with_half_a_pair_can_be_passed_on(self):
        error = openai.read_error(400, body=rb'{"error":{"message":"No \ud83d.","param":"x"}}', retry_after=None)
        assert (error.kind, error.message) == (FailureKind.REJECTED, "No \ufffd.")
        assert msgspec.json.encode(error.body)

    def test_an_error_event_told_so_raises_as_well(self):
        with pytest.raises(ProviderError, match="No"):
            relay(rb'data: {"error":{"message":"No \ud83d.","code":503}}' + b"\n\n")


def test_the_text_of_frames_passes_over_what_is_no_text():
    frames = rb'data: {"choices":[{"delta":{"content":"a\ud83d"}}]}' + b'\n\ndata: {"choices":["odd"]}\n\n'
    assert openai_stream.text_of(frames) == "a\ufffd"
