"""Event streams and answers of the Messages API, written by hand, and what an official client makes of ours."""

import json

from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from providers.dialects.anthropic.stream import EventReader

USAGE = {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 5}
REASONS = {"stop", "length", "tool_calls", "content_filter"}


def answer(*blocks, stop_reason="end_turn", usage=USAGE, **fields):
    """A whole answer's body."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": blocks}
    return json.dumps(message | {"stop_reason": stop_reason, "stop_sequence": None, "usage": usage} | fields).encode()


def text(words, **fields):
    return {"type": "text", "text": words, **fields}


def thinking(words, signature="sig"):
    return {"type": "thinking", "thinking": words, "signature": signature}


def tool_use(id="toolu_1", name="look", input=None, **fields):
    return {"type": "tool_use", "id": id, "name": name, "input": input or {}, **fields}


def cited(url="https://a.example/", title="A", **fields):
    return {"type": "web_search_result_location", "url": url, "title": title, "cited_text": "so", **fields}


def event(type, **fields):
    """One event, framed as the vendor frames it."""
    return f"event: {type}\ndata: {json.dumps({'type': type, **fields}, ensure_ascii=False)}\n\n".encode()


def start(**fields):
    message = json.loads(answer(stop_reason=None, usage=USAGE | {"output_tokens": 1}))
    return event("message_start", message=message | fields)


def block(index, content, *deltas):
    """A content block from its start to its stop."""
    return b"".join([begin(index, content), *(delta(index, **fields) for fields in deltas), stop(index)])


def begin(index, content):
    return event("content_block_start", index=index, content_block=content)


def delta(index, **fields):
    return event("content_block_delta", index=index, delta=fields)


def stop(index):
    return event("content_block_stop", index=index)


def says(words):
    return {"type": "text_delta", "text": words}


def thinks(words):
    return {"type": "thinking_delta", "thinking": words}


def signs(signature):
    return {"type": "signature_delta", "signature": signature}


def gives(json_piece):
    return {"type": "input_json_delta", "partial_json": json_piece}


def cites(citation):
    return {"type": "citations_delta", "citation": citation}


def end(stop_reason="end_turn", *, usage=None, **fields):
    """The last two events."""
    told = event(
        "message_delta",
        delta={"stop_reason": stop_reason, "stop_sequence": None, **fields},
        usage=usage or {"output_tokens": 5},
    )
    return told + STOP


PING = event("ping")
STOP = event("message_stop")
HELLO = b"".join(
    [start(), begin(0, text("")), PING, delta(0, **says("Hé")), delta(0, **says("llo 😀")), stop(0), end()]
)


def relay(*pieces, keep_usage=True):
    """What is relayed of the bytes, and the reader."""
    reader = EventReader(keep_usage=keep_usage)
    return b"".join([*(reader.feed(piece) for piece in pieces), reader.end()]), reader


def chunks_of(frames):
    """The chunks in complete frames, each checked for what OpenAI's schema requires of it."""
    assert frames == b"" or frames.endswith(b"\n\n")
    events = frames.split(b"\n\n")[:-1]
    assert all(one.startswith(b"data: {") and b"\n" not in one and b"\r" not in one for one in events)
    chunks = [json.loads(one[6:]) for one in events]
    for chunk in chunks:
        check(chunk)
    assert len({(chunk["id"], chunk["model"], chunk["created"]) for chunk in chunks}) <= 1
    return chunks


def check(chunk):
    assert (type(chunk["id"]), type(chunk["model"]), type(chunk["created"])) == (str, str, int)
    assert chunk["object"] == "chat.completion.chunk"
    assert ("usage" in chunk) == (not chunk["choices"])
    for choice in chunk["choices"]:
        assert (choice["index"], choice["logprobs"]) == (0, None)
        assert choice["finish_reason"] is None or choice["finish_reason"] in REASONS
        assert isinstance(choice["delta"], dict)
        for entries in choice["delta"].values():
            assert not isinstance(entries, list) or all(type(entry["index"]) is int for entry in entries)


def deltas_of(*pieces):
    """Every delta that says something, in order."""
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(relay(*pieces)[0]) if chunk["choices"]]
    assert deltas.pop(0) == {"role": "assistant", "content": ""}
    return [delta for delta in deltas if delta]


def assembled(*pieces):
    """The completion that OpenAI's own client puts together."""
    state = ChatCompletionStreamState()
    for chunk in chunks_of(relay(*pieces)[0]):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return state.current_completion_snapshot.to_dict()


def message_of(*pieces):
    return assembled(*pieces)["choices"][0]["message"]
