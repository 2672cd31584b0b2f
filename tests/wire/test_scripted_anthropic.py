"""The scripted upstream against recorded Anthropic traffic: messages as JSON, as events, byte framing, and errors.

The rules of `shapes` hold. Recorded server tools (blocks that Anthropic's own servers fill in) are left out of the
comparison: the scripted upstream has none. Everything the API took, the scripted upstream takes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import msgspec
import pytest

from tests.upstream.anthropic import answer_to, compose, read_request
from tests.upstream.exchange import JSON_TYPE, SSE_TYPE, Asked
from tests.upstream.script import parse
from tests.wire.shapes import assert_alike, recorded_rows

pytestmark = pytest.mark.wire

FILE = "anthropic_messages.jsonl"
RECORDED = {(200, JSON_TYPE): 155, (200, SSE_TYPE): 10, (404, JSON_TYPE): 1, (400, JSON_TYPE): 1}
SCRIPTS = ("ok", "chunks=3", "tool=get_capital", "reasoning=Let%20me%20see;content=Wait;tool=get_capital", "cached=2")
OUR_BLOCKS = {"text", "thinking", "tool_use"}
ASKED = Asked(model="claude-sonnet-4-5", message="What is the capital of 'France'?", prompt_tokens=6, max_tokens=99)
ASKED_STREAM = replace(ASKED, stream=True)
FRAME = re.compile(r'event: (\w+)\ndata: (\{"type": ?"\1".*?) *\}')
"""A recorded event: its name, its payload of the same type, and blanks before the last brace."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream; `block` is the type of the block it belongs to."""

    name: str
    payload: dict[str, Any]
    block: str = ""

    @property
    def kind(self) -> tuple[str, str, str]:
        """What tells this event from others: of a delta, its own type too."""
        return self.name, self.block, (self.payload.get("delta") or {}).get("type", "")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return recorded_rows(FILE)


@pytest.fixture(scope="module")
def streams(rows: list[dict[str, Any]]) -> list[str]:
    return [row["sse"] for row in rows if row.get("sse")]


def bodies(rows: Iterable[dict[str, Any]], *, status: int) -> list[dict[str, Any]]:
    """The recorded JSON answers, without the blocks that ours never has."""
    found = [row["body"] for row in rows if row["status"] == status and "body" in row]
    return [body | {"content": _own(body["content"])} if "content" in body else body for body in found]


def events(stream: str) -> list[Event]:
    """A stream's events; those of blocks that ours never has are left out."""
    found: list[Event] = []
    blocks: dict[int, str] = {}
    for frame in stream.removesuffix("\n\n").split("\n\n"):
        name, data = frame.removeprefix("event: ").split("\ndata: ")
        payload = msgspec.json.decode(data)
        if name == "content_block_start":
            blocks[payload["index"]] = payload["content_block"]["type"]
        block = blocks.get(payload.get("index", -1), "")
        if not block or block in OUR_BLOCKS:
            found.append(Event(name, payload, block))
    return found


