"""All processes agree on which models are well: two servers over one file of counters, two workers over Redis."""

from __future__ import annotations

import concurrent.futures
import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests import redis_server
from tests.process import gateway_process
from tests.process.gateway_process import NO_TLS, Gateway, Installation, eventually
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process

AGREED_S = 2.0
"""It takes a quarter of a second, and what asking all of them takes on a busy machine."""
SEVERAL = 8
"""Requests that meet both workers of a server: each comes by a connection of its own."""
OPEN_S = 4.0
IMPATIENT = "connect_timeout_s = 0.5, headers_timeout_s = 1.5, first_content_timeout_s = 0.5"
KEY_VARIABLE = "CIRCUIT_TEST_API_KEY"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two processes over the same counters."""

    installation: Installation
    gateways: list[Gateway]
    asks: int
    """How many requests meet both."""

    def ask(self, script: str, *, by: int = 0, nonce: str = "", models: tuple[str, ...] = ("cheap",)) -> httpx.Response:
        gateway = self.gateways[by % len(self.gateways)]
        messages = [{"role": "user", "content": f"#!{script}\n{nonce}"}]
        body = {"model": models[0], "models": list(models), "messages": messages}
        return httpx.post(gateway.chat_url, headers=gateway.headers(), json=body, timeout=30, verify=NO_TLS)

    def states(self) -> set[str]:
        """Of the model `cheap`, as all processes see it."""
        return {self._health(self.gateways[number % len(self.gateways)])["state"] for number in range(self.asks)}

    def agree_on(self, state: str, *, within_s: float = AGREED_S) -> None:
        eventually(lambda: self.states() == {state}, what=f"{state} everywhere", within_s=within_s)

    def break_it(self, script: str = "status=503") -> None:
        for _ in range(3):
            assert self.ask(script).status_code >= 400
        self.agree_on("open")

    def wait_until_due(self) -> None:
        def is_due() -> bool:
            until = self._health(self.gateways[0])["until"]
            return datetime.fromisoformat(until) < datetime.now(UTC)

        eventually(is_due, what="the time to try it")

    def wait_until_tried(self) -> None:
        """What lists tell of a change, requests hear a moment later."""
        eventually(
            lambda: self.ask("ok", by=1, models=("cheap", "premium")).headers["X-Gateway-Model"] == "cheap",
            what="a try",
        )

    def transitions(self) -> list[tuple[str, str, str]]:
        found = self.installation.execute(
            "SELECT from_state, to_state, cause FROM routing_circuittransition ORDER BY id"
        )
        return [(row["from_state"], row["to_state"], row["cause"]) for row in found]

    def _health(self, gateway: Gateway) -> dict[str, Any]:
        data = httpx.get(f"{gateway.url}/v1/health/routes", headers=gateway.headers(), verify=NO_TLS).json()["data"]
        [found] = [row for row in data if row["model"] == "cheap"]
        return found  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=["servers", "workers"])
def running_pair(
    request: pytest.FixtureRequest,
    template: Installation,
    upstream: RunningUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    installation = template.copy(tmp_path_factory.mktemp("pair") / "var", upstream=upstream.url)
    if request.param == "impatient servers":
        installation.execute(f"UPDATE providers_provider SET {IMPATIENT}")
    installation.execute(f"UPDATE routing_policy SET circuit_min_calls = 5, circuit_open_s = {OPEN_S}")
    env = {"COUNTERS_DEADLINE_S": "2", KEY_VARIABLE: "sk-one-that-is-taken"}
    with ExitStack() as stack:
        if request.param == "workers":
            env["REDIS_URL"] = stack.enter_context(redis_server.running()).url
            gateways = [stack.enter_context(gateway_process.start(installation, env=env, workers=2))]
        else:
            gateways = [stack.enter_context(gateway_process.start(installation, env=env)) for _ in range(2)]
        yield Pair(installation, gateways, asks=SEVERAL if request.param == "workers" else 2)


@pytest.fixture
def pair(running_pair: Pair) -> Pair:
    """With all circuits closed, as each test leaves them."""
    running_pair.installation.execute("DELETE FROM routing_circuittransition")
    running_pair.agree_on("closed")
    return running_pair


def reached(upstream: RunningUpstream, nonce: str, *, model: str = "cheap") -> int:
    found = [request for request in upstream.requests() if nonce in (request.body or "")]
    return sum(request.json["model"] == model for request in found)


def test_one_finds_it_out_one_tries_it_and_all_go_on(pair: Pair, upstream: RunningUpstream) -> None:
    pair.break_it()
    avoided = uuid.uuid4().hex
    answer = pair.ask("ok", by=1, nonce=avoided, models=("cheap", "premium"))
    assert (answer.headers["X-Gateway-Model"], reached(upstream, avoided)) == ("premium", 0)

    pair.wait_until_tried()
    pair.agree_on("closed")
    wanted = [
        ("closed", "open", "server_error"),
        ("open", "half_open", "tried once"),
        ("half_open", "closed", "answered"),
    ]
    eventually(lambda: pair.transitions() == wanted, what="the history")


def test_of_many_requests_to_both_one_tries_it(pair: Pair, upstream: RunningUpstream) -> None:
    pair.break_it()
    pair.wait_until_due()
    nonce = uuid.uuid4().hex
    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        asked = [
            threads.submit(pair.ask, "delay_ms=1000", by=number, nonce=nonce, models=("cheap", "premium"))
            for number in range(12)
        ]
        assert {one.result().status_code for one in asked} == {200}
    calls = [call for call in upstream.calls() if nonce in (call.request.body or "") and call.model == "cheap"]
    first = calls[0].answer
    assert first is not None
    assert [call for call in calls[1:] if call.at < first.at] == []
    pair.agree_on("closed")


def test_what_an_operator_mends_is_tried_at_once(pair: Pair) -> None:
    assert pair.ask("status=401").status_code == 502
    pair.agree_on("open")
    assert pair.ask("ok", by=1, models=("cheap", "premium")).headers["X-Gateway-Model"] == "premium"
    pair.installation.execute(
        "INSERT INTO providers_credential"
        " (provider_id, name, env_var, encrypted_value, last_four, enabled, created_at, updated_at)"
        f" SELECT id, 'new', '{KEY_VARIABLE}', '', '', 1, datetime('now'), datetime('now') FROM providers_provider"
    )
    pair.agree_on("closed", within_s=5.0)
    pair.wait_until_tried()


@pytest.mark.parametrize("running_pair", ["impatient servers"], indirect=True)
def test_whoever_is_killed_while_trying_gives_way(pair: Pair) -> None:
    pair.break_it()
    pair.wait_until_due()
    one, other = pair.gateways
    left = Pair(pair.installation, [other], asks=1)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        trying = threads.submit(pair.ask, "stall=headers")
        eventually(lambda: left.states() == {"half_open"}, what="a try", within_s=1.5)
        one.kill()
        assert isinstance(trying.exception(), httpx.TransportError)
    answer = left.ask("ok", models=("cheap", "premium"))
    assert (left.states(), answer.headers["X-Gateway-Model"]) == ({"half_open"}, "premium")
    eventually(lambda: left.ask("ok", models=("cheap", "premium")).headers["X-Gateway-Model"] == "cheap", what="a try")
    left.agree_on("closed")


@pytest.mark.parametrize("running_pair", ["servers"], indirect=True)
def test_commands_see_what_servers_see(pair: Pair) -> None:
    pair.break_it()
    told = json.loads(pair.installation.command("health", "--json"))
    assert [(row["model"], row["cause"]) for row in told] == [("cheap", "server_error")]
    assert "upstream/cheap" in pair.installation.command("health", "reset", "cheap")
    pair.agree_on("closed")
