"""Every feature that streams of OpenAI's dialect have, and every way of writing them: payloads pass byte for byte."""

import msgspec
import pytest

from providers.dialects.openai_stream import EventReader

FINISH = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
DELTAS = {
    "text": {"role": "assistant", "content": "Hi", "x_vendor": {"n": None}},
    "a list of parts": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]},
    "reasoning": {"content": "", "reasoning": "Hm", "channel": "analysis"},
    "reasoning_content": {"content": None, "reasoning_content": "Hm"},
    "reasoning_details": {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "format": None}]},
    "a refusal": {"content": None, "refusal": "No."},
    "annotations": {
        "content": "",
        "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a.test"}}],
    },
    "audio": {"audio": {"id": "audio_1", "data": "UklGRg==", "transcript": "Hi"}},
    "the first tool call": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]},
    "a parallel tool call": {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{"}}]},
    "an old function call": {"function_call": {"name": "f", "arguments": "{}"}},
}
TEXT = "é ½ 漢字 😀 \u2028 \u202e".encode()
MULTI_BYTE = b'{"choices":[{"index":0,"delta":{"content":"' + TEXT + b'"}}]}'


def chunk(delta):
    content = {"id": "c", "choices": [{"index": 0, "delta": delta, "logprobs": None}], "service_tier": "default"}
    return msgspec.json.encode(content)


def relay(*pieces):
    reader = EventReader(keep_usage=True)
    return b"".join([*(reader.feed(piece) for piece in pieces), reader.end()]), reader


def events(*payloads, newline=b"\n"):
    return b"".join(b"data: " + payload + newline * 2 for payload in payloads)


@pytest.mark.parametrize("delta", DELTAS.values(), ids=DELTAS)
def test_each_kind_of_content_is_content_and_passes_as_it_came(delta):
    stream = events(chunk(delta), FINISH)
    relayed, reader = relay(stream)
    assert (relayed, reader.has_content, reader.finish_reason) == (stream, True, "stop")


def test_all_of_them_in_one_stream_keep_their_order_however_they_arrive():
    stream = events(*map(chunk, DELTAS.values()), FINISH)
    for size in (1, 7, len(stream)):
        assert relay(*(stream[at : at + size] for at in range(0, len(stream), size)))[0] == stream


@pytest.mark.parametrize("at", range(len(events(MULTI_BYTE)) + 1))
def test_text_may_be_cut_at_any_byte(at):
    stream = events(MULTI_BYTE)
    relayed, reader = relay(stream[:at], stream[at:])
    assert (relayed, reader.said.chars) == (stream, len(TEXT.decode()))


def test_a_frame_of_a_megabyte_passes_in_small_pieces():
    stream = events(chunk({"audio": {"data": "x" * 1_000_000}}), FINISH)
    assert relay(*(stream[at : at + 1460] for at in range(0, len(stream), 1460)))[0] == stream


class TestWaysOfWriting:
    """The same two events; the client gets them in the plain form."""

    PAYLOADS = (chunk({"content": "Hi"}), FINISH)

    @pytest.mark.parametrize(
        "stream",
        [
            pytest.param(events(*PAYLOADS, newline=b"\r\n"), id="CRLF"),
            pytest.param(
                b": hello\n\n" + events(PAYLOADS[0]) + b":\n: still here\n" + events(PAYLOADS[1]), id="comments"
            ),
            pytest.param(b"event: chunk\nid: 7\nretry: 10\n" + events(*PAYLOADS), id="names before"),
            pytest.param(events(PAYLOADS[0]) + b"data: " + PAYLOADS[1] + b"\nevent: x\nid: 8\n\n", id="names after"),
            pytest.param(b"\xef\xbb\xbf" + events(*PAYLOADS), id="a byte order mark"),
            pytest.param(events(*PAYLOADS).removesuffix(b"\n\n"), id="no blank line at the end"),
            pytest.param(events(*PAYLOADS).removesuffix(b"\n"), id="half a blank line at the end"),
            pytest.param(b"\n\n" + events(PAYLOADS[0]) + b"\n\n\n" + events(PAYLOADS[1]), id="more blank lines"),
        ],
    )
    @pytest.mark.parametrize("size", [1, 5, 4096])
    def test_it_is_relayed_plainly(self, stream, size):
        relayed, reader = relay(*(stream[at : at + size] for at in range(0, len(stream), size)))
        assert (relayed, reader.malformed, reader.finish_reason) == (events(*self.PAYLOADS), 0, "stop")

    def test_a_missing_space_stays_missing(self):
        stream = events(*self.PAYLOADS).replace(b"data: ", b"data:")
        relayed, reader = relay(stream)
        assert (relayed, reader.has_content, reader.finish_reason) == (stream, True, "stop")

    def test_a_payload_over_several_lines_keeps_them(self):
        stream = b'data: {"choices":\ndata: [{"delta":{"content":"Hi"},\ndata: "finish_reason":"stop"}]}\n\n'
        relayed, reader = relay(stream)
        assert (relayed, reader.has_content, reader.finish_reason) == (stream, True, "stop")
