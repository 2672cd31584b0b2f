"""Compares the shapes of JSON documents, ours with recorded ones, and reads the recordings. Knows no dialect.

Two rules: what ours carries, a recording carries too, under the same path and with the same JSON type; and a field that
every recorded object at a path has, ours has at that path.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest


def recorded_rows(file: str) -> list[dict[str, Any]]:
    """The rows of one file of recordings; skips the test where they are not."""
    folder = os.environ.get("WIRE_RECORDINGS")
    if not folder:
        pytest.skip("WIRE_RECORDINGS is unset: it names the folder with the recorded provider traffic")
    path = Path(folder) / file
    if not path.is_file():
        pytest.skip(f"WIRE_RECORDINGS names {folder}, which has no {file}")
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


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


def assert_alike(ours: Iterable[Any], recorded: Iterable[Any]) -> None:
    our_shape, real_shape = Shape.of(ours), Shape.of(recorded)
    invented = our_shape.pairs() - real_shape.pairs()
    assert not invented, f"no recording has {sorted(invented)}"
    missing = {
        f"{path}.{key}"
        for path, ours_always in our_shape.required.items()
        for key in real_shape.required[path] - ours_always
    }
    assert not missing, f"every recording has {sorted(missing)}"
