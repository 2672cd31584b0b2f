"""Puts streams together, each into the object a whole answer would have been: Anthropic's events, OpenAI's chunks.

Written from the two formats' descriptions. Raises AssertionError where a stream breaks its own format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

REPLACED = frozenset({"index", "id", "type", "role", "format", "name"})
"""Of a delta: said once or again, never in pieces."""


def payloads(stream: str) -> Iterator[str]:
    """What stands behind `data: `, event by event; every event here is one line of data."""
    for line in stream.replace("\r\n", "\n").split("\n"):
        if line.startswith("data:"):
            yield line.removeprefix("data:").removeprefix(" ")


# -- Anthropic ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class AnthropicMessage:
    body: Json = field(default_factory=dict)
    inputs: dict[int, str] = field(default_factory=dict)
    """By block: the JSON of its `input` as it was sent, for blocks whose input came in pieces."""


def anthropic(stream: str) -> AnthropicMessage:
    message = AnthropicMessage()
    events = [json.loads(payload) for payload in payloads(stream)]
    assert [event["type"] for event in events].count("message_stop") == 1 and events[-1]["type"] == "message_stop"
    for event in events:
        _take_event(message, event)
    return message


def _take_event(message: AnthropicMessage, event: Json) -> None:
    match event["type"]:
        case "message_start":
            message.body = event["message"]
        case "content_block_start":
            assert event["index"] == len(message.body["content"])
            message.body["content"].append(event["content_block"])
        case "content_block_delta":
            _take_delta(message, event["index"], event["delta"])
        case "content_block_stop":
            if event["index"] in message.inputs:
                block = message.body["content"][event["index"]]
                block["input"] = json.loads(message.inputs[event["index"]] or "{}")
        case "message_delta":
            message.body |= event["delta"] | {"usage": message.body["usage"] | event["usage"]}
        case kind:
            assert kind in ("ping", "message_stop"), kind


def _take_delta(message: AnthropicMessage, index: int, delta: Json) -> None:
    block = message.body["content"][index]
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] += delta["signature"]
        case "input_json_delta":
            message.inputs[index] = message.inputs.get(index, "") + delta["partial_json"]
        case "citations_delta":
            block.setdefault("citations", []).append(delta["citation"])
        case kind:
            raise AssertionError(f"a delta of type {kind}")


# -- OpenAI ------------------------------------------------------------------------------------------------------------


def chunks(stream: str) -> list[Json]:
    """Every chunk of a stream that ends as it should."""
    found = list(payloads(stream))
    assert found[-1:] == ["[DONE]"], found[-1:]
    return [json.loads(payload) for payload in found[:-1]]


def openai(stream: list[Json]) -> Json:
    """The completion that the chunks of one choice tell."""
    whole: Json = {}
    choice: Json = {"message": {}}
    finished = False
    for chunk in stream:
        assert chunk["object"] == "chat.completion.chunk"
        for name in ("id", "created", "model"):
            assert whole.setdefault(name, chunk[name]) == chunk[name], f"{name} changed"
        whole |= {name: value for name, value in chunk.items() if name not in ("choices", "object")}
        for said in chunk["choices"]:
            assert not finished, "a delta after the finish reason"
            _take_choice(choice, said)
            finished = said["finish_reason"] is not None
    assert finished, "no finish reason"
    return whole | {"object": "chat.completion", "choices": [choice]}


def _take_choice(choice: Json, said: Json) -> None:
    assert said["index"] == 0
    choice |= {name: value for name, value in said.items() if name != "delta"}
    _take_pieces(choice["message"], said["delta"])


def _take_pieces(whole: Json, pieces: Json) -> None:
    for name, piece in pieces.items():
        known = whole.get(name)
        if name == "native_content":  # whole blocks: nothing in them comes in pieces
            whole[name] = (known or []) + piece
        elif known is None or name in REPLACED:
            whole[name] = _indexed([], piece) if isinstance(piece, list) else piece
        elif isinstance(known, str):
            whole[name] = known + piece
        elif isinstance(known, dict):
            _take_pieces(known, piece)
        else:
            whole[name] = _indexed(known, piece)


def _indexed(known: list[Json], pieces: list[Json]) -> list[Json]:
    for piece in pieces:
        assert piece["index"] <= len(known), f"entry {piece['index']} after {len(known)}"
        if piece["index"] == len(known):
            known.append({})
        _take_pieces(known[piece["index"]], piece)
    return known
