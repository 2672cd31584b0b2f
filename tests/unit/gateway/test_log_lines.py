import logging
import sys

import pytest

from gateway.log_lines import LineFormatter


def line(message: str, *arguments: object, exc_info: object = None) -> str:
    record = logging.LogRecord("gateway.access", logging.ERROR, "", 0, message, arguments, exc_info)
    return LineFormatter().format(record)


@pytest.mark.parametrize("words", ["one\nERROR gateway forged", "one\r\nforged", "\x1b[2Jgone", "\x85next", "\x00"])
def test_words_of_others_start_no_line_and_move_no_cursor(words):
    formatted = line("The vendor says %s", words)
    assert formatted.isprintable()
    assert len(formatted.splitlines()) == 1


def test_other_words_stay_as_they_are():
    assert line("Zoë\tsaid %s", "日本").endswith(" ERROR gateway.access Zoë\tsaid 日本")


def test_a_traceback_keeps_its_lines():
    try:
        raise ValueError("no")
    except ValueError:
        formatted = line("It failed", exc_info=sys.exc_info())
    assert formatted.splitlines()[1] == "Traceback (most recent call last):"


@pytest.mark.parametrize(("level", "lines"), [(logging.WARNING, 1), (logging.ERROR, 2)])
def test_a_refusal_is_one_line_and_a_failure_tells_where(level, lines):
    try:
        raise PermissionError("not yours")
    except PermissionError:
        record = logging.LogRecord("django.request", level, "", 0, "Forbidden", (), sys.exc_info())
    assert all(one.filter(record) for one in logging.getLogger("django.request").filters)
    assert len(LineFormatter().format(record).splitlines()[:2]) == lines
