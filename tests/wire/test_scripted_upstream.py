"""The scripted upstream against recorded OpenAI traffic: a fake that drifts from the real thing proves nothing.

Two rules, for JSON answers, stream chunks and errors alike: what ours carries, a recording carries too, under the same
path and with the same JSON type; and a field that every recorded object at a path has, ours has at that path.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.upstream.answers import Asked, compose
from tests.upstream.script import parse

pytestmark = pytest.mark.wire

FILE = "openai_chat.jsonl"
RECORDED = {"json": 83, "stream": 2, "error": 8}
SCRIPTS = ("ok", "chunks=3", "empty")
ERROR_SCRIPTS = ("status=400", "status=404", "status=422")
ASKED = Asked(model="gpt-4o", message="What is the capital of the UK?", prompt_tokens=7)
ASKED_STREAM = Asked(model="gpt-4o", message="What is the capital?", prompt_tokens=4, stream=True, include_usage=True)


@dataclass(slots=True)
class Shape:
    """Of a set of JSON documents: which types occur at each path, and which keys every object at a path has."""

    types: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    required: dict[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: Iterable[Any]) -> Shape:
        shape = cls()
        for document in documents:
            shape._add("$", document)
        return shape

    def _add(self, path: str, value: Any) -> None:
        self.types[path].add(type(value).__name__)
        if isinstance(value, dict):
            self.required[path] = self.required.get(path, frozenset(value)) & frozenset(value)
            for key, child in value.items():
                self._add(f"{path}.{key}", child)
        elif isinstance(value, list):
            for child in value:
                self._add(f"{path}[]", child)

    def pairs(self) -> set[tuple[str, str]]:
        return {(path, name) for path, names in self.types.items() for name in names}


@dataclass(frozen=True, slots=True)
class Recordings:
    """The recorded documents by what they are; chunks of all streams together."""

    json: tuple[Any, ...]
    chunks: tuple[Any, ...]
    errors: tuple[Any, ...]
    counts: Counter[str]


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    folder = os.environ.get("WIRE_RECORDINGS")
    if not folder:
        pytest.skip("WIRE_RECORDINGS is unset: it names the folder with the recorded provider traffic")
    path = Path(folder) / FILE
    if not path.is_file():
        pytest.skip(f"WIRE_RECORDINGS names {folder}, which has no {FILE}")
    rows = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    by_kind: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_kind[_kind(row)].append(row)
    return Recordings(
        json=tuple(row["body"] for row in by_kind["json"]),
        chunks=tuple(chunk for row in by_kind["stream"] for chunk in payloads(row["sse"])),
        errors=tuple(row["body"] for row in by_kind["error"]),
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


def assert_alike(ours: list[Any], recorded: tuple[Any, ...]) -> None:
    our_shape, real_shape = Shape.of(ours), Shape.of(recorded)
    invented = our_shape.pairs() - real_shape.pairs()
    assert not invented, f"no recording has {sorted(invented)}"
    missing = {
        f"{path}.{key}"
        for path, ours_always in our_shape.required.items()
        for key in real_shape.required[path] - ours_always
    }
    assert not missing, f"every recording has {sorted(missing)}"


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
