"""All recordings of OpenAI's dialect through a real gateway: nothing is lost, nothing is changed, either way."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.wire import fidelity, openai_gateway
from tests.wire.openai_gateway import Recorded, reply_of, request_of
from tests.wire.recordings import OPENAI_COMPATIBLE, Recording, load, params

pytestmark = pytest.mark.wire

ALL = list(load(*OPENAI_COMPATIBLE))
WHOLE = [recording for recording in ALL if not recording.is_stream and not recording.is_error]
STREAMS = [recording for recording in ALL if recording.is_stream]
ERRORS = [recording for recording in ALL if recording.is_error]
FIRST_OF_EACH = list({recording.kind: recording for recording in reversed(ALL)}.values())

CLIENT_STATUS = {400: 400, 404: 502, 429: 429}
"""What a client gets for a vendor's status: 404 is the operator's to mend."""
ENDS_IN_AN_ERROR = {"99d447425eb8", "87698efdd2b0"}
"""Streams that broke after content: Groq's failed tool call, OpenRouter's reached limit."""
GATEWAYS_OWN = {"45bb05c28332": {"models"}}
"""Requests with a field that means something to the gateway itself: it falls over between these models."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    with openai_gateway.running(ALL, folder=tmp_path_factory.mktemp("recorded")) as running:
        yield running


def test_no_recording_is_left_out() -> None:
    if not ALL:
        pytest.skip("no recordings")
    assert Counter(recording.kind for recording in ALL) == OPENAI_COMPATIBLE
    assert (len(ALL), len(WHOLE), len(STREAMS), len(ERRORS)) == (222, 198, 12, 12)


class TestAnswers:
    @pytest.mark.parametrize("recording", params(WHOLE))
    def test_a_whole_answer_is_relayed_byte_for_byte(self, recorded: Recorded, recording: Recording) -> None:
        had = recorded.exchange(recording)
        assert had.answer.status_code == 200
        assert fidelity.lost(recording.answer, had.body) == []
        assert had.body == recording.answer

    @pytest.mark.parametrize("piece", [1, 7, None], ids=["byte by byte", "by sevens", "at once"])
    @pytest.mark.parametrize("recording", params(STREAMS))
    def test_a_streams_payloads_are_relayed_byte_for_byte(
        self, recorded: Recorded, recording: Recording, piece: int | None
    ) -> None:
        had = recorded.exchange(recording, piece=piece)
        assert had.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert fidelity.payloads(had.body) == fidelity.payloads(recording.answer)
        assert had.body.endswith(b"data: [DONE]\n\n") is (recording.id not in ENDS_IN_AN_ERROR)

    @pytest.mark.parametrize("recording", params([r for r in STREAMS if "stream_options" in r.asked]))
    def test_usage_that_was_not_asked_for_is_all_that_is_missing(
        self, recorded: Recorded, recording: Recording
    ) -> None:
        had = recorded.send(request_of(recording, stream_options=None), reply=reply_of(recording, piece=7))
        wanted = [payload for payload in fidelity.payloads(recording.answer) if not _is_usage_alone(payload)]
        assert fidelity.payloads(had.body) == wanted
        edits = fidelity.edits(had.sent, had.received[0].body)
        assert edits.pop("stream_options") == (None, '{"include_usage":true}')
        assert edits.keys() == {"model"} | GATEWAYS_OWN.get(recording.id, set())


class TestErrors:
    @pytest.mark.parametrize("recording", params(ERRORS))
    def test_the_vendors_error_is_told(self, recorded: Recorded, recording: Recording) -> None:
        had = recorded.exchange(recording)
        told, error = had.answer.json()["error"], msgspec.json.decode(recording.answer)["error"]
        assert had.answer.status_code == CLIENT_STATUS[recording.status]
        assert error["message"] in told["message"]
        assert ("retry-after" in had.answer.headers) is (recording.status == 429)
        if recording.status == 400:
            assert {name: told[name] for name in error} == error
        else:
            assert told["code"] == {404: "provider_credentials", 429: "provider_rate_limited"}[recording.status]

    @pytest.mark.parametrize("recording", params(ERRORS))
    def test_what_the_caller_has_to_mend_loses_nothing(self, recorded: Recorded, recording: Recording) -> None:
        if recording.status == 400:
            assert fidelity.lost(recording.answer, recorded.exchange(recording).body) == []
        assert len(recorded.exchange(recording).received) == 1  # it would not be any better a second time


