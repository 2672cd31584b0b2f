"""Rows as CSV (RFC 4180, UTF-8, a header line) that a spreadsheet can open without running what a name says."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def written(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, with_header: bool = True) -> str:
    """Without its header it is a later part of a file that is written piece by piece."""
    text = io.StringIO()
    writer = csv.writer(text)
    if with_header:
        writer.writerow(columns)
    writer.writerows([[_cell(row.get(column)) for column in columns] for row in rows])
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Texts that a spreadsheet would take for a formula begin with an apostrophe (OWASP, CSV injection); an amount of
    money is a text as well, and may be negative."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str) or not value.startswith(_STARTS_A_FORMULA):
        return value
    return value if value.removeprefix("-").replace(".", "", 1).isdecimal() else f"'{value}"
