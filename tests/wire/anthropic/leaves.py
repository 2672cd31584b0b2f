"""Whether anything of an answer was lost, however it was rearranged: every leaf of the vendor's must stand in ours.

A leaf is a scalar with the key it stands under; null says nothing and is none. Ours must hold it under the same key, at
least as often as the vendor's answer does. The few that go by another name are listed, and `meaning` compares them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
Path = tuple[str, ...]

RENAMED: frozenset[Path] = frozenset(
    {
        ("type",),  # `object`
        ("role",),
        ("stop_reason",),  # `finish_reason`, and as it came `native_finish_reason`
        ("usage", "input_tokens"),  # within `prompt_tokens`
        ("usage", "output_tokens"),  # `completion_tokens`
        ("usage", "output_tokens_details", "thinking_tokens"),  # `reasoning_tokens`
        # The fields of OpenAI's message say of what type they are.
        ("content", "text", "type"),
        ("content", "thinking", "type"),
        ("content", "redacted_thinking", "type"),
        ("content", "tool_use", "type"),
    }
)
TEXT = ("content", "text", "text")
"""Joined with its neighbours in `content`."""
OTHER_KEY = {("content", "thinking", "thinking"): "text"}
"""The text of a reasoning detail."""


def lost(vendors: Json, ours: Json) -> list[str]:
    """Each lost leaf as `path = value`; none when all are there."""
    there = Counter((path[-1], value) for path, value in _leaves(ours))
    content = ours["choices"][0]["message"]["content"] or ""
    missing = []
    for path, value in _leaves(vendors):
        if path in RENAMED:
            continue
        if path == TEXT:
            is_there = json.loads(value) in content
        else:
            leaf = (OTHER_KEY.get(path, path[-1]), value)
            is_there = there[leaf] > 0
            there[leaf] -= 1
        if not is_there:
            missing.append(f"{'.'.join(path)} = {value[:200]}")
    return missing


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Paths without positions, but with the type of the content block they lead through; values as JSON."""
    if isinstance(value, dict):
        for name, entry in value.items():
            is_arguments = name == "arguments" and isinstance(entry, str)
            yield from _leaves(json.loads(entry) if is_arguments else entry, (*path, name))
    elif isinstance(value, list):
        for entry in value:
            yield from _leaves(entry, (*path, str(entry["type"])) if path == ("content",) else path)
    elif value is not None:
        yield path, json.dumps(value)
