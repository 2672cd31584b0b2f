"""Numbers as the pages show them, at their ends too."""

from decimal import Decimal

import pytest

from gateway.templatetags import figures


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0, "0"), (7, "7"), (1234, "1,234"), (9_999, "9,999"), (12_345, "12.3k"), (123_456, "123k"),
     (999_400, "999k"), (999_999, "1.00M"), (1_234_567, "1.23M"),
     (10**9, "1.00B"), (2.5 * 10**12, "2.50T"), (-12_345, "-12.3k")],
)  # fmt: skip
def test_counts(value, shown):
    assert figures.count(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), ("0", "$0"), ("0.000000123", "$0.00000012"), ("0.0099", "$0.0099"), ("0.25", "$0.25"),
     ("12.345", "$12.34"), ("9999.99", "$9,999.99"), ("1000000000", "$1.00B"), ("-3.5", "-$3.50")],
)  # fmt: skip
def test_money_is_never_rounded_to_nothing(value, shown):
    assert figures.usd(None if value is None else Decimal(value)) == shown


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(None, "–"), (0, "0 ms"), (12.4, "12 ms"), (1250, "1.25 s"), (59_949, "59.9 s"), (125_000, "2 min 5 s")],
)  # fmt: skip
def test_durations(ms, shown):
    assert figures.duration(ms) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0, "0 %"), (0.0004, "< 0.1 %"), (0.123, "12.3 %"), (1.0, "100 %")]
)
def test_shares(value, shown):
    assert figures.share(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, ""), (0.0, "+0.0 %"), (-0.034, "-3.4 %"), (1.01, "+101 %"), (999.0, "+99.9k %")]
)
def test_growth(value, shown):
    assert figures.growth(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "0%"), (0, "0%"), (0.0001, "0.50%"), (0.5, "50.00%"), (1.2, "100.00%")]
)
def test_bars_show_a_sliver_of_what_is_more_than_nothing(value, shown):
    assert figures.width(value) == shown
