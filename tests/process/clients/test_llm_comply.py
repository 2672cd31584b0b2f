"""llm-comply holds the gateway's answers to OpenAI's published schema, whichever dialect they come from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.process.clients.rows import COMPLIANCE, MODEL
from tests.process.gateway_process import Gateway

pytestmark = pytest.mark.process

LLM_COMPLY = Path(sys.executable).with_name("llm-comply")
TESTS = 9
RUN_S = 60


def test_every_answer_keeps_to_the_schema(gateway: Gateway, provider: str) -> None:
    if not LLM_COMPLY.exists():
        pytest.skip(COMPLIANCE)
    results = complied(gateway, provider)
    assert [result for result in results if result["status"] != "passed"] == []
    assert len(results) == TESTS


def complied(gateway: Gateway, provider: str) -> list[dict[str, Any]]:
    """What `llm-comply --json` reports of each of its tests."""
    command = [str(LLM_COMPLY), "--format", "openai-chat", "--json", "--base-url", f"{gateway.url}/v1"]
    command += ["--api-key", gateway.installation.keys["main"], "--model", f"{provider}/{MODEL}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.stdout, done.stderr
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return results
