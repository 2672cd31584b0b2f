"""A question at a terminal: a real one, with somebody at its other end."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time

import pytest

ASKS = "from gateway import confirming; print('said', confirming.is_confirmed('Go on?'))"
AS_A_TERMINALS_OWN = (
    "import fcntl, signal, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.default_int_handler)"
)
"""Ctrl-C reaches it, as it reaches what a person starts: what runs in the background is born deaf to it."""
WAIT_S = 20.0


@pytest.fixture
def ask():
    """What stands on the terminal when the question was answered with this as soon as it appeared."""

    def ask(typed: bytes) -> bytes:
        ours, theirs = pty.openpty()
        asking = subprocess.Popen(
            [sys.executable, "-c", f"{AS_A_TERMINALS_OWN}; {ASKS}"],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        try:
            shown = until(ours, b"[y/N] ")
            os.write(ours, typed)
            return shown + until(ours, None)
        finally:
            asking.kill()
            asking.wait()
            os.close(ours)

    return ask


def until(terminal: int, words: bytes | None) -> bytes:
    """What comes until these words do, or the end."""
    shown, ends_at = b"", time.monotonic() + WAIT_S
    coming = select.poll()  # `select` takes no descriptor beyond 1023, and a long run of tests has as many open
    coming.register(terminal, select.POLLIN)
    while words is None or words not in shown:
        ready = coming.poll(max(ends_at - time.monotonic(), 0) * 1000)
        assert ready, f"Nothing more came after {shown!r}"
        try:
            came = os.read(terminal, 4096)
        except OSError:  # Linux's way to say that nobody has the other end open
            return shown
        if not came:
            return shown
        shown += came
    return shown


@pytest.mark.parametrize(
    ("typed", "is_yes"), [(b"y\n", True), (b"YES\n", True), (b"n\n", False), (b"\n", False), (b"\x04", False)]
)
def test_yes_is_yes_and_all_else_is_no(ask, typed, is_yes):
    assert f"said {is_yes}".encode() in ask(typed)


def test_ctrl_c_ends_it_in_the_instant_the_question_appears(ask):
    for _ in range(6):
        assert b"KeyboardInterrupt" in ask(b"\x03")
