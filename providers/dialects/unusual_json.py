"""Reads JSON that the fast decoder refuses although it is JSON: half of a surrogate pair, numbers beyond a double.

A vendor that cuts a text between the halves of an emoji sends the one half, escaped, and then the other. Such an answer
is relayed in its own bytes like any other; this is for reading what it says. Does not read NaN or Infinity: no JSON.
"""

from __future__ import annotations

import json
import re
from typing import Any, Never

import msgspec

_ESCAPE = re.compile(
    rb"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."  # any other escape, so that the second half of `\\` starts none
)


def decode(data: bytes) -> Any:
    """The value; U+FFFD stands for each half of a pair, so that its strings may be encoded again.

    Raises: msgspec.DecodeError, UnicodeDecodeError, RecursionError.
    """
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        try:
            return json.loads(mended(data).decode(), parse_constant=_refuse)
        except ValueError:
            raise error from None


def mended(data: bytes) -> bytes:
    """The same JSON with U+FFFD for each half of a pair, for the fast decoder."""
    return _ESCAPE.sub(_whole, data)


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape.lastgroup == "half" else escape[0]


def _refuse(name: str) -> Never:
    raise ValueError(name)
