"""One recorded exchange through a running gateway: sends it, keeps what the upstream got and what the client got.

Each recording has a provider of its own, whose address is the recording's: nothing needs an order, and a failure of one
closes no other. An exchange is made once, however many tests look at it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import msgspec

from tests.process import gateway_process
from tests.process.gateway_process import COMMAND_S, ROOT, Gateway, GatewayError, Installation
from tests.wire.anthropic import as_openai, replayer
from tests.wire.anthropic.replayer import WHOLE, Received, Replayer
from tests.wire.anthropic.set_up import CREDENTIAL_ENV
from tests.wire.recordings import Recording

Json = dict[str, Any]

CREDENTIAL = "sk-ant-replayed-and-of-no-use"
STEPS = (WHOLE, 1, 7)
"""Bytes a write, for streams: whole, one by one, and split within every line."""
AGAIN = MappingProxyType({"X-Session-Id": "again"})
"""The session of what is sent beside the recorded exchanges."""


@dataclass(frozen=True, slots=True)
class Exchange:
    received: Received
    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def received_body(self) -> Json:
        decoded: Json = msgspec.json.decode(self.received.body)
        return decoded

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True, slots=True)
class Wire:
    gateway: Gateway
    vendor: Replayer
    client: httpx.Client
    _made: dict[str, Exchange] = field(default_factory=dict)

    def exchange(self, recording: Recording, *, step: int = WHOLE) -> Exchange:
        """The recorded request, sent in OpenAI's words."""
        name = self.vendor.name(recording, step=step)
        if name not in self._made:
            body, headers = as_openai.convert(recording.asked), {"X-Session-Id": name}
            self._made[name] = self.send(body, to=recording, step=step, headers=headers)
        return self._made[name]

    def send(self, body: Json, *, to: Recording, step: int = WHOLE, headers: Mapping[str, str] = AGAIN) -> Exchange:
        """Any request, to be answered as the recorded one was."""
        name = self.vendor.name(to, step=step)
        sent = body | {"model": self.model(to, step=step)}
        answer = self.client.post(self.gateway.chat_url, json=sent, headers=headers)
        got = self.vendor.received[name]
        assert got, f"nothing reached the upstream: {answer.status_code} {answer.text[:1000]}"
        return Exchange(got[-1], answer.status_code, answer.headers, answer.content)

    def model(self, recording: Recording, *, step: int = WHOLE) -> str:
        """What a client asks for."""
        return f"{self.vendor.name(recording, step=step)}/{recording.model}"


@contextmanager
def running(recordings: Sequence[Recording], *, var_dir: Path) -> Iterator[Wire]:
    """A gateway in front of all of them."""
    with replayer.running(recordings) as vendor:
        installation = _set_up(recordings, vendor=vendor, var_dir=var_dir)
        with (
            gateway_process.start(installation, env={CREDENTIAL_ENV: CREDENTIAL}) as gateway,
            httpx.Client(headers=gateway.headers(), timeout=30) as client,
        ):
            yield Wire(gateway, vendor, client)


def _set_up(recordings: Sequence[Recording], *, vendor: Replayer, var_dir: Path) -> Installation:
    """Raises: GatewayError."""
    rows = [
        {
            "slug": vendor.name(recording, step=step),
            "base_url": vendor.base_url(recording, step=step),
            "model": recording.model,
        }
        for recording in recordings
        for step in (STEPS if recording.is_stream else (WHOLE,))
    ]
    var_dir.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.wire.anthropic.set_up"],
        cwd=ROOT,
        env=Installation(var_dir=var_dir).env,
        input=msgspec.json.encode(rows),
        capture_output=True,
        timeout=COMMAND_S,
        check=False,
    )
    if done.returncode:
        raise GatewayError(f"set-up failed:\n{done.stderr.decode()[-6000:]}")
    return Installation(var_dir=var_dir, keys={"main": done.stdout.decode().strip()})
