"""Child processes of a long-lived command: started, watched, started again, stopped; none outlives its parent.

Each child leads a session of its own, so Ctrl-C in the terminal reaches the parent alone, which then stops its children
in order. On Linux the kernel sends SIGTERM to a child whose parent died without doing so (`kill -9`); elsewhere a child
has to notice by itself. Children write to `NAME.log`, never to the terminal.

    python -m gateway.children PARENT_PID COMMAND...

is the launcher that ties a command to its parent and then becomes that command. It is a program and not a
`preexec_fn`, which may deadlock in a process with threads. Knows nothing of what the children do.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

logger = logging.getLogger(__name__)

LARGEST_LOG_BYTES = 10 * 1024 * 1024
"""A log that is larger when its child starts moves to `NAME.log.1`."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon a dead child is noticed and started again, in seconds. The wait doubles with each death."""

    look_every_s: float = 0.25
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    settled_after_s: float = 60.0
    """A child that lived this long begins again with the first wait."""


@dataclass(slots=True)
class Child:
    """A running command. `starts` above 1 means that it died and was started again."""

    name: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes]
    starts: int = 1
    started_at: float = field(default_factory=time.monotonic)
    wait_s: float = 0.0
    due_at: float | None = None
    """When it is started again, on the monotonic clock; None while it lives."""

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def last_words(self, *, lines: int = 5) -> str:
        """The end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                return "\n".join(file.read().decode(errors="replace").strip().splitlines()[-lines:])
        except OSError:
            return ""


class Crew:
    """The children of one command; leaving its `with` block stops them all.

    `start` must be called in a thread that lives as long as the children: the kernel counts a thread's end as the
    parent's death.
    """

    def __init__(
        self,
        *,
        log_dir: Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        grace_s: float = 5.0,
        pace: Pace | None = None,
    ) -> None:
        self._log_dir = log_dir
        self._cwd = cwd
        self._env = {**os.environ, **(env or {})}
        self._grace_s = grace_s
        self._pace = pace or Pace()
        self._children: list[Child] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str]) -> Child:
        """Starts `command` and keeps it alive until `stop`.

        Raises: OSError when its log cannot be written or no process can be made.
        """
        with self._lock:
            log = self._log_dir / f"{name}.log"
            child = Child(name, command, log, self._spawn(command, log=log))
            self._children.append(child)
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name="children", daemon=True)
            self._watcher.start()
        return child

    def stop(self) -> None:
        """SIGTERM to every child, then SIGKILL to the whole group of each that is still there after the grace."""
        self._stopping.set()
        with self._lock:
            for child in self._children:
                if child.is_running:
                    child.process.terminate()
            deadline = time.monotonic() + self._grace_s
            for child in self._children:
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.0, deadline - time.monotonic()))
                if child.is_running:
                    logger.warning("%s did not stop within %.0f s and is killed.", child.name, self._grace_s)
                _kill_group(child.process)
            self._children.clear()
        if self._watcher is not None:
            self._watcher.join()

    def _spawn(self, command: Sequence[str], *, log: Path) -> subprocess.Popen[bytes]:
        launcher = (sys.executable, "-m", "gateway.children", str(os.getpid()))
        with _opened_log(log) as file:
            return subprocess.Popen(
                [*launcher, *command],
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _watch(self) -> None:
        while not self._stopping.wait(self._pace.look_every_s):
            with self._lock:
                for child in self._children:
                    if not self._stopping.is_set():
                        self._look_after(child)

    def _look_after(self, child: Child) -> None:
        if child.is_running:
            return
        now = time.monotonic()
        if child.due_at is None:
            _kill_group(child.process)  # what it may have left behind
            has_settled = now - child.started_at >= self._pace.settled_after_s
            child.wait_s = (
                self._pace.first_wait_s
                if has_settled or not child.wait_s
                else min(child.wait_s * 2, self._pace.longest_wait_s)
            )
            child.due_at = now + child.wait_s
            logger.warning(
                "%s ended with status %s and starts again in %.0f s; its log is %s. It said last: %s",
                child.name,
                child.process.returncode,
                child.wait_s,
                child.log,
                child.last_words(lines=1) or "nothing",
            )
        elif now >= child.due_at:
            self._start_again(child)

    def _start_again(self, child: Child) -> None:
        try:
            child.process = self._spawn(child.command, log=child.log)
        except OSError as error:  # a full disk or process table may pass
            child.due_at = time.monotonic() + self._pace.longest_wait_s
            logger.warning("%s cannot be started: %s", child.name, error)
            return
        child.starts += 1
        child.started_at = time.monotonic()
        child.due_at = None


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it the first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt; later ones do not cut clean-up short."""
    asked = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def die_with_parent(parent_pid: int) -> None:
    """Asks the kernel for a SIGTERM when the parent dies; ends the process at once when it is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("The process that wanted this one is gone.")


@contextmanager
def _opened_log(path: Path) -> Iterator[int]:
    """A descriptor to append to. Its shared lock passes to the child and tells housekeeping that the file is in use."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if path.stat().st_size > LARGEST_LOG_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield descriptor
    finally:
        os.close(descriptor)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # The leader may have been reaped: its group's number cannot be reused while a member is left, and nearly never is
    # in the moment after.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command comes from our own parent
