"""Words of sentences that commands and pages share."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Such as `1 row` and `2,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
