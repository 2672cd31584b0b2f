"""Takes secrets and people's numbers out of texts that are kept. Pure; `masking_rules` says what is looked for.

A net with holes: it knows what has a form of its own, and no names, addresses, or secrets that look like words.
docs/bodies.md says so to those who switch bodies on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from analytics.masking_rules import (
    NUMBERS,
    OVER_LINES,
    SECRET,
    SECRET_NAME,
    SECRETS,
    Rule,
    is_value,
    size,
    without_pairs,
)

PIECE_CHARS = 16 * 1024
"""About as much is masked in one go: Python lets no other thread run during a search."""
_END = re.compile(r"\n|(?<=[a-z])(?<! is)(?<! are)(?<!lautet)(?<!bearer)(?<!basic) (?=[a-z])(?!(?:is|are|lautet)\b)")
"""Where a text may be parted: at the end of a line, and in a long one between two plain words, as nothing that is
masked goes on there."""
_LONGEST_NAME = 64
_BLOB_CHARS = 1024
_BLOB = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_")


def _no_pause() -> None: ...


def mask(text: str, *, between: Callable[[], None] = _no_pause) -> str:
    """The text with a short label for each thing that is taken out. `between` is called between its pieces."""
    text = without_files(text)
    if len(text) <= PIECE_CHARS:
        return _in_a_line(text)
    masked = []
    for piece in _pieces(text):
        masked.append(_in_a_line(piece))
        between()
    return "".join(masked)


def mask_value(name: str, text: str, *, between: Callable[[], None] = _no_pause) -> str:
    """What stands under this name in an object."""
    return SECRET if named(name, text) == SECRET else mask(text, between=between)


def named(name: str, text: str) -> str:
    """The text as it is, unless this name says that it is a secret."""
    return SECRET if len(name) <= _LONGEST_NAME and SECRET_NAME.search(name) and is_value(text) else text


def without_files(text: str) -> str:
    """Data URLs, private keys and lines of base64 have their labels; little may be left. Fast, whatever the length."""
    return _by(OVER_LINES, text)


def blob(text: str) -> str | None:
    """The label of a text that is one long run of base64, by its beginning; None for any other."""
    is_one = len(text) > _BLOB_CHARS and _BLOB.issuperset(text[:_BLOB_CHARS]) and " " not in text and "\n" not in text
    return f"[base64, {size(len(text))}]" if is_one else None


def _by(rules: tuple[Rule, ...], text: str) -> str:
    lowered = text.lower()
    for rule in rules:
        if rule.may_be_in(text, lowered=lowered):
            text = rule.pattern.sub(rule.label, text)
    return text


def _in_a_line(text: str) -> str:
    text = _by(SECRETS, text)
    return _by(NUMBERS, without_pairs(text, lowered=text.lower()))


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        found = _END.search(text, start + PIECE_CHARS)
        end = found.end() if found else len(text)
        yield text[start:end]
        start = end
