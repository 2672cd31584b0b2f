"""Tokens counted by a child process, and what happens when there is none to ask."""

import asyncio
import signal
import subprocess
import sys

import pytest

from providers import tokens
from providers.tokens import COUNTER, Text, TokenCounter
from providers.vocabulary import LENGTH

TEXT = "The quick brown fox jumps over the lazy dog."
"""10 tokens of OpenAI's o200k."""
SLOW = f"""
import struct, sys, time
length = struct.Struct({LENGTH.format!r})
while head := sys.stdin.buffer.read(length.size):
    sys.stdin.buffer.read(*length.unpack(head))
    time.sleep(0.2)
    sys.stdout.buffer.write(length.pack(7))
    sys.stdout.buffer.flush()
"""
SPENT = "import sys; sys.stdin.buffer.read(8)"
"""A child that takes a text's length, and ends."""


@pytest.fixture
def counter_of():
    made = []

    def make(code, **options):
        made.append(TokenCounter((sys.executable, "-c", code), **options))
        return made[-1]

    yield make
    for counter in made:
        counter.close()


async def count(text, counter=COUNTER):
    return await counter.count(lambda: text if isinstance(text, Text) else Text(text))


class TestCounting:
    async def test_gives_the_vocabularys_figure(self):
        assert await count(TEXT) == 10

    async def test_of_nothing_gives_nothing(self):
        assert await count("") == 0

    @pytest.mark.parametrize("text", ["\ud83d", "a\udfffb", "\x00", "<|endoftext|>", "日本語"])
    async def test_takes_any_text(self, text):
        assert await count(text) > 0

    async def test_takes_what_was_not_kept_in_proportion(self):
        assert await count(Text(TEXT, chars=3 * len(TEXT))) == 30

    async def test_counts_the_beginning_of_a_very_long_text(self, monkeypatch):
        monkeypatch.setattr(tokens, "MOST_CHARS", len(TEXT))
        assert await count(TEXT * 3) == 30

    async def test_starts_one_child_however_many_ask(self, monkeypatch):
        COUNTER.close()
        started, real = [], subprocess.Popen
        monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: started.append(1) or real(*args, **options))
        assert await asyncio.gather(*[count(TEXT) for _ in range(20)]) == [10] * 20
        assert len(started) == 1

    async def test_keeps_the_event_loop_free_while_the_vocabulary_loads(self):
        COUNTER.close()
        loop, longest_s, counted = asyncio.get_running_loop(), 0.0, asyncio.ensure_future(count(TEXT))
        while not counted.done():
            before = loop.time()
            await asyncio.sleep(0.001)
            longest_s = max(longest_s, loop.time() - before)
        assert await counted == 10
        assert longest_s < 0.3  # a load in this process takes 0.8 s and gives nobody else a turn

    async def test_goes_on_after_a_text_that_could_not_be_put_together(self, caplog):
        assert await COUNTER.count(lambda: 1 / 0) is None
        assert "could not be counted" in caplog.text
        assert await count(TEXT) == 10


class TestWithoutAChild:
    @pytest.mark.parametrize("code", ["import sys; sys.exit(3)", SPENT])
    async def test_nothing_is_known_and_the_log_says_so_once(self, counter_of, caplog, code):
        counter = counter_of(code)
        assert [await count(TEXT, counter) for _ in range(3)] == [None] * 3
        assert caplog.text.count("Tokens cannot be counted") == 1

    async def test_nothing_is_known_where_it_cannot_be_started(self, caplog):
        counter = TokenCounter(("/nowhere/python",))
        assert await count(TEXT, counter) is None
        assert "Tokens cannot be counted" in caplog.text

    @pytest.mark.parametrize("text", [TEXT, "x" * 1_000_000])  # a long one waits in the pipe
    async def test_one_that_hangs_is_ended_by_the_first_who_waited(self, counter_of, caplog, text):
        counter = counter_of("import time; time.sleep(60)", patience_s=0.3)
        assert await count(text, counter) is None
        assert await count(TEXT, counter) is None
        assert counter._child is None
        assert "ended with status -9" in caplog.text

    async def test_one_that_is_busy_with_others_is_left_at_work(self, counter_of, caplog):
        counter = counter_of(SLOW, patience_s=1.0)
        found = await asyncio.gather(*[count(TEXT, counter) for _ in range(10)])
        assert found[0] == 7
        assert found[-1] is None  # it would have waited two seconds
        assert await count(TEXT, counter) == 7
        assert not caplog.text

    async def test_another_is_started_when_the_first_has_rested(self, counter_of):
        counter = counter_of(SPENT)
        assert await count(TEXT, counter) is None
        counter._program, counter._not_before = tokens.PROGRAM, 0.0
        assert await count(TEXT, counter) == 10

    async def test_a_missing_vocabulary_is_told_by_the_childs_status(self, tmp_path):
        (tmp_path / "quicktok.py").write_text("raise OSError('a wheel for another machine')")
        child = await asyncio.create_subprocess_exec(
            *tokens.PROGRAM, env={"PYTHONPATH": str(tmp_path)}, stdin=asyncio.subprocess.DEVNULL
        )
        assert await child.wait() == 3


async def test_the_child_ends_with_who_started_it():
    child = await asyncio.create_subprocess_exec(
        *tokens.PROGRAM, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    child.stdin.close()
    assert await child.wait() == 0


async def test_the_child_ends_without_a_word_when_who_asked_is_gone():
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*tokens.PROGRAM, stdin=pipe, stdout=pipe, stderr=pipe)
    child._transport.get_pipe_transport(1).close()
    said, _ = await asyncio.gather(child.stderr.read(), asking(child))
    assert said == b""
    assert await child.wait() == -signal.SIGPIPE


async def asking(child):
    child.stdin.write(LENGTH.pack(len(TEXT)) + TEXT.encode())
    await child.stdin.drain()
