"""How people read and type a price: USD for one request, search or image, and USD per million tokens.

Pure. The catalog file, the admin and the API go by it; the database and the accounting know USD for one unit only.
"""

from __future__ import annotations

from decimal import Decimal

from providers.types import Unit

PRICED_BY_ONE = frozenset({Unit.REQUEST, Unit.WEB_SEARCH, Unit.IMAGE})
"""Units listed as USD for one; all others are listed as USD per million tokens."""
EXACT_DIGITS = 15
"""Significant digits that every database returns as they went in (SQLite computes in binary floating point)."""


def shift_of(unit: Unit | str) -> int:
    """How many places to the left the point of a listed price moves to give USD for one unit."""
    return 0 if unit in PRICED_BY_ONE else 6


def usd_per_unit(unit: Unit | str, listed: Decimal) -> Decimal:
    """A listed price as USD for one unit, exactly."""
    return listed.scaleb(-shift_of(unit))


def listed_usd(unit: Unit | str, usd: Decimal) -> Decimal:
    """USD for one unit as it is listed, in plain digits: the reverse of `usd_per_unit`."""
    return Decimal(f"{usd.scaleb(shift_of(unit)).normalize():f}")