class TestRequests:
    @pytest.mark.parametrize("recording", params(ALL))
    def test_it_reaches_the_provider_as_it_was_sent(self, recorded: Recorded, recording: Recording) -> None:
        had = recorded.exchange(recording)
        (received,) = had.received
        assert (received.method, received.path) == ("POST", recorded.paths[recording.vendor])
        edits = fidelity.edits(had.sent, received.body)
        assert edits.pop("model")[1] == fidelity.fields(recording.question)["model"]
        if recording.is_stream and "stream_options" not in recording.asked:
            assert edits.pop("stream_options") == (None, '{"include_usage":true}')
        assert edits.keys() == GATEWAYS_OWN.get(recording.id, set())

    @pytest.mark.parametrize("recording", params(FIRST_OF_EACH))
    def test_no_header_of_the_client_goes_with_it(self, recorded: Recorded, recording: Recording) -> None:
        headers = recorded.exchange(recording).received[0].headers
        has_key = recording.vendor != "ollama"
        assert headers.get("authorization") == (
            f"Bearer {openai_gateway.credential(recording.vendor)}" if has_key else None
        )
        assert headers.keys() - {"authorization"} == {
            "host", "content-type", "content-length", "user-agent", "accept-encoding"
        }  # fmt: skip


class TestTheComparison:
    """It would notice: one letter changed anywhere is told."""

    @pytest.mark.parametrize("recording", params(ALL))
    def test_one_letter_of_an_answer_is_missed(self, recording: Recording) -> None:
        changed = one_letter_changed(recording.answer, seed=recording.id)
        if recording.is_stream:
            assert fidelity.payloads(changed) != fidelity.payloads(recording.answer)
        else:
            assert fidelity.lost(recording.answer, changed)

    @pytest.mark.parametrize("recording", params(ALL))
    def test_one_letter_of_a_request_is_missed(self, recording: Recording) -> None:
        assert fidelity.edits(recording.question, one_letter_changed(recording.question, seed=recording.id))

    @pytest.mark.parametrize("recording", params([*WHOLE[::40], *STREAMS[::4]]))
    def test_a_provider_that_answers_with_another_letter_is_found_out(
        self, recorded: Recorded, recording: Recording
    ) -> None:
        changed = one_letter_changed(recording.answer, seed=recording.id)
        had = recorded.send(request_of(recording), reply=reply_of(recording, body=changed))
        if recording.is_stream:
            assert fidelity.payloads(had.body) == fidelity.payloads(changed) != fidelity.payloads(recording.answer)
        else:
            assert fidelity.lost(changed, had.body) == []
            assert fidelity.lost(recording.answer, had.body)

    @pytest.mark.parametrize("recording", params(FIRST_OF_EACH))
    def test_a_number_written_otherwise_is_missed(self, recorded: Recorded, recording: Recording) -> None:
        had = recorded.send(request_of(recording, seed=Raw(b"1.0")), reply=reply_of(recording))
        (received,) = had.received
        assert "seed" not in fidelity.edits(had.sent, received.body)
        assert "seed" in fidelity.edits(had.sent, received.body.replace(b'"seed":1.0', b'"seed":1'))


def one_letter_changed(document: bytes, *, seed: str) -> bytes:
    """The same with one letter of one of its strings replaced, so that it is still JSON."""
    choice = random.Random(seed)
    places = [match.start(1) for match in re.finditer(rb'": ?"[^"\\]*?([a-z])[^"\\]*"', document)]
    at = choice.choice(places)
    return document[:at] + (b"Q" if document[at : at + 1] != b"Q" else b"Z") + document[at + 1 :]


def _is_usage_alone(payload: bytes) -> bool:
    chunk: dict[str, Any] = msgspec.json.decode(payload)
    return bool(chunk.get("usage")) and not chunk.get("choices")
