"""Bodies of requests over real sockets: kept masked, whole answer and stream, to the last one before the stop; nothing
unmasked is in any file, and a project that did not ask for it has none."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.process import gateway_process
from tests.process.gateway_process import Gateway, Installation
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process

SECRET = "sk-proj-planted0123456789abcdefghij"
MAIL = "planted.person@example.org"


def asked(gateway: Gateway, prompt: str, *, stream: bool = False) -> str:
    """The prompt, which the upstream says again; returns the request's id."""
    body = {"model": "cheap", "messages": [{"role": "user", "content": prompt}], "stream": stream}
    answer = httpx.post(gateway.chat_url, headers=gateway.headers(), json=body)
    assert answer.status_code == 200
    assert stream or MAIL in answer.text  # the client gets it as it is
    return answer.headers["X-Gateway-Request-Id"]


def bodies(installation: Installation) -> dict[str, dict[str, str]]:
    rows = installation.execute("SELECT id, request, answer FROM analytics_requestbody")
    return {str(row["id"]): row for row in rows}


def test_they_are_kept_masked_until_the_very_last(
    template: Installation, upstream: RunningUpstream, tmp_path: Path
) -> None:
    installation = template.copy(tmp_path / "var", upstream=upstream.url)
    installation.execute("UPDATE analytics_project SET stores_bodies = 1")
    with gateway_process.start(installation) as gateway:
        prompt = f"My key is {SECRET}, I am {MAIL}"
        whole, streamed = asked(gateway, prompt), asked(gateway, prompt, stream=True)
        gateway.stop()
        found = {one.replace("-", ""): row for one, row in bodies(installation).items()}
        for request_id in (whole, streamed):
            row = found[request_id.replace("-", "")]
            assert json.loads(row["request"])["messages"][0]["content"] == "My key is [secret], I am [e-mail]"
            assert row["answer"] == "You said: My key is [secret], I am [e-mail]"
        written = [path for path in installation.var_dir.rglob("*") if path.is_file()]
        assert any(path.name.startswith("gateway.sqlite3") for path in written)
        for word in (SECRET, MAIL):
            assert [path for path in written if word.encode() in path.read_bytes()] == []


def test_who_did_not_ask_for_it_has_none(gateway: Gateway) -> None:
    request_id = asked(gateway, f"I am {MAIL}")
    answer = httpx.get(f"{gateway.url}/v1/requests/{request_id}/body", headers=gateway.headers())
    assert answer.status_code == 403  # an ordinary key
    gateway.stop()
    assert bodies(gateway.installation) == {}
