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
DIGITS, PLACES = 20, 14
"""Of the column of prices: all digits, and those after the point."""


def shift_of(unit: Unit | str) -> int:
    """How many places to the left the point of a listed price moves to give USD for one unit."""
    return 0 if unit in PRICED_BY_ONE else 6


def usd_per_unit(unit: Unit | str, listed: Decimal) -> Decimal:
    """A listed price as USD for one unit, exactly. One that `price_mistake` has nothing against."""
    return listed.scaleb(-shift_of(unit)) if listed else Decimal(0)


def listed_usd(unit: Unit | str, usd: Decimal) -> Decimal:
    """USD for one unit as it is listed, in plain digits: the reverse of `usd_per_unit`."""
    return Decimal(f"{usd.scaleb(shift_of(unit)).normalize():f}")


def price_mistake(unit: Unit | str, listed: Decimal) -> str | None:
    """Why the column cannot hold a listed price exactly as USD for one unit; None when it can. Reads digits and
    exponent alone: arithmetic would make nothing of 1e-99999999, and overflow at 1e99999999."""
    if not listed:
        return None
    shift = shift_of(unit)
    places, before_the_point = PLACES - shift, DIGITS - PLACES + shift
    if listed.adjusted() >= before_the_point:
        return f"Use less than {Decimal(10) ** before_the_point:,f} USD."
    digits, exponent = listed.as_tuple()[1:]
    needed = "".join(map(str, digits)).rstrip("0")
    used_places = -int(exponent) - (len(digits) - len(needed))
    if used_places > places or len(needed) > EXACT_DIGITS:
        return f"This cannot be kept exactly: use at most {EXACT_DIGITS} digits, {places} of them after the point."
    return None
