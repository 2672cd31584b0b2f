"""A stream of the Messages API as OpenAI's chunks: how it begins, ends and breaks, however the bytes arrive."""

import json
import time

import pytest
from hypothesis import given, settings

from providers.dialects import sse
from providers.dialects.anthropic import stream as anthropic_stream
from providers.dialects.anthropic.stream import EventReader
from providers.types import FailureKind, ProviderError, Usage
from tests.unit.providers.anthropic import odd
from tests.unit.providers.anthropic.events import (
    HELLO,
    PING,
    STOP,
    USAGE,
    assembled,
    begin,
    block,
    chunks_of,
    delta,
    deltas_of,
    end,
    event,
    gives,
    message_of,
    relay,
    says,
    start,
    stop,
    text,
    thinks,
    tool_use,
)

OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
LONG = "é" * 500_000


def told(reader):
    return (reader.finish_reason, reader.is_done, reader.malformed, reader.said.chars, reader.usage)


@pytest.fixture
def one_second(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.5)


class TestTheChunks:
    def test_are_openais(self, one_second):
        chunks = chunks_of(relay(HELLO)[0])
        alike = {"id": "msg_1", "object": "chat.completion.chunk", "created": 1_800_000_000, "model": "claude-x"}
        assert all(chunk.items() >= alike.items() for chunk in chunks)
        assert [choice for chunk in chunks for choice in chunk["choices"]] == [
            {"index": 0, "delta": said, "logprobs": None, "finish_reason": None}
            for said in [{"role": "assistant", "content": ""}, {"content": "Hé"}, {"content": "llo 😀"}]
        ] + [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop", "native_finish_reason": "end_turn"}]

    def test_begin_with_the_role_before_there_is_content(self):
        reader = EventReader(keep_usage=False)
        [chunk] = chunks_of(reader.feed(start() + begin(0, text("")) + PING))
        assert (chunk["choices"][0]["delta"], reader.has_content) == ({"role": "assistant", "content": ""}, False)

    def test_begin_with_the_role_even_where_the_vendors_start_is_lost(self):
        assert deltas_of(begin(0, text("")), delta(0, **says("Hi")), end()) == [{"content": "Hi"}]
        assert relay(end())[1].finish_reason == "stop"

    def test_are_put_together_by_openais_client(self):
        whole = assembled(HELLO)
        assert whole["choices"][0]["message"]["content"] == "Héllo 😀"
        assert (whole["choices"][0]["finish_reason"], whole["usage"]["total_tokens"]) == ("stop", 15)

    def test_of_a_whole_megabyte_are_whole(self):
        assert deltas_of(start(), block(0, text(""), says(LONG)), end()) == [{"content": LONG}]


class TestAnySplit:
    @pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
    def test_gives_the_same_chunks(self, newline, one_second):
        stream = HELLO.replace(b"\n", newline)
        expected, whole = relay(HELLO)
        for at in range(len(stream)):
            frames, reader = relay(stream[:at], stream[at:])
            assert (frames, told(reader)) == (expected, told(whole))

    def test_one_byte_at_a_time(self, one_second):
        assert relay(*(HELLO[at : at + 1] for at in range(len(HELLO))))[0] == relay(HELLO)[0]

    def test_a_last_event_without_its_blank_line_counts(self, one_second):
        assert relay(HELLO.rstrip(b"\n"))[0] == relay(HELLO)[0]


class TestNoise:
    @pytest.mark.parametrize(
        "noise",
        [
            b": comment\n\n",
            b"\n\n",
            PING,
            b"id: 7\n",
            event("of_tomorrow", delta=5),
            b"data: [DONE]\n\n",
            b"retry: 1\n",
        ],
    )
    def test_is_left_out(self, noise, one_second):
        frames, reader = relay(noise + HELLO[:-1] + HELLO[-1:] + noise)
        assert (frames, reader.malformed) == (relay(HELLO)[0], 0)

    @pytest.mark.parametrize(
        "broken",
        [
            b"data: {cut\n\n",
            b"data: hello\n\n",
            b"data: [1]\n\n",
            b"data: {}\n\n",
            b"data: \xff\xfe\n\n",
            b"data: " + b"[" * 50_000 + b"\n\n",
            event("content_block_delta", index=0),
            event("content_block_delta", index="x", delta=says("a")),
            event("content_block_start", index=3),
            event("content_block_start", index=3, content_block={"type": "text", "text": 5}),
            event("message_start"),
            event("message_delta"),
            delta(9, **gives("{")),
            delta(9, type="of_tomorrow"),
            delta(9, type="text_delta", text=5),
            delta(9, type="citations_delta", citation=None),
        ],
    )
    def test_that_cannot_be_read_is_skipped_and_counted(self, broken, one_second):
        frames, reader = relay(start() + broken + HELLO[len(start()) :])
        assert (frames, reader.malformed) == (relay(HELLO)[0], 1)

    def test_between_the_lines_of_one_event_is_left_out(self):
        odd_lines = b": hm\nid: 1\ndata: {\ndata: " + delta(0, **says("Hi")).split(b"data: {")[1]
        assert deltas_of(start(), begin(0, text("")), odd_lines, end()) == [{"content": "Hi"}]

    def test_of_line_breaks_in_a_payload_stays_out_of_the_chunks(self):
        broken = begin(0, tool_use(caller={"a": 1})).replace(b'{"a": 1}', b'{"a":\ndata: 1}')
        frames, _ = relay(start(), broken, stop(0), end("tool_use"))
        assert chunks_of(frames)[1]["choices"][0]["delta"]["tool_calls"][0]["caller"] == {"a": 1}

    def test_that_a_client_would_take_for_a_lines_end_is_taken_out(self):
        spaced = begin(0, tool_use(caller={"a": 1})).replace(b'{"a": 1}', b'{"a":\r1}')
        frames, _ = relay(start(), spaced, stop(0), end("tool_use"))
        assert chunks_of(frames)[1]["choices"][0]["delta"]["tool_calls"][0]["caller"] == {"a": 1}

    @settings(max_examples=50, deadline=None)
    @given(odd.STREAMS)
    def test_of_any_kind_gives_chunks_or_a_provider_error(self, stream):
        reader = EventReader(keep_usage=True)
        frames = []
        try:
            frames.append(reader.feed(start() + stream))
            frames.append(reader.feed(end()))
            frames.append(reader.end())
        except ProviderError:
            pass
        chunks_of(b"".join(frames))


class TestTheEnd:
    @pytest.mark.parametrize(
        ("stop_reason", "finish_reason"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("pause_turn", "stop"),
            ("compaction", "stop"),
            ("of_tomorrow", "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("tool_use", "tool_calls"),
        ],
    )
    def test_has_a_reason(self, stop_reason, finish_reason):
        frames, reader = relay(start(), block(0, text(""), says("Hi")), end(stop_reason))
        choice = chunks_of(frames)[-2]["choices"][0]
        assert (choice["finish_reason"], choice["native_finish_reason"]) == (finish_reason, stop_reason)
        assert (reader.finish_reason, reader.is_done) == (finish_reason, True)

    def test_says_which_stop_sequence_it_was_and_what_else_the_vendor_says(self):
        told = event(
            "message_delta",
            delta={"stop_reason": "stop_sequence", "stop_sequence": "END", "container": {"id": "c"}},
            usage={"output_tokens": 5},
            context_management={"applied_edits": []},
        )
        chunk = chunks_of(relay(start(service_hint="x"), told, STOP, keep_usage=False)[0])[-1]
        assert chunk["choices"][0]["stop_sequence"] == "END"
        assert (chunk["container"], chunk["context_management"], chunk["service_hint"]) == (
            {"id": "c"},
            {"applied_edits": []},
            "x",
        )

    def test_of_a_declined_answer_says_why(self):
        frames, reader = relay(start(), end("refusal", stop_details={"type": "refusal", "explanation": "Not this."}))
        _, refused, finish, _ = chunks_of(frames)
        assert refused["choices"][0]["delta"] == {"refusal": "Not this."}
        assert finish["choices"][0]["finish_reason"] == reader.finish_reason == "content_filter"
        assert finish["choices"][0]["stop_details"]["explanation"] == "Not this."
        assert reader.has_content is True

    def test_of_a_declined_answer_without_a_word_says_so(self):
        message = message_of(start(), block(0, text(""), says("I w")), end("refusal", stop_details=None))
        assert (message["content"], message["refusal"]) == ("I w", "The model declined to answer.")

    def test_without_a_stop_reason_is_none(self):
        quiet = event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 5})
        frames, reader = relay(start(), block(0, text(""), says("Hi")), quiet, STOP)
        assert (reader.finish_reason, reader.is_done, len(chunks_of(frames))) == ("", True, 2)

    def test_without_message_stop_still_gives_the_usage_that_is_owed(self):
        frames, reader = relay(HELLO.removesuffix(STOP))
        assert (reader.is_done, chunks_of(frames)[-1]["usage"]["total_tokens"]) == (False, 15)
        assert reader.end() == b""

    def test_is_told_once(self):
        frames, _ = relay(start(), block(0, text(""), says("Hi")), end().removesuffix(STOP), end("max_tokens"), end())
        finished = [choice["finish_reason"] for chunk in chunks_of(frames) for choice in chunk["choices"]]
        assert finished == [None, None, "stop"]

    def test_closes_blocks_that_the_vendor_left_open(self):
        frames = deltas_of(start(), begin(0, tool_use()), end("tool_use"))
        assert frames[-1] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}


