"""What a request is charged for when its provider tells no usage, or its client leaves: against the upstream's own log.

Each word is a token, to the upstream as to the vocabulary that counts.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process import gateway_process, raw_http
from tests.process.gateway_process import Gateway, Installation, eventually
from tests.process.short_way import ask, chat_body, new_nonce, request_with, seen
from tests.upstream.log import Ending, SeenAnswer
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process

WORDS = 200
TEXT = "content=" + "%20".join(["time"] * WORDS)
SLOW = f"{TEXT};delay_ms=10"
PER_TOKEN = 2e-6
"""USD, of the output of `cheap`; half of it of its input."""


@pytest.fixture(scope="module")
def draining(
    template: Installation, upstream: RunningUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway whose policy is to read on what a client left."""
    installation = template.copy(tmp_path_factory.mktemp("draining") / "var", upstream=upstream.url)
    installation.execute("UPDATE routing_policy SET when_client_leaves = 'drain'")
    with gateway_process.start(installation) as gateway:
        yield gateway


def row_of(gateway: Gateway, nonce: str) -> dict[str, Any]:
    query = f"SELECT * FROM analytics_usagerecord WHERE session = '{nonce}'"
    (row,) = eventually(lambda: gateway.installation.execute(query), what=f"row of {nonce}")
    assert row["cost_usd"] == pytest.approx(PER_TOKEN * (row["input_tokens"] / 2 + row["output_tokens"]))
    assert row["budget_usd"] >= row["cost_usd"]
    return row


def billed(upstream: RunningUpstream, nonce: str) -> SeenAnswer:
    (request,) = seen(upstream, nonce)
    return upstream.end_of(request)


def leave_amid(gateway: Gateway, nonce: str, script: str, *, until: bytes = b"time") -> None:
    with raw_http.connected(gateway.port) as connection:
        connection.sendall(request_with(gateway, nonce, chat_body(nonce, script=script, stream=True)))
        read_until(connection, until)


def read_until(connection: socket.socket, text: bytes) -> None:
    received = b""
    while text not in received:
        received += (more := connection.recv(65536))
        assert more, received


class TestAProviderThatTellsNoUsage:
    def test_in_json_is_charged_as_counted_and_the_header_says_so_too(
        self, gateway: Gateway, upstream: RunningUpstream
    ) -> None:
        nonce = new_nonce()
        answer = ask(gateway, chat_body(nonce, script=f"{TEXT};no_usage"), **{"X-Session-Id": nonce})
        row = row_of(gateway, nonce)
        assert (row["outcome"], row["cost_source"], row["output_tokens"]) == ("ok", "counted", WORDS)
        assert billed(upstream, nonce).completion_tokens == WORDS
        assert float(answer.headers["x-gateway-cost-usd"]) == pytest.approx(row["cost_usd"])

    def test_in_a_stream_is_charged_as_counted_before_its_end(
        self, gateway: Gateway, upstream: RunningUpstream
    ) -> None:
        nonce = new_nonce()
        body = chat_body(nonce, script=f"{TEXT};no_usage", stream=True)
        answer = ask(gateway, body, **{"X-Session-Id": nonce})
        row = row_of(gateway, nonce)
        assert (row["outcome"], row["cost_source"], row["output_tokens"]) == ("ok", "counted", WORDS)
        told = answer.body.partition(b"X-Gateway-Cost-USD: ")[2].split(b"\n")[0]
        assert float(told) == pytest.approx(row["cost_usd"])


class TestAClientThatLeaves:
    @pytest.mark.parametrize("script", [SLOW, f"{SLOW};no_usage"])
    def test_is_charged_for_what_was_written_until_then(
        self, gateway: Gateway, upstream: RunningUpstream, script: str
    ) -> None:
        nonce = new_nonce()
        leave_amid(gateway, nonce, script)
        row, answer = row_of(gateway, nonce), billed(upstream, nonce)
        assert answer.how is Ending.CLIENT_LEFT
        assert (row["outcome"], row["status"], row["cost_source"]) == ("cancelled", 499, "counted")
        assert 1 <= row["output_tokens"] <= answer.completion_tokens <= row["output_tokens"] + 5

    def test_is_charged_by_the_providers_own_figures_where_the_rest_is_read(
        self, draining: Gateway, upstream: RunningUpstream
    ) -> None:
        nonce = new_nonce()
        leave_amid(draining, nonce, SLOW)
        row, answer = row_of(draining, nonce), billed(upstream, nonce)
        assert answer.how is Ending.FINISHED
        assert (row["outcome"], row["status"], row["cost_source"]) == ("cancelled", 499, "price")
        assert (row["input_tokens"], row["output_tokens"]) == (answer.prompt_tokens, answer.completion_tokens)
        assert row["budget_usd"] == pytest.approx(row["cost_usd"])

    def test_is_charged_for_all_of_it_where_that_tells_no_usage(
        self, draining: Gateway, upstream: RunningUpstream
    ) -> None:
        nonce = new_nonce()
        leave_amid(draining, nonce, f"{SLOW};no_usage")
        row, answer = row_of(draining, nonce), billed(upstream, nonce)
        assert (answer.how, row["outcome"], row["cost_source"]) == (Ending.FINISHED, "cancelled", "counted")
        assert row["output_tokens"] == answer.completion_tokens == WORDS

    def test_leaves_its_row_when_the_server_stops_while_it_reads_on(
        self, template: Installation, upstream: RunningUpstream, tmp_path: Path
    ) -> None:
        installation, nonce = template.copy(tmp_path / "var", upstream=upstream.url), new_nonce()
        installation.execute("UPDATE routing_policy SET when_client_leaves = 'drain'")
        with gateway_process.start(installation) as gateway:
            leave_amid(gateway, nonce, f"{TEXT};stall=mid")
            eventually(lambda: len(gateway.log_lines(" 499 ")) == 1, what="the request's line in the log")
            assert installation.rows(f"session = '{nonce}'") == []
            assert gateway.stop() == 0
            row = row_of(gateway, nonce)
        assert (row["outcome"], row["cost_source"], row["output_tokens"]) == ("cancelled", "counted", WORDS / 2)
        assert billed(upstream, nonce).completion_tokens == WORDS / 2
        assert installation.spool_folders == []


def test_the_counting_process_ends_with_a_server_that_is_killed(
    template: Installation, upstream: RunningUpstream, tmp_path: Path
) -> None:
    installation = template.copy(tmp_path / "var", upstream=upstream.url)
    with gateway_process.start(installation) as gateway:
        assert ask(gateway, chat_body(script="no_usage")).status == 200
        (child,) = children(gateway.process.pid)
        gateway.kill()
    eventually(lambda: not Path(f"/proc/{child}").exists(), what="the end of the counting process")


def children(pid: int) -> list[int]:
    """Processes that a server has started to count."""
    found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [one for one in found if b"vocabulary.py" in command_of(one) and parent_of(one) == pid]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
