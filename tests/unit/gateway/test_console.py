import pytest

from gateway.console import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;pwned\x07\x1b[2JOK", "]0;pwned[2JOK"),
        ("one\r\x08two\x7f", "onetwo"),
        ("\x9b31mred", "31mred"),
        ("Line\n\tZoë 日本 👩‍👩‍👧", "Line\n\tZoë 日本 👩‍👩‍👧"),
    ],
)
def test_a_terminal_gets_words_and_no_commands(text, shown):
    assert plain(text) == shown
