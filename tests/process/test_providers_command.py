"""`manage.py providers check|test` as real processes, without a server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.process.gateway_process import ROOT, Installation
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def installation(
    template: Installation, upstream: RunningUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    return template.copy(tmp_path_factory.mktemp("providers") / "var", upstream=upstream.url)


def providers(installation: Installation, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "providers", *words],
        cwd=ROOT,
        env=installation.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_test_is_answered_by_the_cheapest_model_and_its_row_is_in_the_ledger(installation: Installation) -> None:
    ended = providers(installation, "test", "upstream", "--stream", "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert (told["model"], told["answer"]) == ("free", "You said: Reply with the single word OK.")
    assert told["first_token_ms"] <= told["latency_ms"]
    row_id = told["id"].replace("-", "")
    (row,) = installation.execute(f"SELECT outcome, model FROM analytics_usagerecord WHERE id = '{row_id}'")
    assert (row["outcome"], row["model"]) == ("ok", "free")


def test_a_test_that_fails_says_how_to_mend_it(installation: Installation) -> None:
    ended = providers(installation, "test", "upstream", "--model", "down?status=500")
    assert ended.returncode == 3
    assert "upstream: trouble at the provider: HTTP 500" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_without_a_name_or_all_a_test_says_what_to_write(installation: Installation) -> None:
    ended = providers(installation, "test")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "or say --all" in ended.stderr
    assert providers(installation, "test", "--all").returncode == 0
