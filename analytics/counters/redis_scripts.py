"""The Lua scripts of the Redis store, one a step, put together from the files in `lua/`.

A file's first line names the pieces (`_*.lua`) that go before it. Every script takes as its first two arguments the
time ('' for Redis' own) and the run id of the server, which whoever has the connection puts there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).with_name("lua")
_NEEDS = "-- needs:"


@dataclass(frozen=True, slots=True)
class Script:
    body: str
    sha: str


@cache
def script(name: str) -> Script:
    own = _read(name)
    first, _, _ = own.partition("\n")
    pieces = first.removeprefix(_NEEDS).split() if first.startswith(_NEEDS) else []
    body = "\n".join([*map(_read, pieces), own])
    # SHA-1 is how Redis names scripts.
    return Script(body, hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest())


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
