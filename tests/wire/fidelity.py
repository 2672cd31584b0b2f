"""Compares what went in with what came out, byte for byte and leaf for leaf.

On the standard library's JSON alone, not on the decoder the gateway uses: both would be blind to the same thing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

_BETWEEN = re.compile(r"[\s,:]*")
_DONE = b"[DONE]"


class _Object(list[tuple[str, Any]]):
    """An object's pairs as they stand, repeated names included."""


class _Number(str):
    """A number as it is written."""


def leaves(document: bytes) -> Counter[tuple[str, str]]:
    """Every scalar and every empty container with its path, numbers as they are written."""
    value = json.loads(document, object_pairs_hook=_Object, parse_float=_Number, parse_int=_Number)
    return Counter(_leaves(value, path="$"))


def lost(recorded: bytes, received: bytes) -> list[tuple[str, str]]:
    """Leaves of `recorded` that `received` has not."""
    return sorted((leaves(recorded) - leaves(received)).elements())


def fields(document: bytes) -> dict[str, str]:
    """The top-level fields of an object, each in its own bytes."""
    text, decoder = document.decode(), json.JSONDecoder()
    found: dict[str, str] = {}
    at = _next(text, text.index("{") + 1)
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        start = _next(text, at)
        _, at = decoder.raw_decode(text, start)
        found[name] = text[start:at]
        at = _next(text, at)
    return found


def edits(sent: bytes, received: bytes) -> dict[str, tuple[str | None, str | None]]:
    """The top-level fields that differ, with their bytes before and after; None where one is not there."""
    before, after = fields(sent), fields(received)
    names = before.keys() | after.keys()
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def payloads(stream: bytes) -> list[bytes]:
    """The `data:` payloads of an event stream in order, without `[DONE]`."""
    found = [b"\n".join(lines) for event in _events(stream) if (lines := list(_data(event)))]
    return [payload for payload in found if payload != _DONE]


def _events(stream: bytes) -> list[bytes]:
    return re.split(rb"(?:\r\n|\r|\n){2,}", stream)


def _data(event: bytes) -> Iterator[bytes]:
    for line in event.splitlines():
        if line.startswith(b"data:"):
            yield line[5:].removeprefix(b" ")


def _next(text: str, at: int) -> int:
    between = _BETWEEN.match(text, at)
    return between.end() if between else at


def _leaves(value: Any, *, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, _Object) and value:
        for name, child in value:
            yield from _leaves(child, path=f"{path}.{name}")
    elif isinstance(value, list) and value:
        for at, child in enumerate(value):
            yield from _leaves(child, path=f"{path}[{at}]")
    else:
        yield path, f"{type(value).__name__} {value!r}"