class TestUsage:
    def test_comes_last_and_only_where_it_is_wanted(self):
        assert chunks_of(relay(HELLO, keep_usage=True)[0])[-1]["usage"]["completion_tokens"] == 5
        assert all("usage" not in chunk for chunk in chunks_of(relay(HELLO, keep_usage=False)[0]))

    def test_is_the_starts_with_what_the_end_tells_over_it(self):
        first = USAGE | {
            "cache_read_input_tokens": 40,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_1h_input_tokens": 20, "ephemeral_5m_input_tokens": 10},
            "output_tokens": 1,
        }
        last = {
            "input_tokens": 99,
            "output_tokens": 7,
            "cache_read_input_tokens": None,
            "server_tool_use": {"web_search_requests": 2},
        }
        _, reader = relay(start(usage=first), block(0, text(""), says("Hi")), end(usage=last))
        assert reader.usage == Usage(
            input_tokens=99,
            cached_input_tokens=40,
            cache_write_5m_tokens=10,
            cache_write_1h_tokens=20,
            output_tokens=7,
            web_searches=2,
        )

    def test_of_a_stream_that_broke_knows_what_went_in_and_that_the_output_is_not_known(self):
        _, reader = relay(start(), begin(0, text("")), delta(0, **says("x" * 400)))
        assert reader.usage == Usage(input_tokens=10, is_partial=True)
        assert reader.said.chars == 400

    def test_of_which_the_output_was_never_told_is_not_told_to_the_client(self):
        told = event("message_delta", delta={"stop_reason": "end_turn"})
        frames, reader = relay(start(), block(0, text(""), says("Hi")), told, STOP)
        assert (reader.usage.is_partial, chunks_of(frames)[-1]["choices"][0]["finish_reason"]) == (True, "stop")

    def test_is_none_where_the_vendor_tells_none(self):
        told = event("message_delta", delta={"stop_reason": "end_turn"})
        assert relay(start(usage=None), told, STOP)[1].usage is None

    def test_is_estimated_from_text_thinking_and_arguments(self):
        pieces = (
            start()
            + block(0, {"type": "thinking", "thinking": "", "signature": ""}, thinks("Hm"))
            + block(1, text(""), says("😀é"))
            + block(2, tool_use(), gives('{"a":'), gives("1}"))
        )
        assert relay(pieces)[1].said.chars == 2 + 2 + 7


