"""What a broken or hostile provider may send: JSON of every shape, under the names that we read."""

import json

from hypothesis import strategies as st

NAMES = [
    *("type", "index", "delta", "content_block", "message", "error", "content", "usage", "id", "model"),
    *("text", "thinking", "signature", "partial_json", "citation", "citations", "input", "name", "data", "url"),
    *("stop_reason", "stop_details", "stop_sequence", "input_tokens", "output_tokens", "iterations", "cache_creation"),
]
KINDS = ["text", "thinking", "redacted_thinking", "tool_use", "of_tomorrow"]
DELTAS = [
    *("text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta", "of_tomorrow"),
]
EVENTS = [
    *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
    *("message_delta", "message_stop", "ping", "error", "of_tomorrow"),
]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANY = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), ANY, max_size=6)


def typed(kinds):
    """Objects of these types: their fields are those we read, mostly of a kind that we do not expect."""
    right = st.fixed_dictionaries(
        {},
        optional={
            "text": st.text(max_size=3),
            "thinking": st.text(max_size=3),
            "partial_json": st.sampled_from(["", "{", '{"a":\n1}', "}"]),
            "data": st.text(max_size=3),
            "id": st.text(max_size=3),
            "name": st.text(max_size=3),
            "citations": st.lists(ANY, max_size=2),
            "citation": ANY,
            "input": ANY,
        },
    )
    return st.builds(
        lambda right, odd, kind: right | odd | {"type": kind},
        right,
        st.dictionaries(st.sampled_from(NAMES), ANY, max_size=1),
        st.sampled_from(kinds),
    )


ANSWERS = st.fixed_dictionaries(
    {"content": st.lists(typed(KINDS), max_size=4)}, optional={"usage": ANY, "stop_reason": ANY, "stop_details": ANY}
)
STREAMED = st.builds(
    lambda fields, odd, kind: fields | odd | {"type": kind},
    st.fixed_dictionaries(
        {"index": st.integers(0, 2), "delta": typed(DELTAS), "content_block": typed(KINDS), "message": OBJECTS},
        optional={"usage": OBJECTS},
    ),
    st.dictionaries(st.sampled_from(NAMES), ANY, max_size=1),
    st.sampled_from(EVENTS),
)


def framed(value):
    """An event, as it would come."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


STREAMS = st.lists(STREAMED.map(framed) | OBJECTS.map(framed) | st.binary(max_size=20), max_size=8).map(b"".join)
