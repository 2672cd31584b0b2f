"""The prices in a request's story, as a row tells them now and as rows told them before."""

import pytest

from gateway import request_story


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("0.0000025", "$0.0000025"),
        ({"usd": "2", "valid_from": "2026-11-22T10:00:00Z"}, "$2 (since 2026-11-22 11:00)"),
        (
            {"usd": "2", "valid_from": "2026-11-22T10:00:00Z", "from_tokens": 9, "unit": "input", "factor": "6"},
            "$2 (since 2026-11-22 11:00, from 9 tokens, as input, 6 times the list price)",
        ),
    ],
)
def test_a_price_is_told_with_what_the_row_says_of_it(told, words):
    assert request_story.price(told, zone="Europe/Berlin") == words
