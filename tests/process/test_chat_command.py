"""`manage.py chat` as a real process, without a server: it routes, streams, records, and says what went wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.gateway_process import ROOT, Installation
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def installation(
    template: Installation, upstream: RunningUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    return template.copy(tmp_path_factory.mktemp("chat") / "var", upstream=upstream.url)


def chat(installation: Installation, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "chat", *words],
        cwd=ROOT,
        env=installation.env,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_answer_goes_to_stdout_and_who_gave_it_to_stderr(installation: Installation) -> None:
    ended = chat(installation, "--model", "free", "Hello there")
    assert (ended.returncode, ended.stdout) == (0, "You said: Hello there\n")
    assert ended.stderr.startswith("[")


def test_standard_input_is_added_below_the_prompt(installation: Installation) -> None:
    assert chat(installation, "--model", "free", "Sum up:", given="a text\n").stdout == "You said: Sum up:\n\na text\n"


def test_as_json_it_tells_the_decision_and_its_row_is_in_the_ledger(installation: Installation) -> None:
    ended = chat(installation, "--json", "--model", "free", "Hello")
    told = json.loads(ended.stdout)
    assert (told["answer"], told["attempts"]) == ("You said: Hello", 1)
    (row,) = installation.execute(
        f"SELECT outcome, key_name FROM analytics_usagerecord WHERE id = '{told['id'].replace('-', '')}'"
    )
    assert (row["outcome"], row["key_name"]) == ("ok", "local owner")


def test_the_system_prompt_and_the_limit_reach_the_model(installation: Installation, upstream: RunningUpstream) -> None:
    chat(installation, "--model", "free", "--system", "Be brief", "--max-tokens", "7", "Hello")
    seen = json.loads(upstream.seen()[-2].body)
    assert [message["role"] for message in seen["messages"]] == ["system", "user"]
    assert seen["max_tokens"] == 7


def test_a_limit_is_told_in_the_words_of_the_api(
    template: Installation, upstream: RunningUpstream, tmp_path: Path
) -> None:
    own = template.copy(tmp_path / "var", upstream=upstream.url)
    own.execute("UPDATE analytics_project SET requests_per_minute = 1 WHERE slug = 'default'")
    assert chat(own, "--model", "free", "Hello").returncode == 0
    ended = chat(own, "--json", "--model", "free", "Hello")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(
        r"chat: The project has reached its limit of 1 requests per minute. Try again in \d+ s.\n", ended.stderr
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "There is no prompt"),
        (("--model", "nothing-like-it", "Hello"), "does not exist"),
        (("--layer", "L9", "Hello"), "There is no layer 'L9'"),
        (("--model", "down?status=500", "Hello"), "No model answered"),
    ],
)
def test_what_went_wrong_is_one_sentence(installation: Installation, words: tuple[str, ...], says: str) -> None:
    ended = chat(installation, *words)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("chat: ")
    assert says in line