class TestContent:
    @pytest.mark.parametrize(
        "piece",
        [
            begin(0, text("Hi")),
            begin(0, {"type": "thinking", "thinking": "Hm"}),
            begin(0, {"type": "redacted_thinking", "data": "xyz"}),
            begin(0, tool_use()),
            delta(0, **says("Hi")),
            delta(0, **thinks("Hm")),
            end("refusal"),
            block(0, {"type": "compaction", "content": "So far"}) + end("compaction"),
        ],
    )
    def test_is_what_a_user_would_see_or_pay_for(self, piece):
        assert relay(start(), piece)[1].has_content is True

    @pytest.mark.parametrize(
        "piece",
        [
            PING,
            begin(0, text("")),
            begin(0, text("")) + delta(0, **says("")),
            begin(0, {"type": "thinking", "thinking": "", "signature": ""}),
            begin(0, {"type": "server_tool_use", "id": "a", "name": "b", "input": {}}),
            end(),
        ],
    )
    def test_is_not_there_before_something_is_said(self, piece):
        assert relay(start(), piece)[1].has_content is False


class TestErrors:
    def test_before_content_let_the_next_model_answer(self):
        reader = EventReader(keep_usage=False)
        assert len(chunks_of(reader.feed(start() + OVERLOADED))) == 1
        assert reader.has_content is False
        with pytest.raises(ProviderError) as caught:
            reader.check()
        assert (caught.value.kind, caught.value.status) == (FailureKind.SERVER_ERROR, 529)

    def test_as_the_first_event_raise_at_once(self):
        with pytest.raises(ProviderError, match="Overloaded"):
            EventReader(keep_usage=False).feed(OVERLOADED)

    def test_after_content_come_after_it(self):
        reader = EventReader(keep_usage=False)
        frames = reader.feed(
            start() + begin(0, text("")) + delta(0, **says("Hi")) + OVERLOADED + delta(0, **says("no"))
        )
        assert json.dumps(chunks_of(frames)).count('"content"') == 2
        for again in (reader.check, reader.end, lambda: reader.feed(b"")):
            with pytest.raises(ProviderError, match="Overloaded"):
                again()

    def test_are_known_without_their_events_name(self):
        with pytest.raises(ProviderError, match="Overloaded"):
            relay(OVERLOADED.removeprefix(b"event: error\n"))


class TestSize:
    @pytest.mark.parametrize(
        ("said", "kind"), [(b"", FailureKind.BAD_ANSWER), (delta(0, **says("Hi")), FailureKind.BROKEN_STREAM)]
    )
    def test_of_one_event_has_an_end(self, monkeypatch, said, kind):
        monkeypatch.setattr(sse, "MAX_FRAME_BYTES", 1000)
        with pytest.raises(ProviderError) as caught:
            relay(start(), said, b"data: " + b"x" * 1200)
        assert caught.value.kind is kind

    @pytest.mark.parametrize(
        ("said", "kind"), [(PING, FailureKind.BAD_ANSWER), (delta(0, **says("Hi")), FailureKind.BROKEN_STREAM)]
    )
    def test_of_a_whole_stream_has_an_end(self, monkeypatch, said, kind):
        monkeypatch.setattr(anthropic_stream, "MAX_STREAM_BYTES", 1000)
        with pytest.raises(ProviderError, match="more than") as caught:
            relay(start(), *[said] * 100)
        assert caught.value.kind is kind
