"""The scripted upstream against recorded OpenAI traffic: a fake that drifts from the real thing proves nothing.

The rules of `shapes` hold for JSON answers, stream chunks and errors alike. Its strict side takes what OpenAI took.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import msgspec
import pytest

from tests.upstream import openai_strict
from tests.upstream.answers import Asked, answer_to, compose
from tests.upstream.exchange import Tool
from tests.upstream.script import parse
from tests.wire.shapes import assert_alike, recorded_rows

pytestmark = pytest.mark.wire

FILE = "openai_chat.jsonl"
RECORDED = {"json": 83, "stream": 2, "error": 8}
SCRIPTS = ("ok", "chunks=3", "empty", "tool=get_capital", "content=Wait;tool=get_capital", "finish=length;cached=2")
ERROR_SCRIPTS = ("status=400", "status=404", "status=422")
CAPITAL = Tool(name="get_capital", schema={"type": "object", "properties": {"country": {"type": "string"}}})
ASKED = Asked(model="gpt-4o", message="What is the capital of the UK?", prompt_tokens=7)
ASKED_STREAM = Asked(model="gpt-4o", message="What is the capital?", prompt_tokens=4, stream=True, include_usage=True)


@dataclass(frozen=True, slots=True)
class Recordings:
    """The recorded documents by what they are; chunks of all streams together."""

    json: tuple[Any, ...]
    chunks: tuple[Any, ...]
    errors: tuple[Any, ...]
    requests: tuple[bytes, ...]
    """Those that were answered."""
    counts: Counter[str]


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    by_kind: defaultdict[str, list[Any]] = defaultdict(list)
    for row in recorded_rows(FILE):
        by_kind[_kind(row)].append(row)
    return Recordings(
        json=tuple(row["body"] for row in by_kind["json"]),
        chunks=tuple(chunk for row in by_kind["stream"] for chunk in payloads(row["sse"])),
        errors=tuple(row["body"] for row in by_kind["error"]),
        requests=tuple(msgspec.json.encode(row["request"]) for kind in ("json", "stream") for row in by_kind[kind]),
        counts=Counter({kind: len(found) for kind, found in by_kind.items()}),
    )


def _kind(row: dict[str, Any]) -> str:
    if row["status"] != HTTPStatus.OK:
        return "error"
    return "stream" if row.get("sse") else "json"


def payloads(stream: str) -> Iterator[Any]:
    for line in stream.splitlines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield msgspec.json.decode(line.removeprefix("data: "))


def our_json(scripts: Iterable[str]) -> list[Any]:
    return [msgspec.json.decode(compose(ASKED, parse(script)).body) for script in scripts]


def our_chunks(script: str) -> list[Any]:
    return list(payloads(compose(ASKED_STREAM, parse(script)).body.decode()))


def test_nothing_recorded_was_skipped(recordings: Recordings) -> None:
    assert recordings.counts == Counter(RECORDED)


def test_json_answers_look_recorded(recordings: Recordings) -> None:
    assert_alike(our_json(SCRIPTS), recordings.json)


def test_stream_chunks_look_recorded(recordings: Recordings) -> None:
    assert_alike([chunk for script in SCRIPTS for chunk in our_chunks(script)], recordings.chunks)


def test_errors_look_recorded(recordings: Recordings) -> None:
    # Recorded errors name a parameter or a code; a scripted one has neither to name.
    told = [error | {"error": error["error"] | {"param": "messages"}} for error in our_json(ERROR_SCRIPTS)]
    assert_alike(told, recordings.errors)


def test_a_stream_is_told_in_the_recorded_order(recordings: Recordings) -> None:
    """Role, content, finish, usage: the order of chunk kinds, repetitions left out, is that of a recorded stream."""
    assert _order(our_chunks("chunks=3")) in {_order(stream) for stream in _streams(recordings.chunks)}


def test_a_call_is_streamed_in_the_recorded_order(recordings: Recordings) -> None:
    """The name comes with the role, its arguments follow in fragments."""
    called = list(payloads(compose(replace(ASKED_STREAM, tools=(CAPITAL,), must_call=True), parse("ok")).body.decode()))
    assert _order(called) in {_order(stream) for stream in _streams(recordings.chunks)}


def test_the_strict_side_takes_what_was_answered(recordings: Recordings) -> None:
    for request in recordings.requests:
        openai_strict.check(request)


def test_strict_refusals_look_recorded(recordings: Recordings) -> None:
    broken = [b'{"model":"m","messages":[]}', b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":0}']
    assert_alike([msgspec.json.decode(answer_to(body, strict=True).body) for body in broken], recordings.errors)


def _streams(chunks: Iterable[Any]) -> list[list[Any]]:
    by_id: defaultdict[str, list[Any]] = defaultdict(list)
    for chunk in chunks:
        by_id[chunk["id"]].append(chunk)
    return list(by_id.values())


def _order(stream: list[Any]) -> tuple[tuple[str, ...], ...]:
    """Each chunk as the keys that tell its kind, equal neighbours once."""
    kinds: list[tuple[str, ...]] = []
    for chunk in stream:
        kind = tuple(sorted(chunk["choices"][0]["delta"])) if chunk["choices"] else ("usage",)
        if kinds[-1:] != [kind]:
            kinds.append(kind)
    return tuple(kinds)
