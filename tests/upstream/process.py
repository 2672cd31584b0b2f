"""Starts the scripted upstream as a process of its own, and stops it: for fixtures and for the load test.

    with upstream.running(log=tmp_path / "upstream.jsonl") as vendor:
        ...  # call vendor.url
        assert [request.json["model"] for request in vendor.requests()] == ["ok"]

Waits for events, never for a fixed time: the server says when it listens, and readers of the log name what they expect.
"""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.upstream import log as logs
from tests.upstream.log import Call, SeenAnswer, SeenRequest

ROOT = Path(__file__).resolve().parents[2]
START_S = 20.0
STOP_S = 5.0
WITHIN_S = 5.0
_POLL_S = 0.005

T = TypeVar("T", SeenRequest, SeenAnswer)


class UpstreamError(Exception):
    """The scripted upstream did not start, or did not see in time what a test waits for."""


@dataclass(frozen=True, slots=True)
class RunningUpstream:
    """A scripted upstream that listens."""

    url: str
    """Base URL, with `/v1`."""
    port: int
    pid: int
    log: Path

    def seen(self) -> list[logs.Seen]:
        """Everything in the log so far."""
        return logs.read(self.log)

    def requests(self, *, at_least: int = 0, within_s: float = WITHIN_S) -> list[SeenRequest]:
        """The requests seen, once there are `at_least` so many. Raises: UpstreamError after `within_s`."""
        return self._await_records(SeenRequest, lambda found: len(found) >= at_least, within_s)

    def answers(self, *, at_least: int = 0, within_s: float = WITHIN_S) -> list[SeenAnswer]:
        """The answers that ended, once there are `at_least` so many. Raises: UpstreamError after `within_s`."""
        return self._await_records(SeenAnswer, lambda found: len(found) >= at_least, within_s)

    def calls(self, *, at_least: int = 0, within_s: float = WITHIN_S) -> list[Call]:
        """Every call with what is billed for it, once `at_least` so many have ended. Raises: UpstreamError."""
        self.answers(at_least=at_least, within_s=within_s)
        return logs.calls(self.seen())

    def end_of(self, request: SeenRequest, *, within_s: float = WITHIN_S) -> SeenAnswer:
        """How that request's answer ended. Raises: UpstreamError when it has not within `within_s`."""

        def is_there(found: list[SeenAnswer]) -> bool:
            return any(answer.sequence == request.sequence for answer in found)

        found = self._await_records(SeenAnswer, is_there, within_s)
        return next(answer for answer in found if answer.sequence == request.sequence)

    def _await_records(self, kind: type[T], enough: Callable[[list[T]], bool], within_s: float) -> list[T]:
        deadline = time.monotonic() + within_s
        while not enough(found := [record for record in self.seen() if isinstance(record, kind)]):
            if time.monotonic() > deadline:
                raise UpstreamError(f"waited {within_s} s in vain, with {len(found)} {kind.__name__} in the log")
            time.sleep(_POLL_S)
        return found


@contextmanager
def running(
    *,
    log: Path,
    port: int = 0,
    default_script: str = "ok",
    models: Sequence[str] = (),
    log_bodies: bool = True,
    strict: bool = False,
) -> Iterator[RunningUpstream]:
    """A scripted upstream for the length of a `with`. A given `port` lets one come back at the same address."""
    command = [sys.executable, "-m", "tests.upstream", "--log", str(log), "--port", str(port)]
    command += ["--default-script", default_script]
    command += [word for name in models for word in ("--model", name)]
    command += [] if log_bodies else ["--no-log-bodies"]
    command += ["--strict"] if strict else []
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        announced = json.loads(_first_line(process))
        yield RunningUpstream(url=announced["url"], port=announced["port"], pid=process.pid, log=log)
    finally:
        _stop(process)


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(START_S):
            raise UpstreamError(f"said nothing for {START_S} s")
    line = process.stdout.readline()
    if not line:
        raise UpstreamError(f"ended with status {process.wait()} before it listened")
    return line


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()
