"""What a request asks the scripted upstream for, and the bytes it gets. Pure: no server."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.upstream.answers import DONE, Asked, answer_to, compose, read_request, usage
from tests.upstream.script import Point, Script, ScriptError, find, parse


def body(model: str = "m", *, message: str = "Say it", **options: Any) -> bytes:
    return msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": message}]} | options)


def payloads(stream: bytes) -> list[dict[str, Any]]:
    frames = stream.removesuffix(DONE).decode().strip().split("\n\n")
    return [msgspec.json.decode(frame.removeprefix("data: ")) for frame in frames]


class TestScript:
    def test_ok_is_a_healthy_vendor(self) -> None:
        assert parse("ok") == parse("") == Script()

    def test_words_compose_in_any_order(self) -> None:
        assert parse("delay_ms=5;chunks=62") == parse("ok; chunks=62; delay_ms=5;") == Script(chunks=62, delay_ms=5)

    def test_a_flag_stands_alone(self) -> None:
        assert parse("no_usage;empty") == Script(no_usage=True, empty=True)

    def test_content_is_percent_decoded(self) -> None:
        assert parse("content=a%3Bb%20c").content == "a;b c"

    def test_a_point_says_where(self) -> None:
        assert parse("stall=first;cut=mid") == Script(stall=Point.FIRST, cut=Point.MID)

    @pytest.mark.parametrize("text", ["staus=503", "nonsense", "empty=1", "chunks", "chunks=many", "cut=later"])
    def test_a_mistake_is_an_error(self, text: str) -> None:
        with pytest.raises(ScriptError):
            parse(text)

    def test_content_and_chunks_exclude_each_other(self) -> None:
        with pytest.raises(ScriptError):
            parse("content=a;chunks=2")


class TestWhereItIsFound:
    @pytest.mark.parametrize("model", ["status=503", "ok;status=503", "vendor/gpt-4o:free?status=503"])
    def test_in_the_model(self, model: str) -> None:
        assert find(model=model, message="#!empty\nHello", default="html") == Script(status=503)

    def test_else_in_the_last_user_messages_first_line(self) -> None:
        assert find(model="gpt-4o", message="#!status=503\nHello", default="html") == Script(status=503)

    def test_else_it_is_the_servers_default(self) -> None:
        assert find(model="gpt-4o", message="Hello status=503", default="html") == Script(html=True)


class TestReading:
    def test_the_last_user_message_counts(self) -> None:
        parts = [{"type": "text", "text": "second one"}, {"type": "image_url", "image_url": {}}]
        messages = [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "user", "content": parts},
            {"role": "tool", "content": "result"},
        ]
        asked = read_request(msgspec.json.encode({"model": "m", "messages": messages}))
        assert (asked.message, asked.prompt_tokens) == ("second one", 4)

    @pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"{}", b'{"model":"m","messages":"x"}'])
    def test_what_is_no_chat_request_gets_400(self, broken: bytes) -> None:
        assert answer_to(broken).status == 400

    def test_a_mistaken_script_gets_400_that_names_it(self) -> None:
        answer = answer_to(body("status=50x"))
        assert (answer.status, b"status cannot be '50x'" in answer.body) == (400, True)


class TestJsonAnswer:
    def test_it_repeats_the_message_without_its_script(self) -> None:
        answer = msgspec.json.decode(answer_to(body(message="#!ok\nHello you")).body)
        assert answer["choices"][0]["message"]["content"] == "You said: Hello you"

    def test_its_usage_can_be_predicted(self) -> None:
        request = body("chunks=7")
        answer = msgspec.json.decode(answer_to(request).body)
        assert answer["usage"] == usage(read_request(request), Script(chunks=7))
        assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (2, 7)

    @pytest.mark.parametrize("limit", [{"max_tokens": 3}, {"max_completion_tokens": 3}])
    def test_a_limit_shortens_it(self, limit: dict[str, Any]) -> None:
        answer = msgspec.json.decode(answer_to(body("chunks=7", **limit)).body)
        assert answer["choices"][0]["message"]["content"] == "w0 w1 w2"
        assert (answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]) == ("length", 3)

    def test_the_same_request_has_the_same_bytes(self) -> None:
        assert compose(Asked(model="m"), Script()).body == compose(Asked(model="m"), Script()).body

    def test_empty_has_a_finish_reason_and_no_completion_tokens(self) -> None:
        answer = msgspec.json.decode(answer_to(body("empty")).body)
        assert answer["choices"][0]["message"]["content"] == ""
        assert (answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]) == ("stop", 0)

    def test_no_usage_and_no_finish(self) -> None:
        answer = msgspec.json.decode(answer_to(body("no_usage;no_finish")).body)
        assert ("usage" in answer, answer["choices"][0]["finish_reason"]) == (False, None)

    def test_bad_json_does_not_parse(self) -> None:
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(answer_to(body("bad_json")).body)


class TestStream:
    def test_role_then_words_then_finish_then_done(self) -> None:
        stream = answer_to(body("chunks=3", stream=True)).body
        choices = [payload["choices"][0] for payload in payloads(stream)]
        assert choices[0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
        assert [choice["delta"].get("content") for choice in choices[1:]] == ["w0", " w1", " w2", None]
        assert [choice["finish_reason"] for choice in choices] == [None, None, None, None, "stop"]
        assert stream.endswith(DONE)

    def test_usage_comes_only_when_asked_for(self) -> None:
        unasked = payloads(answer_to(body(stream=True)).body)
        asked = payloads(answer_to(body(stream=True, stream_options={"include_usage": True})).body)
        assert not any("usage" in payload for payload in unasked)
        assert [payload["usage"] is None for payload in asked] == [True] * len(unasked) + [False]
        assert asked[-1]["choices"] == []

    def test_no_usage_wins_over_the_question(self) -> None:
        stream = answer_to(body("no_usage", stream=True, stream_options={"include_usage": True})).body
        assert b'"usage"' not in stream

    def test_no_finish_and_no_done(self) -> None:
        stream = answer_to(body("no_finish;no_done", stream=True)).body
        assert {payload["choices"][0]["finish_reason"] for payload in payloads(stream)} == {None}
        assert DONE not in stream

    def test_empty_has_only_role_and_finish(self) -> None:
        deltas = [payload["choices"][0]["delta"] for payload in payloads(answer_to(body("empty", stream=True)).body)]
        assert [delta.get("content") for delta in deltas] == ["", None]

    def test_bad_json_is_one_broken_line_before_the_content(self) -> None:
        lines = answer_to(body("bad_json;chunks=2", stream=True)).body.decode().strip().split("\n\n")
        assert [line.endswith("}") for line in lines] == [True, False, True, True, True, False]  # [DONE] ends the list


class TestErrors:
    def test_a_status_with_retry_after(self) -> None:
        answer = answer_to(body("status=429;retry_after=2", stream=True))
        assert (answer.status, answer.script.retry_after, answer.is_stream) == (429, 2, False)
        assert msgspec.json.decode(answer.body)["error"]["type"] == "rate_limit_error"

    def test_error_first_is_a_200(self) -> None:
        answer = answer_to(body("error_first;status=429"))
        assert (answer.status, msgspec.json.decode(answer.body)["error"]["code"]) == (200, 429)

    def test_error_first_is_a_streams_first_event(self) -> None:
        answer = answer_to(body("error_first", stream=True))
        assert (answer.status, answer.is_stream, list(payloads(answer.body)[0])) == (200, True, ["error"])

    def test_html_is_a_page(self) -> None:
        answer = answer_to(body("html"))
        assert (answer.status, answer.content_type, answer.body[:9]) == (200, "text/html; charset=utf-8", b"<!DOCTYPE")


class TestWhatGoesWrong:
    def test_a_whole_answer_though_a_stream_was_asked_for(self) -> None:
        answer = answer_to(body("whole;chunks=2", stream=True))
        assert not answer.is_stream
        assert msgspec.json.decode(answer.body)["choices"][0]["message"]["content"] == "w0 w1"

    def test_an_error_amid_the_content_ends_it(self) -> None:
        *told, error = payloads(answer_to(body("chunks=4;status=503;error_mid", stream=True)).body)
        assert [one["choices"][0]["delta"].get("content") for one in told] == ["", "w0", " w1"]
        assert error["error"]["code"] == 503

    def test_a_broken_line_amid_the_content(self) -> None:
        frames = answer_to(body("chunks=4;bad_line", stream=True)).body.split(b"\n\n")

        assert [b'"w0"' in frames[1], frames[3].endswith(b"-"), b'" w2"' in frames[4]] == [True, True, True]

    def test_only_done(self) -> None:
        assert answer_to(body("only_done", stream=True)).body == DONE

    def test_no_choices(self) -> None:
        assert msgspec.json.decode(answer_to(body("no_choices")).body)["choices"] == []
        stream = payloads(answer_to(body("no_choices;chunks=3", stream=True)).body)
        assert [chunk["choices"] for chunk in stream] == [[]] * 5

    @pytest.mark.parametrize("words", ["code=too_long", "code=too_long;error_first"])
    def test_an_errors_code(self, words: str) -> None:
        assert msgspec.json.decode(answer_to(body(f"status=400;{words}")).body)["error"]["code"] == "too_long"
