"""The event stream while it is relayed: what comes out does not depend on how the bytes arrive."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.dialects import openai_stream, sse
from providers.dialects.openai_stream import EventReader
from providers.types import FailureKind, ProviderError

ROLE = b'{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}'
HELLO = '{"id":"c", "choices":[{"index":0,"delta":{"content":"H\\u00e9llo é 😀"},"x":1.0}]}'.encode()
FINISH = b'{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
USAGE = b'{"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}'
USAGE_WITH_CHOICE = (
    b'{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}'
)
FILTERED = b'{"id":"","choices":[],"prompt_filter_results":[{"index":0}]}'
DONE = b"[DONE]"


def events(*payloads, newline=b"\n"):
    return b"".join(b"data: " + payload + newline * 2 for payload in payloads)


def relay(*chunks, keep_usage=False):
    """What is relayed of `chunks`, and the reader."""
    reader = EventReader(keep_usage=keep_usage)
    return b"".join([*(reader.feed(chunk) for chunk in chunks), reader.end()]), reader


def relay_only(chunk):
    return EventReader(keep_usage=False).feed(chunk)


def after(*deltas):
    """A reader that has seen these deltas."""
    return relay(events(*(msgspec.json.encode({"choices": [{"delta": delta}]}) for delta in deltas)))[1]


@st.composite
def split(draw, stream):
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


STREAM = [ROLE, HELLO, FILTERED, FINISH, USAGE, DONE]
RELAYED = events(ROLE, HELLO, FILTERED, FINISH)
NOISY = b": ping\n\nevent: x\nid: 7\n" + events(ROLE, HELLO, b"{cut", FILTERED) + b":\n" + events(FINISH, USAGE, DONE)


ODD = [
    b": ping\n\n",
    b"event: x\n" + events(HELLO),
    events(b"{cut"),
    events(b'{"a":1} {"b":2}'),
    events(b""),
    events(b'{"choices":[{}') + events(b"{}]}"),
    b'data: {"choices":\n[]}\n\n',
    b"data:" + HELLO + b"\n\n",
    b"data: " + HELLO + b" \n\n",
    events(b"[1]"),
    events(DONE),
    b"\n\n",
]


def told(reader):
    """All that a reader holds, its open frame included."""
    return vars(reader) | {"_frames": vars(reader._frames), "said": reader.said.pieces, "_say": None}


class TestTogether:
    """Events that arrive together and are all alike are read at once; what is relayed and known is the same."""

    @given(chosen=st.lists(st.sampled_from([*map(events, STREAM[:-1]), *ODD]), max_size=6), keep=st.booleans())
    def test_gives_what_one_by_one_gives(self, chosen, keep):
        together = relay(b"".join(chosen), keep_usage=keep)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(openai_stream, "_decoded_together", lambda events: None)
            singly = relay(b"".join(chosen), keep_usage=keep)
        assert together[0] == singly[0]
        assert told(together[1]) == told(singly[1])

    def test_is_not_what_a_plain_stream_falls_back_from(self, monkeypatch):
        monkeypatch.setattr(EventReader, "_relayed_singly", lambda *_: pytest.fail("read one by one"))
        assert relay_only(events(*STREAM)) == RELAYED

    @pytest.mark.parametrize("name", ["error", "err\\u006fr"])
    def test_gives_what_came_before_an_error_first(self, name):
        reader = EventReader(keep_usage=False)
        error = b'{"%s":{"message":"no","code":503}}' % name.encode()
        assert reader.feed(events(HELLO, error, HELLO)) == events(HELLO)
        with pytest.raises(ProviderError):
            reader.feed(events(HELLO))


class TestAnySplit:
    @pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
    @given(data=st.data())
    def test_the_relayed_bytes_are_the_same(self, newline, data):
        chunks = data.draw(split(events(*STREAM, newline=newline)))
        relayed, reader = relay(*chunks)
        assert relayed == RELAYED
        assert (reader.usage.output_tokens, reader.finish_reason, reader.is_done) == (2, "stop", True)

    @given(data=st.data())
    def test_noise_is_left_out_wherever_it_is_cut(self, data):
        relayed, reader = relay(*data.draw(split(NOISY)))
        assert (relayed, reader.malformed) == (RELAYED, 1)

    def test_one_byte_at_a_time(self):
        stream = events(*STREAM)
        assert relay(*(stream[at : at + 1] for at in range(len(stream))))[0] == RELAYED

    @settings(max_examples=40)
    @given(
        st.lists(
            st.dictionaries(
                st.text(), st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
            ).filter(lambda chunk: not chunk.get("error") and not chunk.get("usage")),
            max_size=5,
        )
    )
    def test_every_object_is_relayed_byte_for_byte(self, chunks):
        stream = events(*map(msgspec.json.encode, chunks))
        assert relay(stream)[0] == stream


class TestWhatIsRelayed:
    @pytest.mark.parametrize(
        "payload",
        [
            HELLO,
            FILTERED,
            b"{}",
            b'{"choices":null}',
            b'{"choices":["odd"]}',
            b'{"choices":[{"delta":null}],"usage":null}',
        ],
    )
    def test_an_object_is_relayed_as_it_came(self, payload):
        assert relay(events(payload))[0] == events(payload)

    def test_the_space_after_the_colon_may_be_missing(self):
        relayed, reader = relay(b"data:" + HELLO + b"\n\n")
        assert relayed.replace(b"data:{", b"data: {") == events(HELLO)
        assert reader.has_content

    def test_a_payload_over_several_lines_stays_one_event(self):
        assert relay(b'data: {"a":\ndata: 1}\n\n')[0] == b'data: {"a":\ndata: 1}\n\n'

    def test_done_is_held_back(self):
        relayed, reader = relay(events(HELLO, DONE))
        assert (relayed, reader.is_done) == (events(HELLO), True)

    def test_a_stream_without_done_is_not_done(self):
        assert relay(events(HELLO, FINISH))[1].is_done is False

    @pytest.mark.parametrize(
        "line", [b": OPENROUTER PROCESSING\n\n", b"event: message\n", b"id: 1\n", b"retry: 5\n", b"\n"]
    )
    def test_a_line_that_is_no_data_is_dropped(self, line):
        relayed, reader = relay(line + events(HELLO))
        assert (relayed, reader.malformed) == (events(HELLO), 0)

    @pytest.mark.parametrize("payload", [b'{"id":"chatcmpl-', b"hello", b"[1]", b'"text"', b"\xff\xfe", b"[" * 50_000])
    def test_a_malformed_line_is_skipped_and_counted(self, payload):
        relayed, reader = relay(events(payload, HELLO))
        assert (relayed, reader.malformed) == (events(HELLO), 1)

    def test_a_last_event_without_its_blank_line_counts(self):
        relayed, reader = relay(events(HELLO) + b"data: " + FINISH)
        assert (relayed, reader.finish_reason) == (events(HELLO, FINISH), "stop")

    def test_a_last_event_cut_in_the_middle_does_not(self):
        relayed, reader = relay(events(HELLO) + b"data: " + FINISH[:-9])
        assert (relayed, reader.finish_reason, reader.malformed) == (events(HELLO), "", 1)


class TestUsage:
    def test_a_usage_chunk_nobody_asked_for_is_removed_but_read(self):
        relayed, reader = relay(events(HELLO, USAGE))
        assert (relayed, reader.usage.input_tokens, reader.usage.output_tokens) == (events(HELLO), 9, 2)

    def test_a_usage_chunk_that_was_asked_for_is_relayed(self):
        relayed, reader = relay(events(HELLO, USAGE), keep_usage=True)
        assert (relayed, reader.usage.output_tokens) == (events(HELLO, USAGE), 2)

    def test_a_chunk_that_carries_a_choice_beside_usage_is_relayed(self):
        relayed, reader = relay(events(USAGE_WITH_CHOICE))
        assert (relayed, reader.usage.output_tokens, reader.finish_reason) == (events(USAGE_WITH_CHOICE), 2, "stop")

    def test_a_later_one_that_says_nothing_does_not_count(self):
        empty = b'{"choices":[],"usage":{"total":3}}'
        _, reader = relay(events(USAGE, empty), events(empty))
        assert reader.usage.output_tokens == 2

    def test_the_last_usage_counts_where_a_vendor_repeats_it(self):
        again = USAGE.replace(b'"completion_tokens":2', b'"completion_tokens":5')
        assert relay(events(USAGE, again))[1].usage.output_tokens == 5


class TestContent:
    @pytest.mark.parametrize(
        "delta",
        [
            {"content": "Hi"},
            {"reasoning": "Hm"},
            {"reasoning_content": "Hm"},
            {"reasoning_details": [{"text": "Hm"}]},
            {"content": None, "refusal": "No."},
            {"tool_calls": [{"index": 0}]},
            {"annotations": [{"type": "url_citation"}]},
            {"audio": {"id": "a"}},
        ],
    )
    def test_anything_a_user_would_see_or_pay_for_is_content(self, delta):
        assert after(delta).has_content is True

    @pytest.mark.parametrize(
        "delta", [{}, {"role": "assistant", "content": ""}, {"content": None}, {"tool_calls": []}, None]
    )
    def test_nothing_to_see_is_none(self, delta):
        assert after(delta).has_content is False

    def test_content_stays_content(self):
        assert after({"content": "Hi"}, {"content": ""}).has_content is True

    def test_text_is_counted_in_characters(self):
        assert after({"content": "Héllo"}, {"content": "😀"}).said.chars == 6

    @pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "refusal"])
    def test_text_of_other_kinds_is_paid_for_and_counted_too(self, name):
        assert after({name: "Hello"}).said.chars == 5

    def test_every_choice_is_read(self):
        chunk = b'{"choices":[{"index":0,"delta":{}},{"index":1,"delta":{"content":"Hi"},"finish_reason":"length"}]}'
        assert relay(events(chunk))[1].has_content is True


def choice(index, reason=None):
    delta = {} if reason else {"content": "Hi"}
    return msgspec.json.encode({"choices": [{"index": index, "delta": delta, "finish_reason": reason}]})


class TestSeveralChoices:
    @pytest.mark.parametrize(
        "seen",
        [
            [choice(0), choice(1), choice(0, "stop"), choice(1)],
            [choice(0), choice(1), choice(1, "stop"), choice(0)],
            [choice(1), choice(1, "stop"), choice(0)],
            [choice(0, "stop"), choice(1)],
            [choice(0), choice(1), choice(2), choice(0, "stop"), choice(2, "stop")],
        ],
    )
    def test_a_stream_has_not_finished_before_each_that_was_seen(self, seen):
        assert relay(events(*seen))[1].finish_reason == ""

    @pytest.mark.parametrize(
        "seen",
        [
            [choice(0), choice(1), choice(0, "stop"), choice(1), choice(1, "length")],
            [choice(1), choice(1, "length")],
            [choice(0, "stop"), choice(1), choice(1, "length"), choice(0), choice(1)],
            [choice(None), choice("x"), choice(-1), choice(10**9), choice(0, "length")],
        ],
    )
    def test_it_has_when_all_have(self, seen):
        assert relay(events(*seen))[1].finish_reason == "length"


class TestErrors:
    @pytest.mark.parametrize(
        ("payload", "kind"),
        [
            (b'{"error":{"message":"busy","code":429}}', FailureKind.RATE_LIMITED),
            (b'{"error":{"message":"down","code":503},"choices":[]}', FailureKind.SERVER_ERROR),
            (b'{"error":{"message":"odd"}}', FailureKind.BAD_ANSWER),
            (b'{"error":"odd"}', FailureKind.BAD_ANSWER),
        ],
    )
    def test_an_error_event_is_judged_by_its_own_code(self, payload, kind):
        with pytest.raises(ProviderError) as caught:
            relay(events(ROLE, payload))
        assert caught.value.kind is kind

    def test_an_error_named_beside_a_plain_event_name_raises_too(self):
        with pytest.raises(ProviderError, match="overloaded"):
            relay(b'event: error\ndata: {"error":{"message":"overloaded"}}\n\n')

    def test_an_error_of_null_is_none(self):
        assert relay(events(b'{"error":null,"choices":[]}'))[1].malformed == 0


class TestFrameSize:
    @pytest.fixture(autouse=True)
    def small_limit(self, monkeypatch):
        monkeypatch.setattr(sse, "MAX_FRAME_BYTES", 1000)

    def test_a_frame_within_the_limit_passes(self):
        large = b'{"x":"' + b"y" * 900 + b'"}'
        assert relay(b"data: " + large[:500], large[500:] + b"\n\n")[0] == events(large)

    def test_a_frame_without_end_is_given_up(self):
        with pytest.raises(ProviderError, match="more than"):
            relay(events(HELLO), b"data: ", b"x" * 600, b"x" * 600)

    def test_so_is_one_of_many_lines(self):
        with pytest.raises(ProviderError, match="more than"):
            relay(events(HELLO), *[b"data: " + b"x" * 100 + b"\n"] * 20)

    def test_after_content_the_stream_is_broken(self):
        with pytest.raises(ProviderError) as caught:
            relay(events(HELLO), b"data: " + b"x" * 1200)
        assert caught.value.kind is FailureKind.BROKEN_STREAM

    def test_before_content_another_model_may_still_answer(self):
        with pytest.raises(ProviderError) as caught:
            relay(events(ROLE), b"data: " + b"x" * 1200)
        assert caught.value.kind is FailureKind.BAD_ANSWER
