"""What an answer says, read from either format into one value, so that two answers can be compared field by field.

The Anthropic side is read as its documentation describes it, the OpenAI side as a client of the gateway would.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

import msgspec
from msgspec import Raw

Json = dict[str, Any]

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
COUNTED = frozenset({"input_tokens", "output_tokens", "output_tokens_details"})
"""Keys of a usage that OpenAI has other names for; the rest stands beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    id: str
    model: str
    text: str
    tool_calls: tuple[tuple[str, str, Any, str], ...]
    """Id, name, arguments as JSON values, and their bytes."""
    thinking: tuple[tuple[str, str], ...]
    """Text and signature, or 'redacted' and the data."""
    reasoning: str
    """What a client that knows no signatures shows."""
    finish: str
    native_finish: str
    stop_sequence: str | None
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    usage: Json
    """What the vendor counts beyond that."""
    citations: tuple[tuple[str, str | None, str, int, int], ...]
    """URL, title, cited text, and where in `text` the cited passage starts and ends."""
    native: Any
    """All blocks as they came, where OpenAI's message cannot hold them; else None."""
    beside: Json
    """Fields of the whole answer that OpenAI has not."""

    def differences(self, other: Meaning) -> list[str]:
        return [
            f"{name}: {getattr(self, name)!r} became {getattr(other, name)!r}"
            for name in (one.name for one in fields(self))
            if not _same(getattr(self, name), getattr(other, name))
        ]


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: 1 is neither 1.0 nor true."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


# -- Anthropic ---------------------------------------------------------------------------------------------------------


def inputs(body: bytes) -> dict[int, str]:
    """By block: the JSON of its `input` as it stands in a whole answer."""
    content = msgspec.json.decode(body, type=dict[str, Raw])["content"]
    blocks = msgspec.json.decode(content, type=list[dict[str, Raw]])
    return {at: bytes(block["input"]).decode() for at, block in enumerate(blocks) if "input" in block}


def of_anthropic(body: Json, *, inputs: dict[int, str]) -> Meaning:
    blocks, usage = body["content"], body["usage"]
    cached, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    prompt = usage["input_tokens"] + cached + written
    return Meaning(
        id=body["id"],
        model=body["model"],
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        tool_calls=tuple(
            (block["id"], block["name"], block["input"], inputs[at] or "{}")
            for at, block in enumerate(blocks)
            if block["type"] == "tool_use"
        ),
        thinking=tuple(thought for block in blocks for thought in _thought(block)),
        reasoning="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        finish=FINISH.get(body["stop_reason"], "stop"),
        native_finish=body["stop_reason"],
        stop_sequence=body["stop_sequence"],
        prompt_tokens=prompt,
        completion_tokens=usage["output_tokens"],
        total_tokens=prompt + usage["output_tokens"],
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=(usage.get("output_tokens_details") or {}).get("thinking_tokens", 0),
        usage={name: value for name, value in usage.items() if name not in COUNTED},
        citations=tuple(_cited(blocks)),
        native=blocks if needs_native(blocks) else None,
        beside={name: body[name] for name in ("container", "context_management") if name in body},
    )


def _thought(block: Json) -> list[tuple[str, str]]:
    if block["type"] == "thinking":
        return [(block["thinking"], block["signature"])]
    return [("redacted", block["data"])] if block["type"] == "redacted_thinking" else []


def _cited(blocks: list[Json]) -> list[tuple[str, str | None, str, int, int]]:
    found, end = [], 0
    for block in blocks:
        if block["type"] == "text":
            start, end = end, end + len(block["text"])
            found += [
                (cited["url"], cited.get("title"), cited["cited_text"], start, end)
                for cited in block.get("citations") or ()
                if "url" in cited
            ]
    return found


def needs_native(blocks: list[Json]) -> bool:
    """Whether OpenAI's message loses something of them: other types, citations, or an order that it cannot tell."""
    kinds = [block["type"].removeprefix("redacted_") for block in blocks]
    known = ["thinking", "text", "tool_use"]
    if not set(kinds) <= set(known) or any(block.get("citations") for block in blocks):
        return True
    return kinds != sorted(kinds, key=known.index)


# -- OpenAI ------------------------------------------------------------------------------------------------------------


def of_openai(completion: Json) -> Meaning:
    [choice] = completion["choices"]
    message, usage = choice["message"], completion["usage"]
    known = {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"}
    return Meaning(
        id=completion["id"],
        model=completion["model"],
        text=message["content"] or "",
        tool_calls=tuple(
            (call["id"], call["function"]["name"], json.loads(arguments), arguments)
            for call in message.get("tool_calls") or ()
            for arguments in [call["function"]["arguments"]]
        ),
        thinking=tuple(_reasoned(detail, at=at) for at, detail in enumerate(message.get("reasoning_details") or ())),
        reasoning=message.get("reasoning") or "",
        finish=choice["finish_reason"],
        native_finish=choice["native_finish_reason"],
        stop_sequence=choice.get("stop_sequence"),
        prompt_tokens=usage["prompt_tokens"],
        completion_tokens=usage["completion_tokens"],
        total_tokens=usage["total_tokens"],
        cached_tokens=usage["prompt_tokens_details"]["cached_tokens"],
        cache_write_tokens=usage["prompt_tokens_details"]["cache_write_tokens"],
        reasoning_tokens=usage["completion_tokens_details"]["reasoning_tokens"],
        usage={name: value for name, value in usage.items() if name not in known | COUNTED},
        citations=tuple(_annotated(note) for note in message.get("annotations") or ()),
        native=without_index(message["native_content"]) if "native_content" in message else None,
        beside={name: completion[name] for name in ("container", "context_management") if name in completion},
    )


def without_index(entries: list[Json]) -> list[Json]:
    """A stream numbers the entries of every list; blocks have no such key of their own."""
    return [{name: value for name, value in entry.items() if name != "index"} for entry in entries]


def _reasoned(detail: Json, *, at: int) -> tuple[str, str]:
    assert (detail["format"], detail["index"]) == ("anthropic-claude-v1", at)
    if detail["type"] == "reasoning.encrypted":
        return "redacted", detail["data"]
    assert detail["type"] == "reasoning.text"
    return detail["text"], detail["signature"]


def _annotated(note: Json) -> tuple[str, str | None, str, int, int]:
    assert note["type"] == "url_citation"
    cited = note["url_citation"]
    return cited["url"], cited.get("title"), cited["content"], cited["start_index"], cited["end_index"]
