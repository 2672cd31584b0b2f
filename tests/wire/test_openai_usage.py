"""The usage of every recorded answer of OpenAI's dialect, as the dialect reads it: all of it, in disjoint buckets."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

import msgspec
import pytest

from providers.dialects import openai
from providers.dialects.openai_stream import EventReader
from providers.types import ProviderError, Usage
from tests.wire import fidelity
from tests.wire.recordings import OPENAI_COMPATIBLE, Recording, load, params

pytestmark = pytest.mark.wire

ANSWERS = [recording for recording in load(*OPENAI_COMPATIBLE) if not recording.is_error]
STREAMS = [recording for recording in ANSWERS if recording.is_stream]
TELLS_NOTHING = {"99d447425eb8"}
"""Groq's stream that an error cut off before any usage came."""
PIECES = (1, 7, None)
FILLED = {
    "cached_input_tokens": {"openai": 4012, "openrouter": 3890, "mistral": 1920, "deepseek": 1408},
    "cache_write_5m_tokens": {"openrouter": 5895},
    "reasoning_tokens": {"openai": 5952, "openrouter": 1789, "groq": 356, "deepseek": 698},
    "web_searches": {"openrouter": 4},
}
"""What the recordings tell of these, added up by vendor."""


def read(recording: Recording, *, piece: int | None = None) -> Usage | None:
    return relay(recording, piece=piece)[1].usage if recording.is_stream else openai.read_answer(recording.answer).usage


def relay(recording: Recording, *, piece: int | None) -> tuple[bytes, EventReader]:
    """The stream through the dialect's reader, in pieces; where it ends in an error, what came before that."""
    reader, relayed, stream = EventReader(keep_usage=True), b"", recording.answer
    step = piece or len(stream)
    with contextlib.suppress(ProviderError):
        for at in range(0, len(stream), step):
            relayed += reader.feed(stream[at : at + step])
        relayed += reader.end()
    return relayed, reader


def told(recording: Recording) -> dict[str, Any]:
    """The usage as the vendor tells it, wherever it stands."""
    if not recording.is_stream:
        return msgspec.json.decode(recording.answer)["usage"]
    found: dict[str, Any] = {}
    for payload in fidelity.payloads(recording.answer):
        chunk = msgspec.json.decode(payload)
        found = chunk.get("usage") or chunk.get("x_groq", {}).get("usage") or found
    return found


def test_no_answer_is_left_out() -> None:
    if not ANSWERS:
        pytest.skip("no recordings")
    assert (len(ANSWERS), len(STREAMS), sum(bool(told(recording)) for recording in ANSWERS)) == (210, 12, 209)


@pytest.mark.parametrize("recording", params(ANSWERS))
def test_the_buckets_sum_to_what_the_vendor_counted(recording: Recording) -> None:
    usage = read(recording)
    if recording.id in TELLS_NOTHING:
        assert usage is None
        return
    counted = told(recording)
    assert usage is not None
    assert usage.total_tokens == counted["total_tokens"]
    assert (usage.all_input_tokens, usage.output_tokens) == (counted["prompt_tokens"], counted["completion_tokens"])


@pytest.mark.parametrize("recording", params(STREAMS))
def test_a_stream_says_the_same_however_it_arrives(recording: Recording) -> None:
    relayed = {piece: relay(recording, piece=piece) for piece in PIECES}
    assert len({(events, reader.usage, reader.finish_reason) for events, reader in relayed.values()}) == 1
    events, reader = relayed[1]
    error = [] if reader.finish_reason and reader.is_done else fidelity.payloads(recording.answer)[-1:]
    assert fidelity.payloads(events) + error == fidelity.payloads(recording.answer)


def test_special_buckets_are_filled_from_each_vendors_own_names() -> None:
    if not ANSWERS:
        pytest.skip("no recordings")
    filled: dict[str, Counter[str]] = {bucket: Counter() for bucket in FILLED}
    for recording in ANSWERS:
        usage = read(recording) or Usage()
        for bucket, sums in filled.items():
            sums[recording.vendor] += getattr(usage, bucket)
    assert {bucket: dict(+sums) for bucket, sums in filled.items()} == FILLED
