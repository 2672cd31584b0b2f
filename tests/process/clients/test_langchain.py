"""LangChain's standard tests of a chat model pass over the gateway, whichever dialect answers, and none is skipped."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as tree
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.process.clients.rows import CHAT, COMPLIANCE, MESSAGES
from tests.process.gateway_process import ROOT, Gateway

SUITE = Path(__file__).with_name("langchain_suite.py")
RUN_S = 100
CLASSES = {CHAT: "TestChat", MESSAGES: "TestMessages"}
AT_LEAST = 50
"""So many standard tests there are for a dialect."""
EXPECTED_FAILURE = "pytest.xfail"

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(RUN_S + 20),
    pytest.mark.skipif(importlib.util.find_spec("langchain_tests") is None, reason=COMPLIANCE),
]


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of the suite, over both dialects, came to."""

    output: str
    cases: list[tree.Element]

    def of(self, provider: str) -> dict[str, str]:
        """How each test of a dialect ended, by name: '' is passed."""
        mine = [case for case in self.cases if case.get("classname", "").endswith(CLASSES[provider])]
        return {case.get("name", ""): _ending(case) for case in mine}


def _ending(case: tree.Element) -> str:
    found = next((child for child in case if child.tag in {"failure", "error", "skipped"}), None)
    return "" if found is None or found.get("type") == EXPECTED_FAILURE else f"{found.tag}: {found.get('message')}"


@pytest.fixture(scope="module")
def report(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """One run for both dialects: importing LangChain takes longer than its tests."""
    written = tmp_path_factory.mktemp("langchain") / "report.xml"
    command = [sys.executable, "-m", "pytest", "-c", str(SUITE.with_suffix(".ini")), "--rootdir", str(ROOT), str(SUITE)]
    command += ["-q", "--tb=line", "--junitxml", str(written)]
    env = {**os.environ, "SUITE_BASE_URL": f"{gateway.url}/v1", "SUITE_API_KEY": gateway.installation.keys["main"]}
    env.pop("PYTEST_ADDOPTS", None)  # those are meant for the tests around this one
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=RUN_S, check=False)
    output = done.stdout + done.stderr
    assert written.exists(), output
    return Report(output, list(tree.parse(written).getroot().iter("testcase")))


@pytest.mark.parametrize("provider", [CHAT, MESSAGES])
def test_every_standard_test_ends_as_it_should(report: Report, provider: str) -> None:
    endings = report.of(provider)
    wrong = {name: ending for name, ending in endings.items() if ending}
    assert not wrong, report.output
    assert len(endings) >= AT_LEAST
