"""Reads figures that a vendor reports. Knows no vendor's names for them."""

from __future__ import annotations

NUMBER = (int, float)
"""What a vendor may write a figure as."""
MOST_TOKENS = 1_000_000_000
"""Beyond this a vendor's figure for one request is a mistake, and counts as none."""


def count(value: object) -> int:
    """A number of tokens; what no answer can hold is no count."""
    return int(value) if isinstance(value, NUMBER) and 0 <= value <= MOST_TOKENS else 0


def is_absurd(value: object) -> bool:
    """Whether it is a number that no answer can hold: what was used is then not known, which is not zero."""
    return isinstance(value, NUMBER) and not 0 <= value <= MOST_TOKENS
