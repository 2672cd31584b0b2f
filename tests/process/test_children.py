import logging
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import children
from gateway.children import Crew, Pace
from tests.process.marked import MARK, alive, wait_until

pytestmark = [pytest.mark.process, pytest.mark.timeout(60)]

ROOT = Path(__file__).resolve().parents[2]
QUICK = Pace(look_every_s=0.01, first_wait_s=0.02, longest_wait_s=0.08, settled_after_s=30.0)
PATIENT = Pace(look_every_s=0.01, first_wait_s=30.0)

POLITE = "import time; print('started', flush=True); time.sleep(60)"
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"])
print("started", flush=True)
time.sleep(60)
"""
PARENT = """
import sys
from pathlib import Path
from gateway.children import Crew
crew = Crew(log_dir=Path(sys.argv[1]), cwd=Path.cwd())
crew.start("helper", [sys.executable, "-c", "import time; print('started', flush=True); time.sleep(60)"])
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def mark() -> Iterator[str]:
    mark = uuid.uuid4().hex
    yield mark
    for pid in alive(mark):
        os.kill(pid, signal.SIGKILL)


def crew(tmp_path: Path, *, mark: str, pace: Pace = PATIENT, grace_s: float = 5.0) -> Crew:
    return Crew(log_dir=tmp_path, cwd=ROOT, env={MARK: mark}, pace=pace, grace_s=grace_s)


def says_started(child: children.Child) -> bool:
    return wait_until(lambda: "started" in child.last_words())


def test_a_child_writes_to_its_log_and_ends_with_the_crew(tmp_path, mark):
    with crew(tmp_path, mark=mark) as helpers:
        child = helpers.start("helper", [sys.executable, "-c", POLITE])
        assert says_started(child)
        assert len(alive(mark)) == 1
    assert alive(mark) == {}
    assert (tmp_path / "helper.log").read_text() == "started\n"
    assert (tmp_path / "helper.log").stat().st_mode & 0o777 == 0o600


def test_a_child_is_out_of_reach_of_the_terminals_ctrl_c(tmp_path, mark):
    with crew(tmp_path, mark=mark) as helpers:
        child = helpers.start("helper", [sys.executable, "-c", POLITE])
        assert os.getsid(child.process.pid) == child.process.pid != os.getsid(0)


def test_a_child_that_ignores_sigterm_is_killed_with_all_it_started(tmp_path, mark, caplog):
    with crew(tmp_path, mark=mark, grace_s=0.2) as helpers:
        assert says_started(helpers.start("helper", [sys.executable, "-c", STUBBORN]))
        assert wait_until(lambda: len(alive(mark)) == 2)
    assert wait_until(lambda: not alive(mark))
    assert "helper did not stop within" in caplog.text


def test_a_killed_child_is_started_again_with_a_warning(tmp_path, mark, caplog):
    with crew(tmp_path, mark=mark, pace=QUICK) as helpers, caplog.at_level(logging.WARNING):
        child = helpers.start("helper", [sys.executable, "-c", POLITE])
        first = child.process.pid
        assert says_started(child)
        os.kill(first, signal.SIGKILL)
        assert wait_until(lambda: child.starts == 2 and child.is_running)
        assert child.process.pid != first
    assert "helper ended with status -9" in caplog.text
    assert alive(mark) == {}


def test_what_a_killed_child_started_goes_with_it(tmp_path, mark):
    with crew(tmp_path, mark=mark, pace=PATIENT) as helpers:
        child = helpers.start("helper", [sys.executable, "-c", STUBBORN])
        assert says_started(child)
        assert wait_until(lambda: len(alive(mark)) == 2)
        os.kill(child.process.pid, signal.SIGKILL)
        assert wait_until(lambda: not alive(mark))


def test_the_wait_doubles_up_to_a_limit(tmp_path, mark):
    waits: set[float] = set()
    with crew(tmp_path, mark=mark, pace=QUICK) as helpers:
        child = helpers.start("helper", ["false"])

        def all_seen() -> bool:
            waits.add(child.wait_s)
            return {0.02, 0.04, 0.08} <= waits and child.starts >= 6

        assert wait_until(all_seen, within_s=30)
    assert waits <= {0.0, 0.02, 0.04, 0.08}


def test_a_crew_that_stops_starts_nothing_again(tmp_path, mark):
    helpers = crew(tmp_path, mark=mark, pace=QUICK)
    child = helpers.start("helper", ["false"])
    assert wait_until(lambda: child.starts >= 2)
    helpers.stop()
    assert alive(mark) == {}
    starts = child.starts
    assert not wait_until(lambda: child.starts > starts, within_s=0.2)


def test_a_killed_parent_leaves_no_child(tmp_path, mark):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, MARK: mark},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        assert wait_until(lambda: (tmp_path / "helper.log").read_text() == "started\n")
        parent.kill()
    assert wait_until(lambda: not alive(mark))


def test_a_launcher_whose_parent_is_gone_starts_nothing(tmp_path):
    launcher = [sys.executable, "-m", "gateway.children", str(os.getpid() + 1), "touch", str(tmp_path / "touched")]
    assert subprocess.run(launcher, cwd=ROOT, capture_output=True, check=False).returncode == 1
    assert not (tmp_path / "touched").exists()


def test_a_large_log_is_put_aside_when_its_child_starts(tmp_path, mark, monkeypatch):
    monkeypatch.setattr(children, "LARGEST_LOG_BYTES", 10)
    (tmp_path / "helper.log").write_text("before and before\n")
    with crew(tmp_path, mark=mark) as helpers:
        assert says_started(helpers.start("helper", [sys.executable, "-c", POLITE]))
    assert (tmp_path / "helper.log.1").read_text() == "before and before\n"
    assert (tmp_path / "helper.log").read_text() == "started\n"


def test_only_the_first_signal_interrupts():
    with children.interruptible():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
