"""Events cut out of bytes: whatever ends their lines, none is cut in two for a client, and no byte is scanned twice."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects.openai_stream import EventReader
from providers.dialects.sse import Frames
from tests.unit.providers.growth import is_in_proportion

HELLO = b'data: {"choices":[{"delta":{"content":"Hi"}}]}'
SPACED = b'data: {"choices":[{"delta":{"content":"Hi"}}],\r\r"x":1}'


def cut(*chunks):
    frames = Frames()
    return b"".join(frames.feed(chunk, has_content=False) for chunk in chunks), frames.rest()


def relay(*chunks):
    reader = EventReader(keep_usage=False)
    return b"".join([*map(reader.feed, chunks), reader.end()]), reader


def events_for_a_client(stream):
    """As the specification of server-sent events cuts them."""
    lines = re.split(rb"\r\n|\n|\r", stream)
    return b"\n".join(lines).strip(b"\n").split(b"\n\n") if stream else []


def singly(stream):
    return [stream[at : at + 1] for at in range(len(stream))]


class TestBareCarriageReturns:
    def test_in_a_payload_do_not_cut_it(self):
        relayed, reader = relay(HELLO + b"\n\n" + SPACED + b"\n\n")
        assert relayed == HELLO + b"\n\n" + SPACED.replace(b"\r", b" ") + b"\n\n"
        assert reader.malformed == 0

    def test_end_lines_where_they_end_the_first(self):
        assert cut(b"data: 1\r\rdata: 2\r", b"\rdata: 3\r", b"\r") == (b"data: 1\n\ndata: 2\n\n", b"data: 3")

    def test_in_the_payload_that_opens_a_stream_lose_it_rather_than_cut_it(self):
        assert relay(SPACED + b"\n\n")[0] == b""

    @given(
        pieces=st.lists(
            st.sampled_from([b"\r", b"\n", b"\r\n", b"data: {", b'"a":1', b"}", HELLO, SPACED, b": x", b"\r\r"]),
            max_size=12,
        )
    )
    def test_give_a_client_no_event_that_was_not_read_whatever_arrives_how(self, pieces):
        stream = b"".join(pieces)
        relayed, _ = relay(*pieces)
        assert relayed == relay(stream)[0] == relay(*singly(stream))[0]
        assert b"\r" not in relayed
        assert all(one.startswith(b"data:") for one in events_for_a_client(relayed))


@pytest.mark.parametrize("piece", [b"\r", b"\nx", b"\rx", b"\r\nx", b"x", b"x\n", b"x\r", b" \r "])
def test_small_pieces_are_taken_in_proportion(piece):
    def take(count):
        frames = Frames()
        frames.feed(b"data: 1\n\n" + b"x" * 10 * count, has_content=False)
        for _ in range(count):
            frames.feed(piece, has_content=False)

    assert is_in_proportion(take, made=int, size=3000)
