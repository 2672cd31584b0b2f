"""Numbers as the pages show them: short enough for a card, never rounded to a lie of zero. Pure."""

from __future__ import annotations

from decimal import Decimal

from django import template

register = template.Library()

NONE = "–"
_UNITS = ((10**12, "T", 999.5e9), (10**9, "B", 999.5e6), (10**6, "M", 999.5e3), (10**3, "k", 1e4))
"""Each with the least it is used for: what would be rounded to a thousand of the unit below."""


@register.filter
def count(value: float | None) -> str:
    """1,234; from ten thousand on in three digits: 12.3k, 1.23M, 1.00B."""
    if value is None:
        return NONE
    for size, unit, least in _UNITS:
        if abs(value) >= least:
            return f"{value / size:.{_decimals(value / size)}f}{unit}"
    return f"{value:,.0f}"


@register.filter
def usd(value: Decimal | None) -> str:
    """Dollars and cents; two digits that count where that would be nothing."""
    if value is None:
        return NONE
    if value == 0:
        return "$0"
    sign, size = ("-" if value < 0 else ""), abs(value)
    if size >= 10_000:
        return f"{sign}${count(float(size))}"
    if size >= Decimal("0.1"):
        return f"{sign}${size:,.2f}"
    return f"{sign}${_two_digits(size)}"


@register.filter
def duration(ms: float | None) -> str:
    """850 ms, 1.25 s, 2 min 5 s."""
    if ms is None:
        return NONE
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.{_decimals(ms / 1000)}f} s"
    minutes, rest = divmod(round(ms / 1000), 60)
    return f"{minutes} min {rest} s"


@register.filter
def seconds(value: float | None) -> str:
    """A duration in seconds, as `duration` has it."""
    return duration(None if value is None else value * 1000)


@register.filter
def share(value: float | None) -> str:
    """Of one, in per cent."""
    if value is None:
        return NONE
    percent = value * 100
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"


@register.filter
def growth(value: float | None) -> str:
    """By what share something grew; '' where there was nothing to grow from."""
    if value is None:
        return ""
    percent = value * 100
    if abs(percent) >= 1000:
        return f"{'+' if percent > 0 else '-'}{count(abs(percent))} %"
    return f"{percent:+.0f} %" if abs(percent) >= 10 else f"{percent:+.1f} %"


@register.filter
def width(value: float | None) -> str:
    """Of a bar, for an attribute of SVG: a share of one in per cent, and a sliver for what is more than nothing."""
    if not value:
        return "0%"
    return f"{min(max(value * 100, 0.5), 100):.2f}%"


@register.filter
def plain(name: str) -> str:
    """A name of ours in words: json_schema is json schema."""
    return name.replace("_", " ")


def _decimals(number: float) -> int:
    return max(0, 3 - len(str(int(abs(number)))))


def _two_digits(value: Decimal) -> str:
    return f"{value:.{1 - value.adjusted()}f}"
