"""Reads JSON that the fast decoder refuses although it is JSON: half of a surrogate pair, numbers beyond a double.

A vendor that cuts a text between the halves of an emoji sends the one half, escaped, and then the other. Such an answer
is relayed in its own bytes like any other; this is for reading what it says. Does not read NaN or Infinity: no JSON.
"""

from __future__ import annotations

import json
import re
from typing import Any, Never

import msgspec

_SURROGATE = re.compile(
    rb"(?<!\\)(?P<before>(?:\\\\)*+)"  # whole pairs of backslashes: one that is left over starts an escape
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?P<other>\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[c-fC-F][0-9a-fA-F]{2})"
)


def decode(data: bytes) -> Any:
    """The value; U+FFFD stands for each half of a pair, so that its strings may be encoded again.

    Raises: msgspec.DecodeError, UnicodeDecodeError, RecursionError.
    """
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        try:
            value = _loaded(data)  # first as it is: most of what comes here is no JSON, and this finds out fast
            return value if (whole := mended(data)) is data else _loaded(whole)
        except ValueError:
            raise error from None


def mended(data: bytes) -> bytes:
    """The same JSON with U+FFFD for each half of a pair, for decoders that refuse it; `data` itself where it has none
    of either half."""
    return _SURROGATE.sub(_whole, data) if b"\\ud" in data or b"\\uD" in data else data


def has_half_a_pair(data: bytes) -> bool:
    return any(not found["other"] for found in _SURROGATE.finditer(data))


def _loaded(data: bytes) -> Any:
    return json.loads(data.decode(), parse_constant=_refuse)


def _whole(surrogate: re.Match[bytes]) -> bytes:
    return surrogate[0] if surrogate["other"] else surrogate["before"] + rb"\ufffd"


def _refuse(name: str) -> Never:
    raise ValueError(name)
