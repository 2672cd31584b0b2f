"""What an answer said, kept for counting: of a stream in little memory, of a whole answer out of its body."""

import tracemalloc

import msgspec
import pytest

from providers.dialects import said
from providers.dialects.anthropic.stream import EventReader as AnthropicReader
from providers.dialects.openai_stream import EventReader
from providers.dialects.said import MOST_KEPT, Said

WORDS = "word " * 2_000


def openai_frame(text):
    chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def anthropic_frame(text):
    event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return b"event: content_block_delta\ndata: " + msgspec.json.encode(event) + b"\n\n"


def test_pieces_are_put_together_in_their_order():
    found = Said()
    for piece in ("one ", "two", " three"):
        found.pieces.append(piece)
        found.fold()
    assert (found.text().beginning, found.chars) == ("one two three", 13)


def test_a_long_text_keeps_its_beginning_and_its_length():
    found = Said()
    for _ in range(100):
        found.pieces.append(WORDS)
        found.fold()
    text = found.text()
    assert (len(text.beginning), text.chars) == (MOST_KEPT, 100 * len(WORDS))
    assert text.scaled(10) == -(-10 * 100 * len(WORDS) // MOST_KEPT)


@pytest.mark.parametrize(("reader", "frame"), [(EventReader, openai_frame), (AnthropicReader, anthropic_frame)])
def test_a_long_stream_takes_no_more_memory_than_its_beginning(reader, frame):
    reading, data = reader(keep_usage=False), frame(WORDS)
    for _ in range(60):
        reading.feed(data)
    tracemalloc.start()
    try:
        for _ in range(3_000):
            reading.feed(data)
            if reader is AnthropicReader:  # what it keeps of a block for the end, and limits by itself
                reading._size = 0
                reading._open.clear()
                reading._told.blocks.clear()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reading.said.chars == 3_060 * len(WORDS)
    assert grown < 4 * MOST_KEPT


def test_a_whole_answer_is_all_that_its_choices_say():
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at":"sea"}'}}
    choices = [
        {"message": {"role": "assistant", "content": "Yes. ", "reasoning": "Hm. ", "reasoning_content": "Hm. "}},
        {"message": {"content": None, "refusal": "No. ", "tool_calls": [call]}},
        {"message": {"content": [{"type": "text", "text": "Parts. "}], "function_call": {"name": "go"}}},
        {"message": None},
    ]
    text = said.of_answer(msgspec.json.encode({"choices": choices, "usage": None}))
    assert text.beginning == 'Yes. Hm. No. look{"at":"sea"}Parts. go'
