"""How many tokens a text has, where the provider did not say: asked of a child process that holds the vocabulary.

The child (`providers.vocabulary`) is started on first need, one for a process, and ends with it. Whatever goes wrong
with it, the answer is None, and the caller has its estimate.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import IO

from providers.deadlines import within
from providers.vocabulary import LENGTH

logger = logging.getLogger(__name__)

PROGRAM = (sys.executable, "-P", str(Path(__file__).with_name("vocabulary.py")))
"""`-P`: the folder of this package, with its `types.py`, is nobody's search path."""
MOST_CHARS = 256 * 1024
"""Of a longer text the beginning is counted, and the rest taken in proportion: others wait for the same child, which
takes 0.1 s for so many characters where they cost it most."""
PATIENCE_S = 10.0
"""For one text, from when it was asked for; the child's start, which takes a second, and those before it included."""
AGAIN_AFTER_S = 60.0
"""How long a child that failed is not replaced."""
END_WAIT_S = 1.0


class Text:
    """A text to count: its beginning, and how long all of it is."""

    __slots__ = ("beginning", "chars")

    def __init__(self, beginning: str, *, chars: int | None = None) -> None:
        self.beginning = beginning[:MOST_CHARS]
        self.chars = len(beginning) if chars is None else chars

    def scaled(self, tokens: int) -> int:
        """The tokens of all of it, by those of its beginning."""
        known = len(self.beginning)
        return tokens if known >= self.chars or not known else -(-tokens * self.chars // known)


class _Failed(Exception):
    """The child cannot be asked."""


class _Resting(_Failed):
    """It failed a moment ago, which was told then."""


class TokenCounter:
    """A way to one child. Safe to use from any thread and any loop."""

    def __init__(self, program: Sequence[str] = PROGRAM, *, patience_s: float = PATIENCE_S) -> None:
        self._program = program
        self._patience_s = patience_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokens")
        self._child: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._asked_at: float | None = None

    async def count(self, text: Callable[[], Text]) -> int | None:
        """How many tokens; None when nobody can tell. `text` is called in the counter's thread: putting a long one
        together takes its time. Never raises but when cancelled."""
        try:
            with within(self._patience_s):
                return await asyncio.wrap_future(self._thread.submit(self._counted, text))
        except TimeoutError:
            self._kill_if_it_hangs()
            return None

    def _kill_if_it_hangs(self) -> None:
        """Called by who waited in vain. A child that has its text for less than half as long is merely busy."""
        asked_at, child = self._asked_at, self._child
        if asked_at is not None and child is not None and monotonic() - asked_at >= self._patience_s / 2:
            child.kill()  # its thread, which waits for it, sees its end

    def close(self) -> None:
        """Ends the child; the next text starts another."""
        if (child := self._child) is not None:
            child.kill()  # whoever waits for it waits no longer
        self._thread.submit(self._end).result()

    def _counted(self, text: Callable[[], Text]) -> int | None:
        try:
            found = text()
            self._asked_at = monotonic()
            return found.scaled(self._ask(found.beginning.encode(errors="replace"))) if found.beginning else 0
        except _Resting:
            return None
        except (_Failed, OSError) as error:
            logger.warning("Tokens cannot be counted and are estimated: %s", self._why(error))
            self._end()
            self._not_before = monotonic() + AGAIN_AFTER_S
            return None
        except Exception:
            logger.exception("A text could not be counted")
            return None
        finally:
            self._asked_at = None

    def _ask(self, text: bytes) -> int:
        """Raises: _Failed, OSError."""
        asked, told = self._pipes()
        asked.write(LENGTH.pack(len(text)) + text)
        asked.flush()
        answer = told.read(LENGTH.size)
        if len(answer) < LENGTH.size:
            raise _Failed("its process ended")
        (tokens,) = LENGTH.unpack(answer)
        return int(tokens)

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._child is None:
            if monotonic() < self._not_before:
                raise _Resting
            self._child = subprocess.Popen(
                self._program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        assert self._child.stdin and self._child.stdout  # noqa: S101 - both are pipes
        return self._child.stdin, self._child.stdout

    def _why(self, error: Exception) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._child is not None:
                return f"the counting process ended with status {self._child.wait(END_WAIT_S)}"
        return str(error)

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):  # what it never read cannot be written any more
                if pipe:
                    pipe.close()


COUNTER = TokenCounter()
"""The process's own."""


@atexit.register
def _end_at_exit() -> None:
    COUNTER._end()
