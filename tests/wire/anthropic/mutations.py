"""Changes one thing in a JSON value, anywhere, at random: what a comparison must notice."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Json = dict[str, Any]
Path = tuple[str | int, ...]

SAYS_THE_DEFAULT = (("stream", False), ("is_error", False), ("type", "custom"))
"""Leaving these out changes nothing."""


def leaf(value: Json, *, random: Random, spare: Callable[[Path], bool] = lambda _: False) -> tuple[str, Json]:
    """A copy with another scalar at one place, and what was done; places that `spare` names are left alone."""
    places = [(path, old) for path, old in _walk(value) if not isinstance(old, dict | list) and not spare(path)]
    path, old = random.choice(places)
    changed = copy.deepcopy(value)
    _parent(changed, path)[path[-1]] = new = _other(old, random=random)
    return f"{path}: {str(old)[:80]!r} -> {str(new)[:80]!r}", changed


def structure(value: Json, *, random: Random) -> tuple[str, Json]:
    """A copy that lacks a key or an entry, or has two neighbours swapped, and what was done."""
    while True:
        path, _ = random.choice([place for place in _walk(value) if place[0]])
        changed = copy.deepcopy(value)
        parent, at = _parent(changed, path), path[-1]
        if isinstance(parent, dict):
            if (at, parent[at]) not in SAYS_THE_DEFAULT:
                del parent[at]
                return f"{path} dropped", changed
        elif at and parent[at] != parent[at - 1] and random.random() < 0.5:
            parent[at - 1], parent[at] = parent[at], parent[at - 1]
            return f"{path} swapped with the one before", changed
        else:
            del parent[at]
            return f"{path} dropped", changed


def _walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, value
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for at, entry in entries:
        yield from _walk(entry, (*path, at))


def _parent(value: Any, path: Path) -> Any:
    for at in path[:-1]:
        value = value[at]
    return value


def _other(old: Any, *, random: Random) -> Any:
    if isinstance(old, bool):
        return not old
    if isinstance(old, int | float):
        return old + 1
    if not old:
        return "something"
    at = random.randrange(len(old))
    return old[:at] + ("~" if old[at] != "~" else "^") + old[at + 1 :]
