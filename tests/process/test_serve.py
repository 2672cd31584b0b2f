"""`manage.py serve` as a process: what it refuses, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.marked import MARK, alive, wait_until

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def mark() -> Iterator[str]:
    mark = uuid.uuid4().hex
    yield mark
    for pid in alive(mark):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def env(tmp_path, mark) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_TOKEN", "_URL"))}
    own = {"DJANGO_SETTINGS_MODULE": "gateway.settings", "VAR_DIR": str(tmp_path / "var"), MARK: mark}
    return {**inherited, **own}


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def manage(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def serve(port: int, *options: str, env: dict[str, str]) -> subprocess.Popen[str]:
    """A server that listens."""
    command = [sys.executable, "manage.py", "serve", "--port", str(port), "--no-model", *options]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any("Listening on" in line for line in process.stderr)
    return process


def can_connect(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_pending_migrations_are_refused(env, port):
    done = manage("serve", "--port", str(port), env=env)
    assert done.returncode == 1
    assert "migrations are pending: run `manage.py migrate`" in done.stderr


def test_several_workers_without_redis_are_refused(env, port):
    done = manage("serve", "--port", str(port), "--workers", "2", env=env)
    assert done.returncode == 1
    assert "set REDIS_URL, or run with --workers 1" in done.stderr


def test_a_taken_port_is_refused(env, port):
    manage("migrate", env=env)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = manage("serve", "--port", str(port), env=env)
    assert done.returncode == 1
    assert f"Port {port} is taken" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_its_worker_quietly(env, port, mark, number):
    manage("migrate", env=env)
    with serve(port, env=env) as process:
        assert can_connect(port)
        assert any("celery" in command for command in alive(mark).values())
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in said
    assert alive(mark) == {}


def test_without_a_worker_there_is_one_process(env, port, mark):
    manage("migrate", env=env)
    with serve(port, "--no-worker", env=env) as process:
        assert list(alive(mark)) == [process.pid]
        process.terminate()


def test_killed_it_leaves_nothing(env, port, mark):
    manage("migrate", env=env)
    with serve(port, env=env) as process:
        process.kill()
    assert wait_until(lambda: not alive(mark), within_s=20), alive(mark)


def test_killed_with_several_workers_it_leaves_nothing(env, port, mark):
    """The broker's address is never called: without the embedded worker nobody needs it."""
    manage("migrate", env=env)
    with serve(port, "--workers", "2", env={**env, "REDIS_URL": "redis://127.0.0.1:1/0"}) as process:
        assert wait_until(lambda: can_connect(port))
        process.kill()
    assert wait_until(lambda: not alive(mark), within_s=20), alive(mark)