def _own(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Blocks of the types ours has. Which keys an input has is the tool's affair."""
    return [block | ({"input": {}} if "input" in block else {}) for block in content if block["type"] in OUR_BLOCKS]


def our_stream(script: str) -> str:
    return compose(ASKED_STREAM, parse(script)).body.decode()


def by_kind(found: Iterable[Event]) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    kinds: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for event in found:
        kinds.setdefault(event.kind, []).append(event.payload)
    return kinds


def told(stream: str) -> list[list[tuple[str, str]]]:
    """How a stream tells each block: its events' names and deltas in order, equal neighbours once, without pings."""
    blocks: list[list[tuple[str, str]]] = [[]]
    for name, block, delta in (event.kind for event in events(stream) if event.name != "ping"):
        if name in {"content_block_start", "message_delta"}:
            blocks.append([])
        if blocks[-1][-1:] != [(name, block + delta)]:
            blocks[-1].append((name, block + delta))
    return blocks


def test_nothing_recorded_was_skipped(rows: list[dict[str, Any]]) -> None:
    assert Counter((row["status"], row["content_type"]) for row in rows) == Counter(RECORDED)


def test_content_types_are_the_recorded_ones(rows: list[dict[str, Any]]) -> None:
    ours = {compose(asked, parse(script)).content_type for asked in (ASKED, ASKED_STREAM) for script in SCRIPTS}
    assert ours == {row["content_type"] for row in rows}


def test_json_answers_look_recorded(rows: list[dict[str, Any]]) -> None:
    ours = [msgspec.json.decode(compose(ASKED, parse(script)).body) for script in SCRIPTS]
    assert_alike([body | {"content": _own(body["content"])} for body in ours], bodies(rows, status=HTTPStatus.OK))


def test_a_met_stop_sequence_looks_recorded(rows: list[dict[str, Any]]) -> None:
    recorded = [body for body in bodies(rows, status=HTTPStatus.OK) if body["stop_reason"] == "stop_sequence"]
    ours = msgspec.json.decode(compose(replace(ASKED, stop=("capital",)), parse("ok")).body)
    assert [(body["stop_reason"], body["stop_sequence"]) for body in recorded] == [("stop_sequence", "Paris")]
    assert (ours["stop_reason"], ours["stop_sequence"]) == ("stop_sequence", "capital")


@pytest.mark.parametrize("script", ["status=400", "status=404"])
def test_errors_look_recorded(rows: list[dict[str, Any]], script: str) -> None:
    answer = compose(ASKED, parse(script))
    recorded = bodies(rows, status=answer.status)
    ours = msgspec.json.decode(answer.body)
    assert_alike([ours], recorded)
    assert {ours["error"]["type"]} == {body["error"]["type"] for body in recorded}


def test_an_unknown_model_is_told_in_the_recorded_words(rows: list[dict[str, Any]]) -> None:
    row = next(row for row in rows if row["status"] == HTTPStatus.NOT_FOUND)
    asked = read_request(msgspec.json.encode(row["request"]))
    ours = msgspec.json.decode(compose(asked, parse("status=404")).body)
    assert ours["error"] == row["body"]["error"]


def test_events_look_recorded(streams: list[str]) -> None:
    recorded = by_kind(event for stream in streams for event in events(stream))
    ours = by_kind(event for script in SCRIPTS for event in events(our_stream(script)))
    for kind, payloads in ours.items():
        assert kind in recorded, f"no recording has {kind}"
        assert_alike(payloads, recorded[kind])


def test_blocks_are_told_in_the_recorded_order(streams: list[str]) -> None:
    recorded = [block for stream in streams for block in told(stream)]
    for script in SCRIPTS:
        for block in told(our_stream(script)):
            assert block in recorded, f"no recording tells a block like {script}: {block}"


def test_the_first_ping_comes_where_a_recording_has_it(streams: list[str]) -> None:
    def place(stream: str) -> list[str]:
        names = re.findall(r"^event: (\w+)$", stream, re.MULTILINE)
        return names[: names.index("ping")]

    recorded = [place(stream) for stream in streams if "event: ping" in stream]
    assert all(place(our_stream(script)) in recorded for script in SCRIPTS)


def test_frames_are_spaced_as_recorded(streams: list[str]) -> None:
    ours = [our_stream(script) for script in SCRIPTS]
    for stream in streams + ours:
        assert stream.endswith("\n\n")
        assert all(FRAME.fullmatch(frame) for frame in stream.removesuffix("\n\n").split("\n\n"))
    assert 'event: ping\ndata: {"type": "ping"}\n\n' in streams[0]
    assert 'event: ping\ndata: {"type": "ping"}\n\n' in ours[0]
    assert all(re.search(r" +\}\n\n", stream) for stream in ours)


def test_it_takes_every_request_that_was_answered(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        answer = answer_to(msgspec.json.encode(row["request"]))
        assert answer.status == HTTPStatus.OK, f"{row['case']}: {answer.body.decode()}"
